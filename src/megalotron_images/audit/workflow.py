"""GitHub's workflows: events, jobs, matrices of literals, steps, and the workflows they call."""

import itertools
import math
import re

from megalotron_images.audit import actions, commands, mentions, rules
from megalotron_images.audit.events import When, holds, scenarios, triggers
from megalotron_images.audit.job import Job
from megalotron_images.audit.model import CALLED, OK, WRITES, Audit, Rule
from megalotron_images.audit.values import unknown
from megalotron_images.audit.yaml_files import Map, Text, Unreadable, as_list, as_map
from megalotron_images.convention import REGISTRY

_MOST_ROWS, _MOST_NEEDED, _STEP = 64, 20, 10
"""Rows of a matrix; jobs that one needs; what a step costs, in characters."""
_OTHER_SHELL = re.compile(r"'shell': '(?!(/bin/)?(ba)?sh\b)|windows")
_HARMLESS = mentions.PATTERNS["harmless_workflows"]


def follow(audit: Audit, name: str) -> None:
    """Note what a workflow does; raise Unreadable for a file that is not one."""
    document = next(iter(audit.folder.documents(name)), Map())
    held, starts = document.below("jobs"), [*scenarios(document, audit.folder.text(name))]
    if not held or "<<:" in audit.folder.text(name):
        raise Unreadable("it is not a workflow: it has no jobs, or it merges mappings")
    names, jobs = _names(document, audit.repository), list[Job]()
    for key in held:
        for row in _rows(held.below(key)):
            known = {f"matrix.{x}".lower(): str(v) for x, v in row.items() if isinstance(v, Text)}
            jobs.append(Job(audit, name, starts, names | known, _when(held, key)))
            _steps(jobs[-1], document, held.below(key))
    _logins(jobs)


def _logins(jobs: list[Job]) -> None:
    """Judge the logins of a workflow's jobs: what they need depends on what is pushed."""
    is_pushing = any(one.is_pushing for one in jobs)
    for job, (use, given) in [(one, login) for one in jobs for login in one.logins]:
        (address, place), *secrets = given
        host = re.sub(r"^https?://|/.*", "", address.strip()).lower()
        if is_pushing:
            job.audit.find(Rule.REGISTRY, rules.registry(host), (address or rules.HUB, place), use)
        elif host != REGISTRY or not any(one.is_pulling for one in jobs):
            job.audit.doubt(use, address, "nothing is seen that needs this login", WRITES)
        if job.is_pushing:
            rules.credentials(job.audit, secrets, use)


def _names(document: Map, repository: str) -> dict[str, str]:
    """Return what is known of GitHub's names in every job."""
    owner, _, bare = repository.partition("/")
    found = dict(zip(rules.OWNED, (repository, owner, bare), strict=True)) if repository else {}
    if "workflow_call" in triggers(document):
        found |= {f"secrets.{x.lower()}": unknown(f"the caller's {x}") for x in rules.SECRETS}
    return found


def _when(jobs: Map, key: str) -> When:
    """Return the conditions of a job and of those that it needs."""
    keys = [key]
    for one in itertools.islice(keys, _MOST_NEEDED):  # which grows
        if not re.search(r"(always|failure|cancelled)\(", jobs.below(one).text("if")):
            keys += as_list(jobs.below(one).get("needs"))[:_MOST_NEEDED]
    return tuple(jobs.below(one).text("if") for one in keys[:_MOST_NEEDED])


def _rows(job: Map) -> list[Map]:
    """Return the rows of a job's matrix; raise Unreadable unless it has few literals."""
    matrix = job.below("strategy").below("matrix")
    is_simple = len(matrix) == 1 or not {"include", "exclude"} & matrix.keys()
    is_literal = all(isinstance(one, list) and "${{" not in str(one) for one in matrix.values())
    is_few = is_literal and 0 < math.prod(map(len, matrix.values())) <= _MOST_ROWS
    if not (is_simple and is_few) or ("matrix" in job.below("strategy") and not matrix):
        raise Unreadable("a matrix is not a list of literals: a few axes, or an include")
    product = itertools.product(*matrix.values())
    every = matrix.get("include") or (Map(zip(matrix, one, strict=True)) for one in product)
    return [*map(as_map, every)]


def _steps(job: Job, document: Map, held: Map) -> None:
    """Follow one row of a job: its steps, or what it calls, if any event lets it run."""
    _set_env(job, document, held)
    given = [document.get("defaults"), *map(held.get, ("defaults", "runs-on", "strategy"))]
    for at, step in enumerate(map(as_map, [held] if "uses" in held else held.get("steps", ()))):
        if not job.audit.spend(_STEP, job.place(Text())):
            break
        env, when = job.env, job.when
        job.when += (step.text("if"),) * (step is not held)
        if not job.starts or any(holds(job.when, one) is not False for one in job.starts):
            _set_env(job, step)
            is_bash = not _OTHER_SHELL.search(str([Map(shell=step.get("shell")), *given]))
            _step(job, step, step.text("id") or f"\x00{at}", is_bash)
        job.env, job.when = env | job.exported, when


def _set_env(job: Job, *given: Map) -> None:
    for env in (one.below("env") for one in given):
        job.env = job.env | {key: job.put(env.text(key)) for key in env}


def _step(job: Job, step: Map, name: str, is_bash: bool) -> None:
    """Follow a step: a script of bash, an action, or a job's call of a workflow."""
    text = step.text("run")
    if "run" in step and is_bash and job.audit.spend(len(text), job.place(text)):
        commands.Script(job, text, name).follow(is_sure=not step.text("if"))
    elif "run" in step and any(map(mentions.may_push, [text[:3000], *text.splitlines()])):
        job.doubt(job.place(text), text.strip().split("\n")[0], "only bash and sh are read")
    elif "uses" in step and ("steps" in step or "/.github/workflows/" in step.text("uses")):
        _call(job, step)
    elif "uses" in step:
        actions.follow(job, step)


def _call(job: Job, held: Map) -> None:
    """Note a call of the process's own workflow; one of others is a doubt, unless it is here."""
    uses, place = job.put(held.text("uses")), job.place(held.text("uses"))
    given, secrets = held.below("with"), held.below("secrets")
    if uses.lower().startswith(f"megalotron/image-process/.github/workflows/{CALLED}@"):
        default = "${{{{ secrets.{} }}}}" if held.text("secrets") == "inherit" else ""
        texts = [secrets.text(x) or Text(default.format(x), place.line) for x in rules.SECRETS]
        rules.credentials(job.audit, [job.read(one) for one in texts], place)
        stack = job.put(given.text("stack"))
        job.audit.find(Rule.NAME, rules.stack(stack), (stack, place), place)
        for rule in (Rule.REGISTRY, Rule.TAG, Rule.EVENT, Rule.LOGIN):
            job.audit.find(rule, OK, (CALLED, place), place)
        job.leak(map(job.read, given.text("build-args").rows()))
    elif uses.removeprefix("./") not in job.audit.folder.names and not _HARMLESS.match(uses):
        job.doubt(place, uses, "this workflow is not followed")
