"""Steps that use an action: docker's three, as far as they are certain; others by their names.

Source of the tags of docker/metadata-action: its README (version 5), "flavor input", "tags input".
"""

import posixpath
import re
from collections.abc import Iterator

from megalotron_images.audit import mentions
from megalotron_images.audit.events import UNSURE, Condition, Scenario, When, conditions
from megalotron_images.audit.job import Job, Made
from megalotron_images.audit.model import WRITES, Leak, Login, Place
from megalotron_images.audit.values import HOLE, holes, show, unknown
from megalotron_images.audit.yaml_files import Map, Text
from megalotron_images.convention import parse_version
from megalotron_images.errors import RuleBroken

_PUBLIC = re.compile(r"dsn|_id$|_url$|public|version|name$", re.IGNORECASE)
"""Names of secrets that may hold a value which everybody may see."""
_LOGIN = ("registry", "username", "password")
_HARMLESS = {"outputs": "type=(docker|local|tar|oci)", "cache-to": "type=(gha|inline|local)"}
_TAGS = "type=schedule\ntype=ref,event=branch\ntype=ref,event=tag\ntype=ref,event=pr"
"""What docker/metadata-action makes unless its input `tags` says otherwise."""
_HANDLEBARS = re.compile(r"\{\{\s*([\w#./]+)[^}]*\}\}")
_ENABLE = re.compile(r"(?:^|,)\s*enable=(\$\{\{.*?\}\}|[^,]*)")
_ON_TAGS = Condition("start", "refs/tags/")
_STARTS = {"branch": "refs/heads/", "tag": "refs/tags/", "pr": "refs/pull/"}


def follow(job: Job, step: Map) -> None:
    """Note what an action does with its inputs."""
    uses = step.text("uses")
    inputs = Map({key.lower(): one for key, one in step.below("with").items()})
    name, place = job.put(uses), job.place(uses)
    key = name.partition("@")[0].lower()
    if key == "docker/login-action" and "registry-auth" not in inputs:
        given = [inputs.text(one) or Text("", uses.line) for one in _LOGIN]
        registry, username, password = map(job.put, given)
        places = tuple(map(job.place, given))
        job.facts.append(Login(place, job.name, registry, username, password, places))
    elif key == "docker/metadata-action" and not any(one[:4] == "tag-" for one in inputs):
        output = f"steps.{step.text('id')}.outputs.tags".lower()
        job.made[output] = list(_made(job, inputs))
        job.names.pop(output, None)
    elif key == "docker/build-push-action":
        _build(job, place, inputs)
    elif name.startswith(("./", "../")):
        _local(job, place, name)
    elif not mentions.harmless_action(key, {one: job.put(inputs.text(one)) for one in inputs}):
        job.doubt(place, name)


def _build(job: Job, use: Place, inputs: Map) -> None:
    """Note the pushes of docker/build-push-action, and secrets among its build arguments."""
    leaks(job, inputs)
    for key, harmless in _HARMLESS.items():
        text = job.put(inputs.text(key)).strip()
        if text and not re.match(harmless, text):
            place = job.place(inputs.text(key))
            job.doubt(place, f"{key}: {text}", "what it writes is not followed", WRITES)
    asked = job.put(inputs.text("push")).strip().lower()
    if asked in ("", "false"):
        return
    when = conditions(inputs.text("push")) if HOLE.search(asked) else ()
    tags = inputs.text("tags").rows()
    for row in tags:
        for text in re.findall(r"[^\s,]+", job.put(row)):
            job.push(text, job.place(row), when)
    if not tags and "outputs" not in inputs:
        job.doubt(use, "docker/build-push-action", "it pushes without a tag")


def leaks(job: Job, inputs: Map) -> None:
    """Note the secrets among an input's build arguments."""
    for row in inputs.text("build-args").rows():
        leak(job, job.place(row), job.put(row))


def leak(job: Job, place: Place, argument: str) -> None:
    """Note a secret in a build argument: everybody who has the image can read it."""
    for name in holes(argument):
        if "secret" in name:
            job.facts.append(Leak(place, job.name, show(argument), not _PUBLIC.search(name)))


