"""What actions of the marketplace push: by a table, and the few that need more than one."""

import json
import posixpath
import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from megalotron_images.audit import builders, commands, metadata_action, releasers, scripts
from megalotron_images.audit.expressions import as_text, truth
from megalotron_images.audit.knowledge import ACTIONS, PATTERNS
from megalotron_images.audit.model import Place, Rule
from megalotron_images.audit.run import Run
from megalotron_images.audit.shell import Shell
from megalotron_images.audit.texts import PERSON, apply, known, show, unknown
from megalotron_images.audit.yaml_files import Map, as_map, parse

_CONTAINERS = PATTERNS["image_actions"]
_INPUTS = PATTERNS["image_inputs"]
_VALUES = PATTERNS["image_values"]
_HARMLESS = PATTERNS["harmless_actions"]
_SHELL = ("run", "command", "commands", "cmd", "script")
"""Inputs in which actions take shell commands."""


def act(run: Run, name: str, inputs: Map, env: dict[str, str]) -> dict[str, Any]:
    """Note what an action does with its inputs; return its outputs, as far as they are known.

    The place of the step is `run.place`.
    """
    repository = name.partition("@")[0]
    key = repository.lower()
    if key.startswith("docker://"):
        words = shlex.split(inputs.get("args", "")) if "args" in inputs else []
        image = name.removeprefix("docker://")
        commands.container(Shell(run, env, commands.handle), [image, *words], "")
        return {}
    if key in ("docker/build-push-action", "depot/build-push-action") and "repository" in inputs:
        key = "docker/build-push-action@v1"
    special = next((known_ for end, known_ in _SPECIAL.items() if key.endswith(end)), None)
    if "semantic-release" in key:
        releasers.semantic_release(run, f"release {inputs.get('extra_plugins', '')}")
    if special:
        return special(run, inputs, env) or {}
    if key in ACTIONS:
        _by_table(run, ACTIONS[key], inputs)
    elif "action" in inputs and "@" in inputs["action"]:
        _wrapped(run, inputs, env)
    elif not _runs_shell(run, key, inputs, env) and not _HARMLESS.match(key) and looks(key, inputs):
        run.doubt(f"the action {repository} is not known, and it looks as if it pushes images")
    return {}


def _runs_shell(run: Run, key: str, inputs: Map, env: dict[str, str]) -> bool:
    """Follow the inputs that are shell commands; return whether they say what is pushed."""
    before, is_script = len(run.facts), key == "actions/github-script"
    if is_script and scripts.PUSHES.search(inputs.get("script", "")):
        run.doubt("a script in JavaScript pushes or logs in")
    for one in () if is_script else _SHELL:
        if one in inputs:
            with run.at(_place(run, inputs, one)):
                Shell(run, dict(env), commands.handle).follow(inputs[one])
    return len(run.facts) > before


def _wrapped(run: Run, inputs: Map, env: dict[str, str]) -> None:
    """Note an action that another one runs, as for retries: `with` is YAML in a text."""
    inner = as_map(next(iter(parse(inputs.get("with", ""))), None))
    act(run, inputs["action"], inner, env)


def looks(name: str, inputs: Mapping[str, Any]) -> bool:
    """Whether an action's name or inputs look as if it pushes images."""
    if {"username", "password"} <= set(inputs) or {"context", "file"} <= set(inputs):
        return True
    values = (show(as_text(one)) for one in inputs.values())
    speaking = [
        _CONTAINERS.search(name),
        *map(_INPUTS.search, inputs),
        *map(_VALUES.search, values),
    ]
    return any(speaking)


def rows(run: Run, inputs: Map, key: str) -> list[tuple[str, Place]]:
    """Return the items of an input, one a line or between commas, each with its line."""
    text, line = inputs.get(key, ""), inputs.lines.get(key, run.place.line)
    is_block = line != inputs.lines.get(f"{key}:", line)
    found = []
    for number, row in enumerate(text.splitlines()):
        place = Place(run.place.file, line + number if is_block else line)
        found += [
            (one.strip(), place) for one in row.split(",") if one.strip() and row.strip()[0] != "#"
        ]
    return found


def _place(run: Run, inputs: Map, key: str) -> Place:
    return Place(run.place.file, inputs.lines.get(key, run.place.line))


