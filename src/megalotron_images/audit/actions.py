"""Steps that use an action: docker's three, as far as they are certain; others by their names.

Source of the tags of docker/metadata-action: its README (version 5), "flavor input", "tags input".
"""

import re
from collections.abc import Iterator

from megalotron_images.audit import mentions
from megalotron_images.audit.events import UNSURE, When
from megalotron_images.audit.job import Job
from megalotron_images.audit.mentions import PATTERNS
from megalotron_images.audit.model import WRITES, Place
from megalotron_images.audit.rules import Push
from megalotron_images.audit.values import show, unknown
from megalotron_images.audit.yaml_files import Map, Text

_LOGIN = ("registry", "username", "password")
_TAGS = "type=schedule\ntype=ref,event=branch\ntype=ref,event=tag\ntype=ref,event=pr"
"""What docker/metadata-action makes unless its input `tags` says otherwise."""


def follow(job: Job, step: Map) -> None:
    """Note what an action does with its inputs."""
    uses = step.text("uses")
    inputs = Map({key.lower(): one for key, one in step.below("with").items()})
    name, place = job.put(uses), job.place(uses)
    key = name.partition("@")[0].lower()
    if key == "docker/login-action" and "registry-auth" not in inputs:
        given = [inputs.text(one) or Text("", uses.line) for one in _LOGIN]
        job.login(place, [job.read(one) for one in given])
    elif key == "docker/metadata-action" and not any(one[:4] == "tag-" for one in inputs):
        output = unknown(f"steps.{step.text('id')}.outputs.tags".lower())
        job.made[output] = _made(job, inputs) or [Push(output, place, place)]
    elif key == "docker/build-push-action":
        _build(job, place, inputs)
    elif name.startswith(("./", "../")):
        job.doubt_command(place, name)
    elif not mentions.harmless_action(key, {one: job.put(inputs.text(one)) for one in inputs}):
        job.doubt(place, name)


def _build(job: Job, use: Place, inputs: Map) -> None:
    """Note the pushes of docker/build-push-action, and secrets among its build arguments."""
    job.leak(map(job.read, inputs.text("build-args").rows()))
    for row in [*inputs.text("outputs").rows(), *inputs.text("cache-to").rows()]:
        if not re.match("type=(docker|local|tar|oci|gha|inline)", text := job.put(row)):
            job.doubt(job.place(row), text, "it may write to a registry", WRITES)
    asked = job.put(inputs.text("push")).strip()
    if asked.lower() in ("", "false"):
        return
    tags = inputs.text("tags").rows()
    for row in tags:
        for text in re.findall(r"[^\s,]+", job.put(row)):
            job.push(text, job.place(row), (show(asked),))
    if not tags and "outputs" not in inputs:
        job.doubt(use, "docker/build-push-action", "it pushes without a tag")


def _made(job: Job, inputs: Map) -> list[Push]:
    """Return what the output `tags` of docker/metadata-action holds."""
    made = list(_tags(job, inputs.text("tags").rows() or Text(_TAGS).rows(), inputs.text("flavor")))
    names = [(_name(job.put(row)), job.place(row)) for row in inputs.text("images").rows()]
    return [Push(f"{name}:{t}", at, to, when) for name, at in names for t, when, to in made]


def _name(row: str) -> str:
    """Return the image of a row of `images`, unknown where it has other fields than its name."""
    found = re.fullmatch(r"(?:name=)?([^,=]+)(?:,enable=[^,]*)?", row.replace(" ", ""))
    return found[1].lower() if found else unknown(row)


def _tags(job: Job, rows: list[Text], given: Text) -> Iterator[tuple[str, When, Place]]:
    """Yield tags with their conditions and places; `latest` where the flavor adds it."""
    flavor = job.put(",".join(given.rows()))
    for row in rows:
        text, place = job.put(row).replace(" ", ""), job.place(row)
        found = PATTERNS["row"].fullmatch(f"{text};{flavor}")
        unread = ("", "", "", "", "", *UNSURE, "")
        raw, kind, what, start, end, enable, latest = found.groups("") if found else unread
        when = (show(enable),)
        yield start + (raw or unknown(f"type={kind} {what}" if kind else text)) + end, when, place
        if latest == "true":
            yield "latest", when, job.place(given)
        elif latest != "false" and (kind == "semver" or what == "tag"):
            yield "latest", (*when, "startsWith(github.ref, 'refs/tags/')"), place