def _local(job: Job, place: Place, name: str) -> None:
    """Note an action of the folder, if a word in its files may lead to a push."""
    base = posixpath.normpath(name)
    held = [one for one in job.folder.names() if one.startswith(f"{base}/")]
    for file, number, words in [*mentions.spoken(job.folder, held)][:1]:
        job.doubt(place, name, f"it is not followed: {file}:{number} has {words!r}")
    if not any(re.search(r"action\.ya?ml$", one) for one in held):
        job.doubt(place, name, "the action is not read here")


def _made(job: Job, inputs: Map) -> Iterator[Made]:
    """Yield what the output `tags` of docker/metadata-action holds."""
    images = inputs.text("images")
    if not inputs.text("tags").strip():
        inputs["tags"] = Text(_TAGS, images.line)
    tags = list(_tags(job, inputs))
    for row in images.rows():
        fields, shown = _fields(job, row, "name")
        for tag, when, place in tags:
            reference = f"{fields.get('name', '').lower()}:{tag}"
            yield Made(reference, job.place(row), place, (*shown, *when))
    if not images.rows():
        yield Made(unknown("metadata-action's tags"), tags[0][2], tags[0][2])


def _fields(job: Job, row: str, bare: str) -> tuple[dict[str, str], When]:
    """Return the fields of an input's row, one without a key as `bare`, and when it is enabled."""
    enabled = _ENABLE.search(row)
    asked = enabled[1].strip() if enabled else ""
    pairs = (one.strip().partition("=") for one in job.put(_ENABLE.sub("", row)).split(","))
    when = (UNSURE,) if "{{" in asked and "$" not in asked else conditions(asked)
    return {key if sign else bare: value if sign else key for key, sign, value in pairs}, when


def _tags(job: Job, inputs: Map) -> Iterator[tuple[str, When, Place]]:
    """Yield tags with their conditions and places; `latest` where the flavor adds it."""
    flavor = {"latest": "auto"}
    for row in inputs.text("flavor").rows():
        flavor |= _fields(job, row, "latest")[0]
    for row in inputs.text("tags").rows():
        (fields, when), place = _fields(job, row, "value"), job.place(row)
        kind, event = fields.get("type", "raw"), fields.get("event", "")
        own = "sha-" if kind == "sha" else "pr-" if event == "pr" else flavor.get("prefix", "")
        suffix = fields.get("suffix", flavor.get("suffix", ""))
        whole = f"{fields.get('prefix', own)}{_middle(kind, fields)}{suffix}"
        yield _HANDLEBARS.sub(lambda one: unknown(one[0]), whole), when, place
        if flavor["latest"] == "auto" and (kind in ("semver", "match") or event == "tag"):
            yield "latest", (*when, _ON_TAGS), place
    if flavor["latest"] not in ("auto", "false"):
        is_plain = flavor["latest"] == "true"
        tag = "latest" if is_plain else unknown(f"latest={flavor['latest']}")
        yield tag, (), job.place(inputs.text("flavor"))


def _middle(kind: str, fields: dict[str, str]) -> str:
    """Return what a row writes between prefix and suffix."""
    if kind in ("raw", "sha"):
        return fields.get("value", "") if kind == "raw" else unknown("github.sha")
    given = fields.get("event", fields.get("pattern", "{{version}}"))
    return unknown(f"type={'a value' if 'value' in fields else kind} {given}")


def resolved(name: str, scenario: Scenario) -> str | None:
    """Return what a row writes in a scenario: empty for nothing, None where that is not certain."""
    kind, _, value = name.removeprefix("type=").partition(" ")
    if name == "github.ref_name":
        return scenario.ref.split("/", 2)[2]
    start = _STARTS["tag"] if kind == "semver" else _STARTS.get(value, "")
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
    try:
        version = parse_version(text.removeprefix("v"))
    except RuleBroken:
        return ""
    if version.prerelease and "raw" not in pattern and "{{version}}" not in pattern:
        return str(version)  # a pre-release is written whole
    parts = {"raw": text, "version": version, **version.to_dict()}
    known = all(one in parts for one in _HANDLEBARS.findall(pattern))
    return _HANDLEBARS.sub(lambda one: str(parts[one[1]]), pattern) if known else None
