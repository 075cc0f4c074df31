"""Steps that use an action: docker's three, as far as they are certain; others by their names."""

import posixpath
import re

from megalotron_images.audit import mentions, metadata_action
from megalotron_images.audit.events import conditions
from megalotron_images.audit.job import Job
from megalotron_images.audit.model import WRITES, Leak, Login, Place
from megalotron_images.audit.values import HOLE, holes, show
from megalotron_images.audit.yaml_files import Map

_PUBLIC = re.compile(r"dsn|_id$|_url$|public|version|name$", re.IGNORECASE)
"""Names of secrets that may hold a value which everybody may see."""
_LOGIN = ("registry", "username", "password")
_HARMLESS = {"outputs": "type=(docker|local|tar|oci)", "cache-to": "type=(gha|inline|local)"}


def follow(job: Job, step: Map) -> None:
    """Note what an action does with its inputs."""
    inputs, given = Map(), step.below("with")
    for one in given:
        inputs.add(one.lower(), given[one], given.lines[one], one in given.blocks)
    name, place = job.scope.put(step.text("uses")), Place(job.file, step.line("uses"))
    key = name.partition("@")[0].lower()
    if key == "docker/login-action" and "registry-auth" not in inputs:
        texts = [job.scope.put(inputs.text(one)) for one in _LOGIN]
        places = tuple(Place(job.file, inputs.line(one, default=place.line)) for one in _LOGIN)
        job.facts.append(Login(place, job.name, texts[0], texts[1], texts[2], places))
    elif key == "docker/metadata-action" and not any(one[:4] == "tag-" for one in inputs):
        output = f"steps.{step.text('id')}.outputs.tags".lower()
        job.made[output] = metadata_action.made(job, inputs)
        job.scope.names.pop(output, None)
    elif key == "docker/build-push-action":
        _build(job, place, inputs)
    elif name.startswith(("./", "../")):
        _local(job, place, name)
    elif not mentions.harmless_action(key, {k: job.scope.put(inputs.text(k)) for k in inputs}):
        job.doubt(place, name)


def _build(job: Job, use: Place, inputs: Map) -> None:
    """Note the pushes of docker/build-push-action, and secrets among its build arguments."""
    leaks(job, inputs)
    for key, harmless in _HARMLESS.items():
        text, place = job.scope.put(inputs.text(key)).strip(), Place(job.file, inputs.line(key))
        if text and not re.match(harmless, text):
            job.doubt(place, f"{key}: {text}", "what it writes is not followed", WRITES)
    asked = job.scope.put(inputs.text("push")).strip().lower()
    if asked in ("", "false"):
        return
    when, found = conditions(inputs.text("push")) if HOLE.search(asked) else (), False
    for row, line in enumerate(inputs.text("tags").splitlines()):
        whole = "" if line.strip()[:1] == "#" else job.scope.put(line.strip())
        for text in re.findall(r"[^\s,]+", whole):
            found = True
            job.push(text, Place(job.file, inputs.line("tags", row)), when)
    if not found and "outputs" not in inputs:
        job.doubt(use, "docker/build-push-action", "it pushes without a tag")


def leaks(job: Job, inputs: Map) -> None:
    """Note the secrets among an input's build arguments."""
    for row, line in enumerate(inputs.text("build-args").splitlines()):
        leak(job, Place(job.file, inputs.line("build-args", row)), job.scope.put(line))


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
