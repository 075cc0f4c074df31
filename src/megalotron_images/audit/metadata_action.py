"""What docker/metadata-action writes, as far as it is certain. Pure.

Source: its README (version 5), "Image name and tag sanitization", "flavor input", "tags input".
"""

import re
from collections.abc import Iterator

from megalotron_images.audit.events import UNSURE, Condition, Scenario, When, conditions
from megalotron_images.audit.job import Job, Made
from megalotron_images.audit.model import Place
from megalotron_images.audit.values import unknown
from megalotron_images.audit.yaml_files import Map

_DEFAULTS = "type=schedule\ntype=ref,event=branch\ntype=ref,event=tag\ntype=ref,event=pr"
_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(-[0-9A-Za-z.-]+)?")
_HANDLEBARS = re.compile(r"\{\{\s*([\w#./]+)[^}]*\}\}")
_ENABLE = re.compile(r"(?:^|,)\s*enable=(\$\{\{.*?\}\}|[^,]*)")
_ON_TAGS = Condition("start", "refs/tags/")


def made(job: Job, inputs: Map) -> list[Made]:
    """Return what the output `tags` holds: each reference, where its parts are, and when."""
    tags = list(_tags(job, inputs))
    return [
        Made(f"{fields.get('name', '').lower()}:{tag}", named, place, (*shown, *when))
        for fields, shown, named in _rows(job, inputs, "images", "name")
        for tag, when, place in tags
    ] or [Made(unknown("metadata-action's tags"), place, place) for _, _, place in tags[:1]]


def _rows(
    job: Job, inputs: Map, key: str, bare: str
) -> Iterator[tuple[dict[str, str], When, Place]]:
    """Yield the fields of an input's rows, when they are enabled, and where they stand."""
    for number, line in enumerate(inputs.text(key).splitlines()):
        enabled = _ENABLE.search(line)
        asked = enabled[1].strip() if enabled else ""
        row = job.scope.put(_ENABLE.sub("", line)).strip()
        pairs = (one.strip().partition("=") for one in row.split(","))
        fields = {name if sign else bare: value if sign else name for name, sign, value in pairs}
        when = (UNSURE,) if "{{" in asked and "$" not in asked else conditions(asked)
        if row and row[0] != "#":
            yield fields, when, Place(job.file, inputs.line(key, number))


def _tags(job: Job, inputs: Map) -> Iterator[tuple[str, When, Place]]:
    """Yield tags with their conditions and places; `latest` where the flavor adds it."""
    flavor = dict[str, str]()
    for fields, _, _ in _rows(job, inputs, "flavor", "latest"):
        flavor |= fields
    if not inputs.text("tags").strip():
        inputs.add("tags", _DEFAULTS, inputs.line("images"))
    for fields, when, place in _rows(job, inputs, "tags", "value"):
        kind, event = fields.get("type", "raw"), fields.get("event", "")
        own = "sha-" if kind == "sha" else "pr-" if event == "pr" else flavor.get("prefix", "")
        suffix = fields.get("suffix", flavor.get("suffix", ""))
        whole = f"{fields.get('prefix', own)}{_middle(kind, fields)}{suffix}"
        yield _HANDLEBARS.sub(lambda one: unknown(one[0]), whole), when, place
        if flavor.get("latest", "auto") == "auto" and (
            kind in ("semver", "match") or event == "tag"
        ):
            yield "latest", (*when, _ON_TAGS), place
    if (latest := flavor.get("latest", "auto")) not in ("auto", "false"):
        tag = "latest" if latest == "true" else unknown(f"latest={latest}")
        yield tag, (), Place(job.file, inputs.line("flavor"))


def _middle(kind: str, fields: dict[str, str]) -> str:
    """Return what a row writes between prefix and suffix."""
    if kind in ("raw", "sha"):
        return fields.get("value", "") if kind == "raw" else unknown("github.sha")
    given = fields.get("event", fields.get("pattern", "{{version}}"))
    value = "a value" if "value" in fields else kind
    return unknown(f"type={value} {given}")


def resolved(name: str, scenario: Scenario) -> str | None:
    """Return what a row writes in a scenario: empty for nothing, None where that is not certain."""
    kind, _, value = name.removeprefix("type=").partition(" ")
    kinds = {"branch": "refs/heads/", "tag": "refs/tags/", "pr": "refs/pull/"}
    start = "refs/tags/" if kind == "semver" else kinds.get(value, "")
    if name.startswith("type=schedule"):
        return None if scenario.event == "schedule" else ""
    if kind not in ("ref", "semver") or not name.startswith("type=") or not start:
        return None
    if not scenario.ref.startswith(start):
        return ""
    text = "7" if value == "pr" else scenario.ref.removeprefix(start)
    return _version(text, value) if kind == "semver" else re.sub(r"[^\w.-]+", "-", text)


def _version(text: str, pattern: str) -> str | None:
    """Return a pattern filled with a version's parts; empty where the text is no version."""
    match = _VERSION.fullmatch(text)
    if not match:
        return ""
    major, minor, patch, pre = match.groups()
    version = f"{major}.{minor}.{patch}{pre or ''}"
    parts = {"version": version, "major": major, "minor": minor, "patch": patch, "raw": text}
    if pre and "raw" not in pattern and "{{version}}" not in pattern:
        return version  # a pre-release is written whole
    known = all(one in parts for one in _HANDLEBARS.findall(pattern))
    return _HANDLEBARS.sub(lambda one: parts[one[1]], pattern) if known else None
