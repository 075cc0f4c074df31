"""GitHub's workflows, followed: events, jobs, matrices, steps, and what they call."""

import itertools
import re
from dataclasses import replace
from typing import Any

from megalotron_images.audit import expressions, steps
from megalotron_images.audit.events import github, scenarios, triggers
from megalotron_images.audit.expressions import MAYBE, Empty, as_text, render, value_of
from megalotron_images.audit.knowledge import PATTERNS
from megalotron_images.audit.model import Fact, Place, Run
from megalotron_images.audit.texts import PROBES, Hole, merged, one_of, put, unknown
from megalotron_images.audit.yaml_files import Folder, Map, Unreadable, as_list, parse, texts_of

_MOST_ROWS = 60
_CALLER = parse("on: [workflow_dispatch, release]")[0]
"""How a caller that nobody sees may start a workflow."""
_OURS = "megalotron/image-process/.github/workflows/publish-image.yml@"
"""The reusable workflow of the process itself, in lower case."""


def follow(folder: Folder, name: str, repository: str, is_called: bool, facts: list[Fact]) -> None:
    """Note the facts of a workflow, over all events that start it.

    is_called: another workflow of the folder calls it, from where it is followed.
    Raises Unreadable for what is no workflow.
    """
    document = folder.document(name)
    if not document.below("jobs"):
        raise Unreadable("it is no workflow: it has no jobs")
    starts = scenarios(document, folder.text(name))
    if set(triggers(document)) <= {"workflow_call"}:
        if is_called:
            return
        event = unknown("the event of the caller")
        starts = [replace(one, event=event) for one in scenarios(_CALLER, folder.text(name))]
    for scenario in starts:
        run = Run(folder, f"{name} {scenario}", {}, Place(name, 1), facts)
        run.contexts = {"github": github(scenario, repository), "env": {}}
        given = triggers(document).get(scenario.event) or triggers(document).get("workflow_call")
        run.contexts["inputs"] = _chosen(given or Map())
        run.contexts["github"]["event"]["inputs"] = run.contexts["inputs"]
        _workflow(run, document)


def _chosen(given: Map) -> dict[str, str]:
    """Return inputs that a person or a caller chooses, each with its default among the examples."""
    found = {}
    for name in given.below("inputs"):
        settings = given.below("inputs").below(name)
        default = (settings["default"],) if settings.get("default") else ()
        if settings.get("type") == "boolean":
            found[name] = MAYBE
        else:
            examples = tuple(settings.get("options", ())) or PROBES
            found[name] = put(Hole(f"inputs.{name}", (*default, *map(str, examples))))
    return found


def _workflow(run: Run, document: Map) -> dict[str, Any]:
    """Follow the jobs of a workflow; return the outputs of each."""
    steps.set_env(run, document.get("env"))
    run.contexts["defaults"] = _defaults(document)
    done = dict[str, Any]()
    jobs = document["jobs"]
    for name in jobs:
        _needed(run, jobs, name, done)
    return done


def _needed(run: Run, jobs: Map, name: str, done: dict[str, Any]) -> None:
    """Follow a job after those that it needs."""
    job = jobs.get(name)
    if name in done or not isinstance(job, Map):
        return
    done[name] = Empty()
    needs = as_list(job.get("needs", []))
    for one in needs:
        _needed(run, jobs, one, done)
    skipped = [one for one in needs if isinstance(done.get(one), Empty)]
    asked = job.get("if", "")
    if skipped and not re.search(r"always\(\)|cancelled\(\)|failure\(\)", asked):
        return
    contexts = run.contexts | {"needs": {one: done.get(one, {}) for one in needs}}
    holds = expressions.condition(asked, contexts)
    if holds is False:
        return
    rows = _matrix(job, contexts)
    if len(rows) > _MOST_ROWS:
        run.doubt(f"the job {name} has a matrix of {len(rows)} rows: {_MOST_ROWS} are looked at")
    rows = rows[:_MOST_ROWS]
    results = [_job(run, job, name, contexts | {"matrix": one}, at) for at, one in enumerate(rows)]
    ends = [{key: as_text(value) for key, value in one.items()} for one in results]
    outputs = merged([*ends, *[{}] * (holds is None)])
    done[name] = {"outputs": outputs, "result": one_of("how it ended", "success", "failure")}


