"""What docker/metadata-action writes, as far as it is certain. Pure.

Source: its README (version 5), "Image name and tag sanitization", "flavor input", "tags input".
"""

import csv
import re
from collections.abc import Iterator

from megalotron_images.audit.events import Condition, Scenario, conditions
from megalotron_images.audit.job import Job, Made
from megalotron_images.audit.model import Place
from megalotron_images.audit.values import lowered, unknown
from megalotron_images.audit.yaml_files import Map

_DEFAULTS = "type=schedule\ntype=ref,event=branch\ntype=ref,event=tag\ntype=ref,event=pr"
_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(-[0-9A-Za-z.-]+)?")
_HANDLEBARS = re.compile(r"\{\{\s*([\w#./]+)[^}]*\}\}")
_ENABLE = re.compile(r"(?:^|,)\s*enable=(\$\{\{.*?\}\}|\{\{.*?\}\}|[^,]*)")
_ON_TAGS = Condition("start", "refs/tags/")
_ROW = "metadata-action's "
"""How the name of a hole begins that `resolved` fills in."""


def made(job: Job, inputs: Map) -> list[Made]:
    """Return what the output `tags` holds: each reference, where its parts are, and when."""
    images = [
        (lowered(fields.get("name", "")), when, Place(job.file, inputs.line("images", row)))
        for row, fields, when in _rows(job, inputs.text("images"), "name")
    ] or [(unknown("metadata-action's images"), (), Place(job.file, inputs.line("images")))]
    tags = list(_tags(job, inputs))
    return [
        Made(f"{image}:{tag}", named, place, (*shown, *when))
        for image, shown, named in images
        for tag, place, when in tags
    ]


def _rows(
    job: Job, text: str, bare: str
) -> Iterator[tuple[int, dict[str, str], tuple[Condition, ...]]]:
    """Yield the rows of an input: their numbers, their fields, and when they are enabled."""
    for number, line in enumerate(text.splitlines()):
        if not line.strip() or line.strip()[0] == "#":
            continue
        enabled = _ENABLE.search(line)
        asked = enabled[1].strip() if enabled else ""
        when = conditions(asked)
        if "is_default_branch" in asked:
            when = (Condition("default", ""),)
        yield number, _fields(job.scope.put(_ENABLE.sub("", line)).strip(), bare), when


def _fields(row: str, bare: str) -> dict[str, str]:
    """Return the fields of a row; a field without a key is `bare`."""
    found = {}
    for field in next(csv.reader([row]), []):
        key, sign, value = field.strip().partition("=")
        if sign and re.fullmatch(r"[\w-]+", key):
            found[key] = value
        elif field.strip():
            found[bare] = field.strip()
    return found


def _tags(job: Job, inputs: Map) -> Iterator[tuple[str, Place, tuple[Condition, ...]]]:
    """Yield tags with their places and conditions; `latest` where the flavor adds it."""
    flavor = _fields(job.scope.put(",".join(inputs.text("flavor").split("\n"))), "")
    latest, given = flavor.get("latest", "auto"), inputs.text("tags").strip()
    text = inputs.text("tags") if given else _DEFAULTS
    for number, fields, when in _rows(job, text, "value"):
        kind, event = fields.get("type", "raw"), fields.get("event", "")
        place = Place(job.file, inputs.line("tags" if given else "images", number * bool(given)))
        pull = "pr-" if event == "pr" else "sha-" if kind == "sha" else flavor.get("prefix", "")
        middle = _middle(kind, fields)
        whole = fields.get("prefix", pull) + middle + fields.get("suffix", flavor.get("suffix", ""))
        yield _HANDLEBARS.sub(lambda one: unknown(one[0]), whole), place, when
        adds = kind in ("semver", "match", "pep440") or (kind == "ref" and event == "tag")
        if latest == "auto" and adds:
            yield "latest", place, (*when, _ON_TAGS)
    if latest not in ("auto", "false"):
        tag = "latest" if latest == "true" else unknown(f"latest={latest}")
        yield tag, Place(job.file, inputs.line("flavor")), ()


def _middle(kind: str, fields: dict[str, str]) -> str:
    """Return what a row writes between prefix and suffix."""
    if kind == "raw":
        return fields.get("value", "")
    if kind == "sha":
        return unknown("github.sha")
    if kind == "semver" and "value" not in fields:
        return unknown(f"{_ROW}semver {fields.get('pattern', '{{version}}')}")
    if kind == "ref":
        return unknown(f"{_ROW}ref {fields.get('event', '')}")
    if kind == "edge":
        return unknown(f"{_ROW}edge {fields.get('branch', '')}")
    if kind == "schedule":
        return unknown(f"{_ROW}schedule {fields.get('pattern', 'nightly')}")
    return unknown(f"type={kind}")


def resolved(name: str, scenario: Scenario) -> str | None:
    """Return what a row writes in a scenario: empty for nothing, None where that is not certain."""
    kind, _, value = name.removeprefix(_ROW).partition(" ")
    ref = scenario.ref
    if not name.startswith(_ROW):
        return None
    if kind == "semver":
        return _version(scenario.name, value) if ref.startswith("refs/tags/") else ""
    if kind == "schedule":
        return value if scenario.event == "schedule" else ""
    if kind == "edge":
        on_branch = ref.startswith("refs/heads/")
        return "edge" if on_branch and scenario.name == (value or "main") else ""
    wanted = {"branch": "refs/heads/", "tag": "refs/tags/", "pr": "refs/pull/"}.get(value, "?")
    found = "7" if value == "pr" else scenario.name
    return re.sub(r"[^\w.-]+", "-", found) if ref.startswith(wanted) else ""


def _version(text: str, pattern: str) -> str | None:
    """Return a pattern filled with a version's parts; empty where the text is no version."""
    match = _VERSION.fullmatch(text)
    if not match:
        return ""
    major, minor, patch, pre = match.groups()
    version = f"{major}.{minor}.{patch}{pre or ''}"
    parts = {"version": version, "major": major, "minor": minor, "patch": patch, "raw": text}
    if pre and "raw" not in pattern:
        return version  # a pre-release is written whole
    known = all(one in parts for one in _HANDLEBARS.findall(pattern))
    return _HANDLEBARS.sub(lambda one: parts[one[1]], pattern) if known else None
