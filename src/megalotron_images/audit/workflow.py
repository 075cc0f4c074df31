"""GitHub's workflows: events, jobs, matrices of literals, steps, and the workflows they call."""

import itertools
import math
import re

from megalotron_images.audit import actions, commands, mentions
from megalotron_images.audit.events import Scenario, When, conditions, holds, scenarios, triggers
from megalotron_images.audit.job import Job
from megalotron_images.audit.model import Call, Fact
from megalotron_images.audit.values import unknown
from megalotron_images.audit.yaml_files import Folder, Map, Text, Unreadable, as_list, as_map

_MOST_ROWS, _MOST_NEEDED = 64, 9
_STEP = 10
"""What a step costs, in characters."""
_OURS = "megalotron/image-process/.github/workflows/publish-image.yml@"
"""The reusable workflow of the process itself, in lower case."""
_HARMLESS = mentions.PATTERNS["harmless_workflows"]
_SECRETS = ("REGISTRY_USERNAME", "REGISTRY_TOKEN")
Rows = list[dict[str, str]]


def follow(folder: Folder, name: str, repository: str) -> tuple[list[Fact], list[Scenario]]:
    """Return what a workflow does, and what starts it; raise Unreadable for what is none."""
    document = next(iter(folder.documents(name)), Map())
    jobs, starts = document.below("jobs"), scenarios(document, folder.text(name))
    if not jobs:
        raise Unreadable("it is no workflow: it has no jobs")
    facts = list[Fact]()
    for key in jobs:
        when, rows = _when(jobs, key, ()), _rows(jobs.below(key))
        for at, row in enumerate([{}] if rows is None else rows):
            names = _names(document, repository) | row
            job = Job(folder, name, f"{name} {key} {at}", names, when, facts)
            if rows is None:
                job.doubt(
                    job.place(jobs.below(key).below("strategy")),
                    key,
                    "its matrix is not of literals: a few axes, or an include",
                )
            _job(job, document, jobs.below(key), starts)
    return facts, starts


def _names(document: Map, repository: str) -> dict[str, str]:
    """Return what is known of GitHub's names in every job."""
    owner, _, bare = repository.partition("/")
    names = {"repository": repository, "repository_owner": owner, "event.repository.name": bare}
    found = {f"github.{name}": value for name, value in names.items() if value}
    for given in triggers(document).values():
        for key, one in given.below("inputs").items():
            if default := as_map(one).text("default"):
                found[f"inputs.{key.lower()}"] = unknown(f"inputs.{key}={default}")
    if "workflow_call" in triggers(document):
        found |= {f"secrets.{one.lower()}": unknown(f"the caller's {one}") for one in _SECRETS}
    return found


def _when(jobs: Map, key: str, above: tuple[str, ...]) -> When:
    """Return the conditions of a job and of those that it needs."""
    asked = jobs.below(key).text("if")
    needed = as_list(jobs.below(key).get("needs"))[: _MOST_NEEDED - len(above)]
    if key in above or re.search(r"(always|failure|cancelled)\(", asked):
        needed = []
    below = (_when(jobs, name, (*above, key)) for name in needed)
    return (*conditions(asked), *itertools.chain.from_iterable(below))


def _rows(job: Map) -> Rows | None:
    """Return the rows of a job's matrix, by names; None for one that is not of few literals."""
    matrix = job.below("strategy").below("matrix")
    is_simple = len(matrix) == 1 or not {"include", "exclude"} & matrix.keys()
    is_literal = all(isinstance(one, list) and "${{" not in str(one) for one in matrix.values())
    is_few = is_literal and math.prod(map(len, matrix.values())) <= _MOST_ROWS
    if not (is_simple and is_few) or ("matrix" in job.below("strategy") and not matrix):
        return None
    if "include" in matrix:
        return [_flat(as_map(one)) for one in matrix["include"]]
    every = itertools.product(*matrix.values())
    return [_flat(Map(zip(matrix, one, strict=True))) for one in every]


def _flat(row: Map) -> dict[str, str]:
    """Return the texts of a row by their names in lower case."""
    return {f"matrix.{key}".lower(): str(row.text(key)) for key in row if row.text(key)}


def _job(job: Job, document: Map, held: Map, starts: list[Scenario]) -> None:
    """Follow one row of a job: its steps, or what it calls, if any event lets it run."""
    for given in (document, held):
        _set_env(job, given)
    shells = [str(one.below("defaults").below("run").get("shell", "")) for one in (held, document)]
    shells += ["pwsh"] if "windows" in f"{held.get('runs-on')}{held.get('strategy')}" else []
    steps = [held] if "uses" in held else held.get("steps", ())
    for at, step in enumerate(map(as_map, steps)):
        job.folder.budget -= _STEP
        if job.folder.budget < 0:
            job.doubt(job.place(held), job.name, "there is too much to be read")
            break
        before, when = job.env, job.when
        own = conditions(step.text("if")) if step is not held else ()
        if not starts or any(holds((*when, *own), one) is not False for one in starts):
            job.when, job.is_sure = (*when, *own), not own
            _set_env(job, step)
            shell = next(filter(None, [step.text("shell"), *shells]), "bash")
            _step(job, step, step.text("id") or f"\x00{at}", shell)
        job.env, job.when = before | job.exported, (*when, *job.when[len(when) + len(own) :])


def _set_env(job: Job, given: Map) -> None:
    for key in given.below("env"):
        job.env = job.env | {key: job.put(given.below("env").text(key))}


def _step(job: Job, step: Map, name: str, shell: str) -> None:
    """Follow a step: a script of bash, an action, or a job's call of a workflow."""
    text = step.text("run")
    if "run" in step and re.match(r"(/bin/)?(ba)?sh\b", shell):
        commands.follow(job, text, name)
    elif "run" in step and any(map(mentions.may_push, [text[:3000], *text.splitlines()])):
        reason = f"a script of {shell} is not read"
        job.doubt(job.place(text), text.strip().partition("\n")[0], reason)
    elif "uses" in step and ("steps" in step or "/.github/workflows/" in step.text("uses")):
        _call(job, step)
    elif "uses" in step:
        actions.follow(job, step)


def _call(job: Job, held: Map) -> None:
    """Note a call of the process's own workflow; one of others is a doubt, unless it is here."""
    uses, place = job.put(held.text("uses")), job.place(held.text("uses"))
    given, secrets = held.below("with"), held.below("secrets")
    if uses.lower().startswith(_OURS):
        if held.text("secrets") == "inherit":
            secrets = Map({one: Text(f"${{{{ secrets.{one} }}}}", place.line) for one in _SECRETS})
        texts = [secrets.text(one) or Text("", place.line) for one in _SECRETS]
        actions.leaks(job, given)
        values = tuple((job.put(one), job.place(one)) for one in texts)
        job.facts.append(Call(place, job.name, job.put(given.text("stack")), values))
    elif uses.removeprefix("./") not in job.folder.names() and not _HARMLESS.match(uses):
        job.doubt(place, uses, "this workflow is not followed")
