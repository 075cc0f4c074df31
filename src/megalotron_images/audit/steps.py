"""The steps of a job: scripts, actions of the folder, and those of others by what is known."""

import itertools
import json
import posixpath
import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatch
from typing import Any

from megalotron_images.audit import commands, metadata_action, releasers
from megalotron_images.audit.expressions import Empty, as_text, condition, render, value_of
from megalotron_images.audit.knowledge import ACTIONS, PATTERNS
from megalotron_images.audit.model import Place, Run
from megalotron_images.audit.shell import FOLDER, Shell
from megalotron_images.audit.texts import known, merged, show, variants
from megalotron_images.audit.yaml_files import Map, Seq, as_map, parse

_FILES = ("GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_PATH")
_SHELL = ("run", "command", "commands", "cmd", "script")
"""Inputs in which actions take shell commands."""


def follow(run: Run, steps: Any, defaults: Mapping[str, str]) -> None:
    """Follow steps, each with the variables of those before; defaults: settings for scripts."""
    for at, step in enumerate(steps if isinstance(steps, Seq) else []):
        if not isinstance(step, Map):
            continue
        name = step.get("id", f"\0{at}")
        holds = condition(step.get("if", ""), run.contexts)
        if holds is False:
            run.contexts["steps"][name] = Empty()
            continue
        before = run.contexts["env"]
        set_env(run, step.get("env"))
        given = dict(run.contexts["env"])
        outputs = _step(run, step, defaults)
        written = {k: v for k, v in run.contexts["env"].items() if given.get(k) != v}
        if holds is None:
            written = merged([written, {}], before)
            outputs = merged([{key: as_text(value) for key, value in outputs.items()}, {}])
        run.contexts["env"] = before | written
        end = known("how it ended", "success", "failure")
        run.contexts["steps"][name] = {"outputs": outputs, "outcome": end, "conclusion": end}


def set_env(run: Run, given: Any) -> None:
    """Add variables to the context `env`."""
    found = {key: render(text, run.contexts) for key, text in as_map(given).items()}
    for key, text in found.items():
        run.bind(text, Place(run.place.file, given.lines[key]))
    run.contexts["env"] = run.contexts["env"] | found


def outputs_of(run: Run, held: Map) -> dict[str, Any]:
    """Return outputs evaluated, and remember where."""
    found = {}
    for key, text in held.items():
        source = text.get("value", "") if isinstance(text, Map) else text
        found[key] = value_of(source, run.contexts)
        run.bind(as_text(found[key]), Place(run.place.file, held.lines[key]))
    return found


def _step(run: Run, step: Map, defaults: Mapping[str, str]) -> dict[str, Any]:
    """Follow a step; return its outputs."""
    file, outputs = run.place.file, dict[str, Any]()
    if "run" in step:
        run.place = Place(file, step.lines["run"])
        settings: dict[str, Any] = {"shell": "bash", "working-directory": "", **defaults, **step}
        keys = ("run", "working-directory", "shell")
        text, folder, language = (render(settings[one], run.contexts) for one in keys)
        outputs = _script(run, text, folder, language)
    elif "uses" in step:
        run.place = Place(file, step.lines["uses"])
        inputs, given = Map(), step.below("with")
        for name, text in given.items():
            key = name.lower()  # GitHub's inputs have no case
            whole = "\n".join(map(as_text, text)) if isinstance(text, list) else text
            inputs[key], inputs.lines[key] = render(whole, run.contexts), given.lines[name]
            inputs.is_block[key] = given.is_block.get(name, False)
        outputs = _action(run, render(step["uses"], run.contexts), inputs)
    run.place = Place(file, 1)
    return outputs


def _script(run: Run, text: str, folder: str, language: str) -> dict[str, Any]:
    """Follow a script; return the outputs that it writes."""
    if re.match(r"python|node", language):
        if PATTERNS["pushing_text"].search(text):
            run.doubt(f"a script in {language} pushes or logs in")
        return {}
    if re.match("pwsh|powershell|cmd", language):
        text = re.sub(r"\$env:(\w+)|%(\w+)%", r"${\1\2}", text)
    with _outputs(run) as outputs:
        Shell(run, _variables(run) | {FOLDER: folder}, commands.handle).follow(text)
    return outputs


