"""Steps that use an action: docker's three, as far as they are certain; others by their names."""

import posixpath
import re

from megalotron_images.audit import mentions, metadata_action
from megalotron_images.audit.events import Condition, conditions, unsure
from megalotron_images.audit.job import Job, Made
from megalotron_images.audit.model import WRITES, Leak, Login, Place
from megalotron_images.audit.values import holes, show
from megalotron_images.audit.yaml_files import Map

_PUBLIC = re.compile(r"dsn|_id$|_url$|public|version|name$", re.IGNORECASE)
"""Names of secrets that may hold a value which everybody may see."""


def follow(job: Job, step: Map) -> None:
    """Note what an action does with its inputs."""
    inputs, name = _inputs(job, step), job.scope.put(step.text("uses"))
    place, key = Place(job.file, step.line("uses")), name.partition("@")[0].lower()
    if key == "docker/login-action":
        _login(job, place, inputs)
    elif key == "docker/metadata-action":
        found = metadata_action.made(job, inputs)
        job.made[f"steps.{step.text('id').lower()}.outputs.tags"] = found
        job.scope.names.pop(f"steps.{step.text('id').lower()}.outputs.tags", None)
    elif key == "docker/build-push-action":
        _build(job, place, inputs)
    elif name.startswith(("./", "../")):
        _local(job, place, name)
    elif not mentions.harmless_action(key, {k: job.scope.put(inputs.text(k)) for k in inputs}):
        job.doubt(place, name)


def _inputs(job: Job, step: Map) -> Map:
    """Return the inputs of a step by their names in lower case, for GitHub's have no case."""
    given, found = step.below("with"), Map()
    for key, value in given.items():
        found[key.lower()], found.lines[key.lower()] = value, given.lines[key]
    found.blocks = {one.lower() for one in given.blocks}
    return found


def _login(job: Job, use: Place, inputs: Map) -> None:
    texts = [job.scope.put(inputs.text(one)) for one in ("registry", "username", "password")]
    keys = ("registry", "username", "password")
    places = [Place(job.file, inputs.line(one, default=use.line)) for one in keys]
    if "registry-auth" in inputs or inputs.text("logout") == "only":
        job.doubt(use, "registry-auth")
    job.login(Login(use, job.name, *texts, *places))


def _build(job: Job, use: Place, inputs: Map) -> None:
    """Note the pushes of docker/build-push-action, and secrets among its build arguments."""
    for row, line in enumerate(inputs.text("build-args").splitlines()):
        leak(job, Place(job.file, inputs.line("build-args", row)), job.scope.put(line))
    outputs, cache = (job.scope.put(inputs.text(one)) for one in ("outputs", "cache-to"))
    if re.search("registry|push|\x01", outputs):
        job.doubt(Place(job.file, inputs.line("outputs")), f"outputs: {outputs}")
    if re.search("registry|\x01", cache):
        place = Place(job.file, inputs.line("cache-to"))
        job.doubt(place, f"cache-to: {cache}", "a cache in a registry is a push", WRITES)
    asked = job.scope.put(inputs.text("push")).strip() or "false"
    if asked == "false" or asked[:1] not in ("t", "T", "\x01"):
        return
    when = conditions(inputs.text("push")) if "${{" in inputs.text("push") else ()
    if "\x01" in asked and not when:
        when = (unsure(asked),)
    _tags(job, use, inputs, when)


def _tags(job: Job, use: Place, inputs: Map, when: tuple[Condition, ...]) -> None:
    """Note a push of each tag of the input; what is empty would push without one."""
    found = False
    for row, line in enumerate(inputs.text("tags").splitlines()):
        place = Place(job.file, inputs.line("tags", row))
        whole = job.scope.put(line.strip())
        for text in re.split(r"[,\s]+", whole) if "\x01" not in whole else _separate(whole):
            if text and line.strip()[0] != "#":
                found = True
                _tag(job, Place(job.file, use.line), text, place, when)
    if not found and "outputs" not in inputs:
        job.doubt(use, "docker/build-push-action", "it pushes without a tag")


def _separate(text: str) -> list[str]:
    """Return what stands between commas and spaces outside of unknown parts."""
    return re.findall("(?:\x01[^\x02]*\x02|[^\\s,\x01])+", text)


def _tag(job: Job, use: Place, text: str, place: Place, when: tuple[Condition, ...]) -> None:
    if holes(text) and text == f"\x01{holes(text)[0]}\x02" and holes(text)[0] in job.made:
        job.push_all(text, place, when)
    else:
        job.push(Made(text, place, place), use, when)


def leak(job: Job, place: Place, argument: str) -> None:
    """Note a secret in a build argument: everybody who has the image can read it."""
    for name in holes(argument):
        if name.startswith("secrets."):
            job.facts.append(Leak(place, job.name, show(argument), not _PUBLIC.search(name)))


def _local(job: Job, place: Place, name: str) -> None:
    """Note an action of the folder, if a word in its files may lead to a push."""
    base = posixpath.normpath(name)
    held = [one for one in job.folder.names() if one.startswith(f"{base}/") or base == "."]
    if not any(re.search(r"action\.ya?ml$", one) for one in held):
        job.doubt(place, name, "the action is not in the folder")
    for one in held:
        for file, number, words in mentions.spoken(job.folder, one):
            job.doubt(place, name, f"it is not followed: {file}:{number} has {words[:60]!r}")
            return