def _by_table(run: Run, entry: Mapping[str, Any], inputs: Map) -> None:
    """Note what an action of the table does."""

    def get(key: str) -> Any:
        return inputs.get(entry.get(key, ""), "")

    registry = get("registry") or entry.get("host", "")
    step, run.place = run.place, _place(run, inputs, entry.get("password", ""))
    if get("password") or get("username"):
        run.bind(get("username"), _place(run, inputs, entry.get("username", "")))
        someone = unknown("github.actor", PERSON) if entry.get("person") else ""
        run.login(registry, get("username") or someone, get("password"))
    elif "registry-auth" in inputs:
        run.doubt("its logins are in `registry-auth`", (Rule.REGISTRY, Rule.CREDENTIALS))
    elif "password" in entry and not {"image", "references"} & set(entry):
        run.login(registry, unknown("no user name"), unknown("no password"))
    run.place = step
    if not _is_pushed(entry, inputs):
        return
    for reference, where in rows(run, inputs, entry.get("references", "")):
        run.push(reference, where, by_digest=bool(entry.get("digest")))
    for cache_to in filter(None, [get("cache")]):
        run.push(cache_to, _place(run, inputs, entry["cache"]))
    if "image" in entry:
        for reference in _composed(run, entry, inputs, registry):
            key = entry.get("tags" if get("tags") else "image", "")
            run.push(reference, _place(run, inputs, key))


def _is_pushed(entry: Mapping[str, Any], inputs: Map) -> bool:
    """Whether an action pushes: an input may switch it on, or off (`!name`)."""
    switch = entry.get("push", "")
    default = "true" if entry.get("pushes", True) else "false"
    if switch.startswith("!"):
        return truth(inputs.get(switch[1:], "false")) is not True
    return truth(inputs.get(switch, default)) is not False


def _composed(run: Run, entry: Mapping[str, Any], inputs: Map, registry: str) -> list[str]:
    """Return references made of a registry, an image and tags."""
    image = inputs.get(entry["image"], "") or unknown("an image that is not named")
    if entry.get("owned") and registry == "ghcr.io" and "/" not in image:
        image = f"{run.contexts['github']['repository_owner']}/{image}"
    if registry and not image.startswith(f"{registry}/"):
        image = f"{registry}/{image}"
    github = run.contexts["github"]
    tags = re.split(r"[\s,]+", inputs.get(entry.get("tags", ""), "").strip())
    on = {
        key: truth(inputs.get(entry.get(key, ""), "false")) is not False
        for key in ("named", "semver", "hash", "latest")
    }
    name = "latest" if github["ref_name"] == "master" else _dashed(github["ref_name"])
    tags += [name] * on["named"] + [apply(lambda one: one[:7], github["sha"])] * on["hash"]
    tags += ["latest"] * on["latest"]
    if on["semver"] and github["ref_type"] == "tag":
        tags.append(apply(lambda one: one.removeprefix("v"), github["ref_name"]))
    tags = [one for one in tags if one]
    if not tags and ":" in image.rpartition("/")[2]:
        return [image]
    tags = tags or [_default(entry, github)]
    return [one if "/" in one and ":" in one else f"{image}:{one}" for one in tags]


def _default(entry: Mapping[str, Any], github: Mapping[str, Any]) -> str:
    """Return the tag that an action writes if none is given."""
    kind, on, name = entry.get("default"), github["ref_type"], str(github["ref_name"])
    if kind == "hash":
        return name if on == "tag" else apply(lambda one: f"{one}-4f3c2b1", name)
    if kind == "branch" and on == "branch" and name not in ("main", "master"):
        return _dashed(name)
    return "latest"


def _dashed(name: str) -> str:
    return apply(lambda one: one.replace("/", "-"), name)


def _build_push(run: Run, inputs: Map, env: dict[str, str]) -> dict[str, Any]:
    """Note docker/build-push-action, from its second version on."""
    tags = rows(run, inputs, "tags")
    if truth(inputs.get("push", "false")) is not False:
        for reference, place in tags:
            run.push(reference, place)
        if not tags and "outputs" not in inputs and "tags" not in inputs:
            run.doubt("it pushes without a tag")
    for one in inputs.get("outputs", "").splitlines():
        with run.at(_place(run, inputs, "outputs")):
            builders.outputs(run, [one], [reference for reference, _ in tags])
    with run.at(_place(run, inputs, "cache-to")):
        builders.caches(run, inputs.get("cache-to", "").splitlines())
    with run.at(_place(run, inputs, "build-args")):
        for argument in inputs.get("build-args", "").splitlines():
            commands.note_build_argument(Shell(run, env, commands.handle), argument)
    return {"digest": known("a digest", f"sha256:{'0' * 64}"), "imageid": unknown("an image's ID")}


def _metadata(run: Run, inputs: Map, env: dict[str, str]) -> dict[str, Any]:
    """Return the outputs of docker/metadata-action; remember the row that each comes from."""
    tags = metadata_action.references(_renewed(inputs), run.contexts["github"])
    base = inputs.lines.get("tags", run.place.line)
    flavor = inputs.lines.get("flavor", base)
    is_block = "\n" in inputs.get("tags", "")
    for one in tags:
        line = flavor if one.row < 0 else base + _row(inputs.get("tags", ""), one.row) * is_block
        run.bind(one.reference, Place(run.place.file, line))
        run.bind(one.reference.rpartition(":")[2], Place(run.place.file, line))
    names = list(dict.fromkeys(one.reference for one in tags))
    version = names[0].rpartition(":")[2] if names else ""
    held = json.dumps({"tags": names, "version": version}, ensure_ascii=False)
    joined = inputs.get("sep-tags", "\n").join(names)
    env |= {"DOCKER_METADATA_OUTPUT_JSON": held, "DOCKER_METADATA_OUTPUT_TAGS": joined}
    env["DOCKER_METADATA_OUTPUT_VERSION"] = version
    empty, files = dict.fromkeys(("labels", "annotations"), ""), ("bake-file", "bake-file-tags")
    outputs = {"tags": joined, "version": version, "json": held, "tag-names": version}
    return outputs | empty | dict.fromkeys(files, "$bake-file")


