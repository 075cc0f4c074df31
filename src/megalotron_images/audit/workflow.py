"""GitHub's workflows: events, jobs, matrices of literals, steps, and the workflows they call."""

import itertools
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from megalotron_images.audit import actions, commands, mentions
from megalotron_images.audit.events import (
    Condition,
    Scenario,
    conditions,
    scenarios,
    triggers,
    unsure,
)
from megalotron_images.audit.job import Job
from megalotron_images.audit.model import Call, Fact, Place
from megalotron_images.audit.values import Scope, unknown
from megalotron_images.audit.yaml_files import Folder, Map, Seq, Unreadable, as_list, as_map

_MOST_ROWS = 64
_OURS = "megalotron/image-process/.github/workflows/publish-image.yml@"
"""The reusable workflow of the process itself, in lower case."""
_SECRETS = ("REGISTRY_USERNAME", "REGISTRY_TOKEN")


@dataclass(frozen=True)
class Workflow:
    """What a workflow does, and what starts it."""

    facts: list[Fact]
    starts: list[Scenario]


def follow(folder: Folder, name: str, repository: str) -> Workflow:
    """Return the facts of a workflow; raise Unreadable for what is none."""
    document = next(iter(folder.documents(name)), Map())
    jobs = document.below("jobs")
    if not jobs:
        raise Unreadable("it is no workflow: it has no jobs")
    facts: list[Fact] = []
    for key in jobs:
        job = jobs.below(key)
        when = _when(jobs, key, ())
        rows = _rows(job)
        names = _names(document, repository)
        base = Job(folder, name, f"{name} {key}", Scope(names), when, facts)
        if rows is None:
            base.doubt(
                Place(name, jobs.line(key)),
                f"{key}: its matrix",
                "it is not a small one of literals",
            )
        for at, row in enumerate(rows if rows is not None else [{}]):
            one = Job(folder, name, f"{name} {key} {at}", Scope({**names, **row}), when, facts)
            _job(one, document, job)
    spoken = [
        one.value for fact in facts for one in getattr(fact, "when", ()) if one.subject == "ref"
    ]
    return Workflow(facts, scenarios(document, spoken))


def _names(document: Map, repository: str) -> dict[str, str]:
    """Return what is known of GitHub's names in every job."""
    names = {}
    if repository:
        owner, _, bare = repository.partition("/")
        names |= {"github.repository": repository, "github.repository_owner": owner}
        names["github.event.repository.name"] = bare
    for event, given in triggers(document).items():
        for key in given.below("inputs"):
            default = given.below("inputs").below(key).text("default")
            names[f"inputs.{key.lower()}"] = unknown(f"inputs.{key}={default}")
        for key in given.below("secrets") if event == "workflow_call" else ():
            names[f"secrets.{key.lower()}"] = unknown(f"the caller’s secret {key}")
    return names


def _when(jobs: Map, key: str, above: tuple[str, ...]) -> tuple[Condition, ...]:
    """Return the conditions of a job and of those that it needs."""
    job = jobs.below(key)
    own = conditions(job.text("if"))
    if key in above or re.search(r"always\(\)|failure\(\)|cancelled\(\)", job.text("if")):
        return own
    needed = [
        _when(jobs, one, (*above, key))
        for one in as_list(job.get("needs", []))[:20]
        if len(above) < 20
    ]
    return tuple(dict.fromkeys(itertools.chain(own, *needed)))


