"""The steps of a job: scripts, and actions, those of the folder by what they hold."""

import posixpath
import re
from collections.abc import Mapping
from typing import Any

from megalotron_images.audit import actions, commands
from megalotron_images.audit.expressions import Empty, as_text, condition, render, value_of
from megalotron_images.audit.knowledge import PATTERNS
from megalotron_images.audit.model import Place, Run
from megalotron_images.audit.shell import FOLDER, Shell
from megalotron_images.audit.texts import merged, one_of
from megalotron_images.audit.yaml_files import Map, Seq, as_map


def follow(run: Run, steps: Any, defaults: Mapping[str, str]) -> None:
    """Follow steps, each with the variables of those before; defaults: settings for scripts."""
    for at, step in enumerate(steps if isinstance(steps, Seq) else []):
        if not isinstance(step, Map):
            continue
        name = step.get("id", f"\0{at}")  # which no expression can write
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
        end = one_of("how it ended", "success", "failure")
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
        name = render(step["uses"], run.contexts)
        follow_action = _composite if name.startswith("./") else actions.follow
        outputs = follow_action(run, name, inputs)
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
    with actions.outputs(run) as outputs:
        Shell(run, actions.variables(run) | {FOLDER: folder}, commands.handle).follow(text)
    return outputs


def _composite(run: Run, name: str, inputs: Map) -> dict[str, Any]:
    """Follow an action of the folder; a program is a doubt if it speaks of pushing."""
    base = posixpath.normpath(name)
    found = [f"{base}/action.{end}".removeprefix("./") for end in ("yml", "yaml")]
    path = next((one for one in found if run.folder.has(one)), found[0])
    document = next(iter(run.documents(path, "the action")), Map())
    held = document.below("runs")
    if str(held.get("using")).lower() != "composite":
        if held and actions.looks(name, inputs):
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