def _renewed(inputs: Map) -> Mapping[str, str]:
    """Return the inputs of the action's first version as those of today."""
    if not any(one.startswith("tag-") for one in inputs):
        return inputs
    patterns = inputs.get("tag-semver", "").split()
    tags = ["type=ref,event=branch", "type=ref,event=pr"]
    tags += [f"type=semver,pattern={one}" for one in patterns] or ["type=ref,event=tag"]
    tags += ["type=sha"] * (inputs.get("tag-sha") == "true")
    tags += ["type=edge"] * (inputs.get("tag-edge") == "true")
    flavor = "latest=false" if inputs.get("tag-latest") == "false" else "latest=auto"
    return {"images": inputs.get("images", ""), "tags": "\n".join(tags), "flavor": flavor}


def _row(text: str, number: int) -> int:
    """Return the line of a row, when empty lines and comments are counted too."""
    filled = [
        at for at, row in enumerate(text.splitlines()) if row.strip() and row.strip()[0] != "#"
    ]
    return filled[number] if number < len(filled) else 0


def _bake(run: Run, inputs: Map, env: dict[str, str]) -> dict[str, Any] | None:
    """Note docker/bake-action; a bake file of the metadata action gives it the tags."""
    named = [one.removeprefix("cwd://") for one, _ in rows(run, inputs, "files")]
    pushes = truth(inputs.get("push", "false")) is not False
    given = [one.strip() for one in inputs.get("set", "").splitlines() if one.strip()]
    made = [one for one in named if one.startswith("$")]
    if made:
        tags = env.get("DOCKER_METADATA_OUTPUT_TAGS", "").splitlines()
        given += [f"*.tags={tag}" for tag in tags]
    kept = [one for one in named if one[:1] != "$" and "<" not in one]
    files_ = [posixpath.join(inputs.get("workdir", ""), one) for one in kept]
    builders.bake(run, files_, inputs.get("targets", "").split(), env, pushes, given)
    return None


def _goreleaser(run: Run, inputs: Map, env: dict[str, str]) -> dict[str, Any] | None:
    if truth(inputs.get("install-only", "false")) is not True:
        below = {"\0folder": inputs.get("workdir", "")}
        releasers.release(run, inputs.get("args", "").split(), env | below)
    return None


def _buildah(run: Run, inputs: Map, env: dict[str, str]) -> dict[str, Any]:
    """Return the outputs of redhat-actions/buildah-build, which pushes nothing."""
    tags = inputs.get("tags", inputs.get("tag", "latest"))
    return {"image": inputs.get("image", ""), "tags": tags}


def _gradle(run: Run, inputs: Map, env: dict[str, str]) -> None:
    """Follow the arguments with which an action runs Gradle."""
    words = ["gradle", *inputs.get("arguments", "").split()]
    commands.handle(Shell(run, env, commands.handle), words, "")


def _ecr(run: Run, inputs: Map, env: dict[str, str]) -> dict[str, Any]:
    """Note a login at AWS: its output is the registry's address."""
    registry = known("the registry of AWS", "123456789012.dkr.ecr.us-east-1.amazonaws.com")
    if inputs.get("registry-type") == "public":
        registry = "public.ecr.aws"
    run.login(registry, "AWS", unknown("a password of AWS"))
    return {"registry": registry}


def _setup_ko(run: Run, inputs: Map, env: dict[str, str]) -> dict[str, Any]:
    """Note ko's setup: it logs in at ghcr.io with the workflow's own token."""
    if "use-token" not in inputs or inputs["use-token"] != "false":
        github = run.contexts["github"]
        run.login("ghcr.io", github["actor"], inputs.get("token", github["token"]))
        env.setdefault("KO_DOCKER_REPO", f"ghcr.io/{github['repository']}")
    return {}


_SPECIAL: dict[str, Callable[[Run, Map, dict[str, str]], dict[str, Any] | None]] = {
    "/build-push-action": _build_push,
    **dict.fromkeys(("docker/metadata-action", "crazy-max/ghaction-docker-meta"), _metadata),
    "docker/bake-action": _bake,
    "goreleaser/goreleaser-action": _goreleaser,
    "aws-actions/amazon-ecr-login": _ecr,
    "redhat-actions/buildah-build": _buildah,
    **dict.fromkeys(("gradle/gradle-build-action", "gradle/command-action"), _gradle),
    "/setup-ko": _setup_ko,
}