def _variables(run: Run) -> dict[str, str]:
    """Return the variables of a script: those of GitHub, and those of the job."""
    context = run.contexts["github"]
    env = {f"GITHUB_{key.upper()}": one for key, one in context.items() if isinstance(one, str)}
    env |= {name: f"${name}" for name in _FILES}
    env = {"GITHUB_ACTION_PATH": ".", "RANDOM": known("a number", "42")} | env
    return {**env, "HOME": "~", "GITHUB_WORKSPACE": ".", "CI": "true", **run.contexts["env"]}


@contextmanager
def _outputs(run: Run) -> Iterator[dict[str, Any]]:
    """Yield the outputs that a script will have written; what it writes to `env` is kept there."""
    outputs, paths = dict[str, Any](), ("$GITHUB_ENV", "$GITHUB_OUTPUT")
    for path in paths:
        run.files.pop(path, None)
    yield outputs
    env = run.contexts["env"]
    rows = [list(map(_pairs, variants(run.files.get(one, "")))) for one in paths]
    run.contexts["env"] = env | merged(rows[0], env)
    outputs |= merged(rows[1])


def _pairs(text: str) -> dict[str, str]:
    """Return what the lines of a text set, in either of their forms."""
    found, lines = dict[str, str](), iter(text.splitlines())
    for line in lines:
        if match := re.match(r"([\w-]+)<<(\S+)$", line):
            found[match[1]] = "\n".join(itertools.takewhile(match[2].__ne__, lines))
        elif "=" in line:
            name, _, value = line.partition("=")
            found[name.strip()] = value
    return found


def _action(run: Run, name: str, inputs: Map) -> dict[str, Any]:
    """Note what an action does with its inputs; return its outputs, as far as they are known."""
    repository, env = name.partition("@")[0], run.contexts["env"]
    key = repository.lower()
    if key.startswith("./"):
        return _composite(run, name, inputs)
    if key.startswith("docker://"):
        words = [name.removeprefix("docker://"), *shlex.split(inputs.get("args") or "''")]
        commands.container(Shell(run, env, commands.handle), words, "")
        return {}
    if key == "docker/metadata-action":
        return _metadata(run, inputs)
    if "semantic-release" in key:
        releasers.semantic_release(run, f"release {inputs.get('extra_plugins', '')}")
    if alike := next((ACTIONS[one] for one in ACTIONS if fnmatch(key, one)), ""):
        return _equivalent(run, alike, inputs)
    if "@" in inputs.get("action", ""):  # an action that runs another one, as for retries
        inner = as_map(next(iter(parse(inputs.get("with", ""))), None))
        return _action(run, inputs["action"], inner)
    is_followed = _runs_shell(run, key, inputs)
    if not is_followed and not PATTERNS["harmless_actions"].match(key) and _looks(key, inputs):
        run.doubt(f"the action {repository} is not known, and it looks as if it pushes images")
    return {}


def _equivalent(run: Run, text: str, inputs: Map) -> dict[str, Any]:
    """Follow the commands that do the same as an action, its inputs being their variables."""
    variables = {"given": ",".join(inputs)}
    inner = replace(run, written={})
    for key, value in inputs.items():
        place, name = Place(run.place.file, inputs.lines[key]), re.sub(r"\W", "_", key)
        rows = list(_rows(value, place, inputs.is_block.get(key, False)))
        variables |= {name: value, f"{name}_rows": "\n".join(row for row, _ in rows)}
        inner.written |= {value: place} | dict(reversed(rows))
        if name == "username":
            run.bind(value, place)
    with _outputs(inner) as outputs:
        commands.equivalent(inner, _variables(run), variables, text)
    return outputs


