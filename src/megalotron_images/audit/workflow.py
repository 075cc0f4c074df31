"""GitHub's workflows: events, jobs, matrices of literals, steps, and the workflows they call."""

import itertools
import math
import re

from megalotron_images.audit import actions, commands, mentions
from megalotron_images.audit.events import Scenario, When, conditions, holds, scenarios, triggers
from megalotron_images.audit.job import Facts, Job
from megalotron_images.audit.model import Call, Fact, Place
from megalotron_images.audit.values import Scope, unknown
from megalotron_images.audit.yaml_files import Folder, Map, Seq, Unreadable, as_list, as_map

_MOST_ROWS = 64
_OURS = "megalotron/image-process/.github/workflows/publish-image.yml@"
"""The reusable workflow of the process itself, in lower case."""
_HARMLESS = mentions.PATTERNS["harmless_workflows"]
_SECRETS = ("REGISTRY_USERNAME", "REGISTRY_TOKEN")


def follow(folder: Folder, name: str, repository: str) -> tuple[list[Fact], list[Scenario]]:
    """Return what a workflow does, and what starts it; raise Unreadable for what is none."""
    document = next(iter(folder.documents(name)), Map())
    jobs, starts = document.below("jobs"), scenarios(document, folder.text(name))
    if not jobs:
        raise Unreadable("it is no workflow: it has no jobs")
    facts = Facts()
    for key in jobs:
        when, rows = _when(jobs, key, ()), _rows(jobs.below(key))
        for at, row in enumerate([{}] if rows is None else rows):
            scope = Scope(_names(document, repository) | row)
            job = Job(folder, name, f"{name} {key} {at}", scope, when, facts)
            if rows is None:
                job.doubt(Place(name, jobs.line(key)), key, "its matrix is not one of few literals")
            _job(job, document, jobs.below(key), starts)
    return facts, starts


def _names(document: Map, repository: str) -> dict[str, str]:
    """Return what is known of GitHub's names in every job."""
    owner, _, bare = repository.partition("/")
    names = {"repository": repository, "repository_owner": owner, "event.repository.name": bare}
    found = {f"github.{name}": value for name, value in names.items() if value}
    for given in triggers(document).values():
        for key, one in given.below("inputs").items():
            default = as_map(one).text("default")
            found[f"inputs.{key.lower()}"] = unknown(
                f"inputs.{key}" + f"={default}" * bool(default)
            )
    if "workflow_call" in triggers(document):
        for one in _SECRETS:
            found[f"secrets.{one.lower()}"] = unknown(f"the caller's {one}")
    return found


def _when(jobs: Map, key: str, above: tuple[str, ...]) -> When:
    """Return the conditions of a job and of those that it needs."""
    own = conditions(jobs.below(key).text("if"))
    if (
        key in above
        or len(above) > 9
        or re.search(r"(always|failure|cancelled)\(", jobs.below(key).text("if"))
    ):
        return own
    needed = as_list(jobs.below(key).get("needs"))[:9]
    return own + tuple(
        one for name in needed[: 9 - len(above)] for one in _when(jobs, name, (*above, key))
    )


def _rows(job: Map) -> list[dict[str, str]] | None:
    """Return the rows of a job's matrix, by names; None for one that is not of few literals."""
    matrix = job.below("strategy").below("matrix")
    axes = {key: value for key, value in matrix.items() if key != "include"}
    include = matrix.get("include", Seq())
    lists = [*axes.values(), include]
    if (
        not all(isinstance(one, Seq) and "${{" not in str(one) for one in lists)
        or "exclude" in axes
    ):
        return None
    if "matrix" in job.below("strategy") and not matrix:
        return None
    if math.prod(map(len, axes.values())) + len(include) > _MOST_ROWS:
        return None
    rows = [dict(zip(axes, one, strict=True)) for one in itertools.product(*axes.values())] * bool(
        axes
    )
    original = [dict(one) for one in rows]
    for more in map(as_map, include):
        shared = {key: value for key, value in more.items() if key in axes}
        fitting = [
            row for row, old in zip(rows, original, strict=False) if shared.items() <= old.items()
        ]
        for row in fitting:
            row.update(more)
        rows += [] if fitting else [dict(more)]
    return [_flat(row) for row in rows] or [{}]


def _flat(row: dict[str, object]) -> dict[str, str]:
    """Return the texts of a row by their names in lower case, those of its mappings too."""
    found = {f"matrix.{key}".lower(): one for key, one in row.items() if isinstance(one, str)}
    for key, inner in row.items():
        found |= {
            f"matrix.{key}.{k}".lower(): v for k, v in as_map(inner).items() if isinstance(v, str)
        }
    return found


def _job(job: Job, document: Map, held: Map, starts: list[Scenario]) -> None:
    """Follow one row of a job: its steps, or what it calls, if any event lets it run."""
    for given in (document, held):
        _set_env(job, given)
    shells = [one.below("defaults").below("run").text("shell") for one in (held, document)]
    shells += ["pwsh"] if "windows" in f"{held.get('runs-on')}{held.get('strategy')}" else []
    steps = [held] if "uses" in held else held.get("steps", ())
    for at, step in enumerate(map(as_map, steps)):
        before, when = job.scope.env, job.when
        own = conditions(step.text("if")) if step is not held else ()
        if not starts or any(holds((*when, *own), one) is not False for one in starts):
            job.when, job.is_sure = (*when, *own), not own
            _set_env(job, step)
            _step(job, step, step.text("id") or f"\x00{at}", [step.text("shell"), *shells])
        job.scope.env, job.when = before | job.exported, (*when, *job.when[len(when) + len(own) :])


def _set_env(job: Job, given: Map) -> None:
    for key in given.below("env"):
        job.scope.env = job.scope.env | {key: job.scope.put(given.below("env").text(key))}


def _step(job: Job, step: Map, name: str, shells: list[str]) -> None:
    """Follow a step: a script of bash, an action, or a job's call of a workflow."""
    place, text = Place(job.file, step.line("run")), step.text("run")
    shell = next(filter(None, shells), "bash")
    if "run" in step and re.match(r"(/bin/)?(ba)?sh\b", shell):
        commands.follow(job, text, place, name)
    elif "run" in step and any(map(mentions.may_push, [text[:3000], *text.splitlines()])):
        job.doubt(place, text.strip().split("\n")[0], f"a script of {shell} is not read")
    elif "uses" in step and ("steps" in step or "/.github/workflows/" in step.text("uses")):
        _call(job, step)
    elif "uses" in step:
        actions.follow(job, step)


def _call(job: Job, held: Map) -> None:
    """Note a call of the process's own workflow; one of others is a doubt, unless it is here."""
    uses, place = job.scope.put(held.text("uses")), Place(job.file, held.line("uses"))
    given, secrets = held.below("with"), held.below("secrets")
    if uses.lower().startswith(_OURS):
        is_all = held.text("secrets") == "inherit"
        texts = [f"${{{{ secrets.{one} }}}}" if is_all else secrets.text(one) for one in _SECRETS]
        places = [Place(job.file, secrets.line(one, default=place.line)) for one in _SECRETS]
        values = tuple(zip(map(job.scope.put, texts), places, strict=True))
        actions.leaks(job, given)
        job.facts.append(Call(place, job.name, job.scope.put(given.text("stack")), values))
    elif uses.removeprefix("./") not in job.folder.names() and not _HARMLESS.match(uses):
        job.doubt(place, uses, "this workflow is not followed")