def _matrix(job: Map, contexts: dict[str, Any]) -> list[Any]:
    """Return the rows of a job's matrix (GitHub's documentation, "Running variations of jobs")."""
    matrix = value_of(job.below("strategy").get("matrix", {}), contexts)
    if isinstance(matrix, str):
        return [unknown("matrix")]
    values = {key: value_of(held, contexts) for key, held in matrix.items()}
    include, exclude = (values.pop(key, []) for key in ("include", "exclude"))
    lists = {k: v if isinstance(v, list) else [unknown(f"matrix.{k}")] for k, v in values.items()}
    combined = itertools.product(*lists.values()) if lists else ()
    rows = [dict(zip(lists, one, strict=True)) for one in combined]
    rows = [{k: value_of(v, contexts) for k, v in row.items()} for row in rows]
    if isinstance(exclude, list):
        rows = [r for r in rows if not any(_within(one, r) for one in exclude)]
    original = [dict(one) for one in rows]
    for one in include if isinstance(include, list) else [{"": ""}]:
        if not isinstance(one, dict):
            return [unknown("matrix")]
        more = {key: value_of(value, contexts) for key, value in one.items()}
        shared = {key: value for key, value in more.items() if key in lists}
        fits = [at for at, row in enumerate(original) if _within(shared, row)]
        for at in fits:
            rows[at] |= more
        if not fits:
            rows.append(more)
    return rows or [{}]


def _within(part: dict[str, Any], row: dict[str, Any]) -> bool:
    return all(row.get(key) == value for key, value in part.items())


def _job(run: Run, job: Map, name: str, contexts: dict[str, Any], row: int) -> dict[str, Any]:
    """Follow one row of a job; return its outputs."""
    strategy = {"job-index": str(row)}
    contexts = contexts | {"env": dict(contexts["env"]), "steps": {}, "strategy": strategy}
    inner = replace(run, job=f"{run.job} {name} {row}", contexts=contexts, files={}, tagged=[])
    inner.origins = dict(run.origins)
    for value, line in texts_of(job.get("strategy")):
        inner.bind(value, Place(inner.place.file, line))
    if "uses" in job:
        return _call(inner, job)
    steps.set_env(inner, job.get("env"))
    windows = {"shell": "pwsh"} if "windows" in render(job.get("runs-on"), inner.contexts) else {}
    given = windows | contexts["defaults"] | _defaults(job)
    settings = {key: render(one, inner.contexts) for key, one in given.items()}
    steps.follow(inner, job.get("steps"), settings)
    return steps.outputs_of(inner, job.below("outputs"))


def _call(run: Run, job: Map) -> dict[str, Any]:
    """Follow a reusable workflow; one of another repository is a doubt, but for the process's."""
    target, line = job["uses"], job.lines["uses"]
    run.place = Place(run.place.file, line)
    given, secrets = job.below("with"), job.get("secrets") or Map()
    inputs = {key: value_of(text, run.contexts) for key, text in given.items()}
    if target.startswith("./"):
        return _call_here(run, target[2:], inputs, secrets)
    if target.lower().startswith(_OURS):
        names = ("REGISTRY_USERNAME", "REGISTRY_TOKEN")
        own = {one: f"${{{{secrets.{one}}}}}" for one in names}
        held = own if secrets == "inherit" else secrets
        username, token = (render(held.get(one, ""), run.contexts) for one in names)
        with run.at(Place(run.place.file, job.below("secrets").lines.get(names[1], line))):
            run.login("ghcr.io", username, token)
        stack = as_text(inputs.get("stack", ""))
        decided = unknown("the tag that the helper decides", ("main",))
        run.push(f"ghcr.io/megalotron/{stack}:{decided}", judged=True)
    elif given or not PATTERNS["harmless_workflows"].search(target):
        run.doubt(f"the workflow {target.partition('@')[0]} is in another repository")
    return {}


def _call_here(run: Run, name: str, inputs: dict[str, Any], secrets: Any) -> dict[str, Any]:
    """Follow a reusable workflow of the folder with its inputs and secrets."""
    inner = run.deeper(Place(name, 1))
    documents = run.documents(name, "the workflow")
    if inner is None or not documents:
        return {}
    document = documents[0]
    declared = triggers(document).get("workflow_call", Map())
    asked = declared.below("inputs")
    defaults = {key: asked.below(key).get("default", "") for key in asked}
    inner.contexts = {"github": run.contexts["github"], "env": {}, "inputs": defaults | inputs}
    if isinstance(secrets, Map):
        inner.contexts["secrets"] = {k: render(v, run.contexts) for k, v in secrets.items()}
        inner.contexts["secrets"].setdefault("GITHUB_TOKEN", expressions.secret("GITHUB_TOKEN"))
        for key, text in inner.contexts["secrets"].items():
            run.bind(text, Place(run.place.file, secrets.lines.get(key, run.place.line)))
    inner.contexts["jobs"] = _workflow(inner, document)
    return steps.outputs_of(inner, declared.below("outputs"))


def _defaults(node: Map) -> dict[str, Any]:
    """Return the settings of a workflow or job for its scripts."""
    return dict(node.below("defaults").below("run"))
