"""Actions of others, by what is known of them; and what scripts and actions are given and leave."""

import itertools
import json
import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatch
from typing import Any

from megalotron_images.audit import commands, metadata_action, releasers
from megalotron_images.audit.expressions import as_text
from megalotron_images.audit.knowledge import ACTIONS, PATTERNS
from megalotron_images.audit.model import Place, Run
from megalotron_images.audit.shell import Shell
from megalotron_images.audit.texts import merged, one_of, show, variants
from megalotron_images.audit.yaml_files import Map, as_map, parse

_FILES = ("GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_PATH")
_SHELL = ("run", "command", "commands", "cmd", "script")
"""Inputs in which actions take shell commands."""


def variables(run: Run) -> dict[str, str]:
    """Return the variables of a script: those of GitHub, and those of the job."""
    context = run.contexts["github"]
    env = {f"GITHUB_{key.upper()}": one for key, one in context.items() if isinstance(one, str)}
    env |= {name: f"${name}" for name in _FILES}
    env = {"GITHUB_ACTION_PATH": ".", "RANDOM": one_of("a number", "42")} | env
    return {**env, "HOME": "~", "GITHUB_WORKSPACE": ".", "CI": "true", **run.contexts["env"]}


@contextmanager
def outputs(run: Run) -> Iterator[dict[str, Any]]:
    """Yield the outputs that a script will have written; what it writes to `env` is kept there."""
    written, paths = dict[str, Any](), ("$GITHUB_ENV", "$GITHUB_OUTPUT")
    for path in paths:
        run.files.pop(path, None)
    yield written
    env = run.contexts["env"]
    of_env, of_outputs = (list(map(_pairs, variants(run.files.get(one, "")))) for one in paths)
    run.contexts["env"] = env | merged(of_env, env)
    written |= merged(of_outputs)


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


def follow(run: Run, name: str, inputs: Map) -> dict[str, Any]:
    """Note what an action does with its inputs; return its outputs, as far as they are known."""
    repository, env = name.partition("@")[0], run.contexts["env"]
    key = repository.lower()
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
        return follow(run, inputs["action"], inner)
    is_followed = _runs_shell(run, key, inputs)
    if not is_followed and not PATTERNS["harmless_actions"].match(key) and looks(key, inputs):
        run.doubt(f"the action {repository} is not known, and it looks as if it pushes images")
    return {}


def _equivalent(run: Run, text: str, inputs: Map) -> dict[str, Any]:
    """Follow the commands that do the same as an action, its inputs being their variables."""
    given = {"given": ",".join(inputs)}
    inner = replace(run, written={})
    for key, value in inputs.items():
        place, name = Place(run.place.file, inputs.lines[key]), re.sub(r"\W", "_", key)
        rows = list(_rows(value, place, inputs.is_block.get(key, False)))
        given |= {name: value, f"{name}_rows": "\n".join(row for row, _ in rows)}
        inner.written |= {value: place} | dict(reversed(rows))
        if name == "username":
            run.bind(value, place)
    with outputs(inner) as written:
        commands.equivalent(inner, variables(run), given, text)
    return written


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
    for one in () if is_script else filter(inputs.__contains__, _SHELL):
        with run.at(Place(run.place.file, inputs.lines.get(one, run.place.line))):
            Shell(run, dict(run.contexts["env"]), commands.handle).follow(inputs[one])
    return len(run.facts) > before


def looks(name: str, inputs: Mapping[str, Any]) -> bool:
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
