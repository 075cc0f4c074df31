"""What docker/metadata-action writes, as far as it is certain. Pure.

Source: its README (version 5), "Image name and tag sanitization", "flavor input", "tags input".
"""

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from megalotron_images.audit.events import DEFAULT_BRANCH
from megalotron_images.audit.expressions import truth
from megalotron_images.audit.texts import apply, either, expand, has_holes, one_of, put, unknown

_DEFAULTS = "type=schedule\ntype=ref,event=branch\ntype=ref,event=tag\ntype=ref,event=pr"
_PRIORITIES = {"schedule": 1000, "semver": 900, "edge": 700, "ref": 600, "raw": 200, "sha": 100}
_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(-[0-9A-Za-z.-]+)?")
_HANDLEBARS = re.compile(r"\{\{\s*([\w#./]+)[^}]*\}\}")
_DATE = one_of("a date", "20260131")


Context = Mapping[str, Any]
"""GitHub's context `github`."""


@dataclass(frozen=True)
class Tagged:
    """A reference that the action writes.

    Attributes:
        line: in which line of its input `tags`, from 0; -1 for `latest`, which `flavor` adds.
    """

    reference: str
    line: int


def references(inputs: Mapping[str, str], github: Context) -> list[Tagged]:
    """Return what the output `tags` holds, the output `version` first."""
    flavor = _pairs(",".join(_rows(inputs.get("flavor", "")).values()))
    tags = list(_tags(inputs.get("tags", "").strip() or _DEFAULTS, flavor, github))
    images = [_pairs(row, "name") for row in _rows(inputs.get("images", "")).values()]
    enabled = (one for one in images if truth(one.get("enable", "true")) is not False)
    starts = [f"{one['name'].lower()}:" for one in enabled if "name" in one] or [""]
    return [Tagged(f"{start}{tag}", line) for start in starts for tag, line in tags]


def _rows(text: str) -> dict[int, str]:
    """Return the rows of an input by their lines, without comments."""
    rows = enumerate(one.strip() for one in text.splitlines())
    return {line: row for line, row in rows if row and row[0] != "#"}


def _pairs(row: str, bare: str = "value") -> dict[str, str]:
    """Return the fields of a row; a field without a key is `bare`."""
    found = {}
    for field in next(csv.reader([row]), []):
        key, sign, value = field.strip().partition("=")
        if sign and re.fullmatch(r"[\w-]+", key):
            found[key] = value
        elif field.strip():
            found[bare] = field.strip()
    return found


def _tags(text: str, flavor: dict[str, str], github: Context) -> Iterator[tuple[str, int]]:
    """Yield tags with their lines, by priority; `latest` where the flavor adds it."""
    found, latest = [], flavor.get("latest", "auto")
    added = truth(latest) is not False and latest != "auto"
    for number, row in _rows(text).items():
        fields = _pairs(row)
        kind = fields.get("type", "raw")
        if truth(_with_expressions(fields.get("enable", "true"), github)) is False:
            continue
        if tag := _not_empty(_tag(kind, fields, github)):
            prefix = fields.get("prefix", _prefix(kind, fields, flavor))
            whole = prefix + tag + fields.get("suffix", flavor.get("suffix", ""))
            whole = _with_expressions(whole, github)
            clean = apply(lambda one: re.sub(r"[^\w.-]+", "-", one, flags=re.ASCII), whole)
            rank = int(fields.get("priority", _PRIORITIES.get(kind, 200)))
            found.append((-rank, number, clean))
            added = added or (latest == "auto" and _adds_latest(kind, fields, tag))
    yield from ((tag, number) for _, number, tag in sorted(found))
    if added and found:
        yield "latest", -1


def _not_empty(tag: str) -> str:
    """Return a tag without the expansions in which nothing is written."""
    written = [one for one in expand(tag) if one]
    if len(written) == len(expand(tag)):
        return tag
    return either(written) if written else ""


def _prefix(kind: str, fields: dict[str, str], flavor: dict[str, str]) -> str:
    own = {"sha": "sha-"}.get(kind, "pr-" if fields.get("event") == "pr" else "")
    return own or flavor.get("prefix", "")


def _adds_latest(kind: str, fields: dict[str, str], tag: str) -> bool:
    """Whether `latest=auto` adds `latest`: for releases that are no pre-releases, and git tags."""
    if kind == "semver":
        return apply(lambda one: "-" if "-" in one else "", tag) != "-"
    return kind in ("match", "pep440") or fields.get("event") == "tag"


def _tag(kind: str, fields: dict[str, str], github: Context) -> str:
    """Return what a row writes for an event without prefix and suffix; empty for nothing."""
    on, name = github["ref"].split("/")[1], github["ref_name"]
    value = fields.get("value", name if on == "tags" else "")
    size = None if fields.get("format") == "long" else 7
    pattern, nightly = fields.get("pattern", "{{version}}"), fields.get("pattern", "nightly")
    kinds: dict[str, Callable[[], str]] = {
        "ref": lambda: _ref(fields.get("event", ""), on, github),
        "semver": lambda: apply(lambda one: _version(one, pattern), value, "a version"),
        "sha": lambda: apply(lambda one: one[:size], github["sha"]),
        "edge": lambda: "edge" if on == "heads" and name == fields.get("branch", "main") else "",
        "schedule": lambda: nightly if github["event_name"] == "schedule" else "",
    }
    if kind in ("match", "pep440"):
        return unknown(f"a tag of type={kind}") if value else ""
    return kinds.get(kind, lambda: fields.get("value", ""))()


def _ref(event: str, on: str, github: Context) -> str:
    wanted = {"branch": "heads", "tag": "tags", "pr": "pull"}.get(event)
    number = github["event"]["number"] if on == "pull" else github["ref_name"]
    return str(number) if on == wanted else ""


def _version(text: str, pattern: str) -> str:
    """Return a pattern filled with a version's parts; empty where the text is no version."""
    match = _VERSION.fullmatch(text)
    if not match:
        return ""
    major, minor, patch, pre = match.groups()
    version = f"{major}.{minor}.{patch}{pre or ''}"
    parts = {"version": version, "major": major, "minor": minor, "patch": patch, "raw": text}
    if pre and "raw" not in pattern:
        return version  # a pre-release is written whole
    return _HANDLEBARS.sub(lambda one: parts.get(one[1], ""), pattern)


def _is_default(on: str, name: str) -> str:
    """Whether a branch is the default one: that of most repositories is main or master."""
    if name in ("main", "master") or name == put(DEFAULT_BRANCH):
        return "true"
    if on != "heads" or name == "dev" or has_holes(name):
        return "false"
    return one_of("the default branch?", "true", "false")


def _with_expressions(text: str, github: Context) -> str:
    """Return a text with the action's global expressions filled in."""
    on, name = github["ref"].split("/")[1], github["ref_name"]
    values = {
        "branch": name if on == "heads" else "",
        "tag": name if on == "tags" else "",
        "sha": apply(lambda one: one[:7], github["sha"]),
        "base_ref": github["base_ref"],
        "is_default_branch": _is_default(on, name),
    }
    return _HANDLEBARS.sub(lambda one: values.get(one[1], _DATE), text)