def _rows(job: Map) -> list[dict[str, str]] | None:
    """Return the rows of a job's matrix, by names; None for one that is not of literals."""
    if "matrix" not in job.below("strategy"):
        return [{}]
    matrix = as_map(job.below("strategy")["matrix"])
    axes = {key: value for key, value in matrix.items() if key not in ("include", "exclude")}
    parts = [*axes.values(), *(matrix[one] for one in ("include", "exclude") if one in matrix)]
    if not matrix or not all(isinstance(one, Seq) and "${{" not in str(one) for one in parts):
        return None
    if math.prod(map(len, axes.values())) + len(matrix.get("include", ())) > _MOST_ROWS:
        return None
    rows = (
        [dict(zip(axes, one, strict=True)) for one in itertools.product(*axes.values())]
        if axes
        else []
    )
    rows = [
        one
        for one in rows
        if not any(_fits(out, one) for out in map(as_map, matrix.get("exclude", ())))
    ]
    original = [dict(one) for one in rows]
    for more in map(as_map, matrix.get("include", ())):
        shared = {key: value for key, value in more.items() if key in axes}
        fitting = [at for at, row in enumerate(original) if _fits(shared, row)]
        for at in fitting:
            rows[at] |= more
        if not fitting:
            rows.append(dict(more))
    return [dict(_flat("matrix", row)) for row in rows] or [{}]


def _fits(part: dict[str, object], row: dict[str, object]) -> bool:
    return all(row.get(key) == value for key, value in part.items())


def _flat(name: str, node: object) -> Iterable[tuple[str, str]]:
    """Yield the texts below a node by their names with dots, in lower case."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _flat(f"{name}.{key}".lower(), value)
    elif isinstance(node, str):
        yield name, node


def _job(job: Job, document: Map, held: Map) -> None:
    """Follow one row of a job."""
    set_env(job, document.below("env"))
    set_env(job, held.below("env"))
    if "uses" in held:
        _call(job, held)
        return
    for at, step in enumerate(map(as_map, held.get("steps", ()))):
        _step(job, step, step.text("id").lower() or f"\x00{at}", _shell(document, held, step))


def set_env(job: Job, given: Map) -> None:
    """Set environment variables for what follows."""
    for key in given:
        job.scope.set_env(key, job.scope.put(given.text(key)))


def _shell(document: Map, held: Map, step: Map) -> str:
    """Return the shell of a step, empty for bash."""
    defaults = (one.below("defaults").below("run").text("shell") for one in (held, document))
    windows = "pwsh" if "windows" in f"{held.get('runs-on')}{held.get('strategy')}" else ""
    shell = next(filter(None, [step.text("shell"), *defaults]), windows)
    return "" if re.match(r"(/bin/)?(ba)?sh\b", shell) else shell


def _step(job: Job, step: Map, name: str, shell: str) -> None:
    """Follow a step, with its own variables and under its own condition."""
    before, when = job.scope.env, job.when
    own = conditions(step.text("if"))
    job.when, job.is_conditional = (*when, *own), bool(own)
    set_env(job, step.below("env"))
    if "run" in step:
        place = Place(job.file, step.line("run"))
        if not shell:
            commands.follow(job, step.text("run"), place, name)
        elif mentions.pushes(step.text("run")) or any(
            map(mentions.may_push, step.text("run").splitlines())
        ):
            job.doubt(place, step.text("run").strip().split("\n")[0], f"{shell} is not read")
    elif "uses" in step:
        actions.follow(job, step)
    added = job.when[len(when) + len(own) :]
    job.scope.env, job.when = before | job.exported, (*when, *added)


def _call(job: Job, held: Map) -> None:
    """Note a call of the process's own workflow; one of others is a doubt, unless it is here."""
    uses, place = job.scope.put(held.text("uses")), Place(job.file, held.line("uses"))
    if uses.lower().startswith(_OURS):
        given, secrets = held.below("with"), held.below("secrets")
        stack, inherited = job.scope.put(given.text("stack")), held.text("secrets") == "inherit"
        values = tuple(
            (
                unknown(f"secrets.{one}") if inherited else job.scope.put(secrets.text(one)),
                Place(job.file, secrets.line(one, default=place.line)),
            )
            for one in _SECRETS
        )
        for row, line in enumerate(given.text("build-args").splitlines()):
            actions.leak(job, Place(job.file, given.line("build-args", row)), job.scope.put(line))
        job.facts.append(Call(place, job.name, stack, values))
    elif uses.startswith("./"):
        if uses.removeprefix("./") not in job.folder.names():
            job.doubt(place, uses, "the workflow is not in the folder")
    elif not mentions.harmless_workflow(uses):
        job.doubt(place, uses, "a workflow of another repository is not followed")