def _rows(text: str, place: Place, is_block: bool) -> list[tuple[str, Place]]:
    """Return what stands in the lines of an input and between its commas, each with its line."""
    return [
        (one.strip(), Place(place.file, place.line + number * is_block))
        for number, row in enumerate(text.splitlines())
        for part in row.split(",")
        for one in ",".join(variants(part)).replace("\n", ",").split(",")
        if one.strip() and row.strip()[0] != "#"
    ]


def _runs_shell(run: Run, key: str, inputs: Map) -> bool:
    """Follow the inputs that are shell commands; return whether they say what is pushed."""
    before, is_script = len(run.facts), key == "actions/github-script"
    if is_script and PATTERNS["pushing_text"].search(inputs.get("script", "")):
        run.doubt("a script in JavaScript pushes or logs in")
    for one in () if is_script else [key for key in _SHELL if key in inputs]:
        with run.at(Place(run.place.file, inputs.lines.get(one, run.place.line))):
            Shell(run, dict(run.contexts["env"]), commands.handle).follow(inputs[one])
    return len(run.facts) > before


def _looks(name: str, inputs: Mapping[str, Any]) -> bool:
    """Whether an action's name or inputs look as if it pushes images."""
    if {"username", "password"} <= set(inputs) or {"context", "file"} <= set(inputs):
        return True
    values = (show(as_text(one)) for one in inputs.values())
    asked = {"image_actions": [name], "image_inputs": inputs, "image_values": values}
    return any(PATTERNS[key].search(one) for key, found in asked.items() for one in found)


def _metadata(run: Run, inputs: Map) -> dict[str, Any]:
    """Return the outputs of docker/metadata-action; remember the row that each comes from."""
    if any(one.startswith("tag-") for one in inputs):
        run.doubt("the inputs of the action's first version are not read")
        return {}
    tags = metadata_action.references(inputs, run.contexts["github"])
    base = inputs.lines.get("tags", run.place.line)
    for one in tags:
        line = base + one.line * inputs.is_block.get("tags", False)
        place = Place(run.place.file, line if one.line >= 0 else inputs.lines.get("flavor", base))
        run.bind(one.reference, place)
        run.bind(one.reference.rpartition(":")[2], place)
    names = list(dict.fromkeys(one.reference for one in tags))
    version = names[0].rpartition(":")[2] if names else ""
    held = json.dumps({"tags": names, "version": version}, ensure_ascii=False)
    joined = inputs.get("sep-tags", "\n").join(names)
    outputs = {"tags": joined, "version": version, "json": held, "tag-names": version}
    for key in ("json", "tags", "version"):
        run.contexts["env"][f"DOCKER_METADATA_OUTPUT_{key.upper()}"] = outputs[key]
    outputs |= dict.fromkeys(("labels", "annotations"), "")
    return outputs | dict.fromkeys(("bake-file", "bake-file-tags"), "$bake-file")


def _composite(run: Run, name: str, inputs: Map) -> dict[str, Any]:
    """Follow an action of the folder; a program is a doubt if it speaks of pushing."""
    base = posixpath.normpath(name)
    found = [f"{base}/action.{end}".removeprefix("./") for end in ("yml", "yaml")]
    path = next((one for one in found if run.folder.has(one)), found[0])
    document = next(iter(run.documents(path, "the action")), Map())
    held = document.below("runs")
    if str(held.get("using")).lower() != "composite":
        if held and _looks(name, inputs):
            run.doubt(f"the action {name} is a program of its own")
        return {}
    inner = run.deeper(Place(path, 1))
    if inner is None:
        return {}
    asked = document.below("inputs")
    plain = {key.lower(): asked.below(key).get("default", "") for key in asked}
    defaults = {key: render(text, run.contexts) for key, text in plain.items()}
    github = run.contexts["github"] | {"action_path": base}
    inner.contexts = run.contexts | {"github": github, "inputs": defaults | inputs, "steps": {}}
    for key, text in inputs.items():
        run.bind(text, Place(run.place.file, inputs.lines[key]))
    follow(inner, held.get("steps"), {})
    run.contexts["env"] = inner.contexts["env"]
    return outputs_of(inner, document.below("outputs"))
