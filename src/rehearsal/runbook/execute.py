"""Run notebooks, each in a room of its own: to verify what they show, or to refresh it.

nbval is the runner of both. It compares each cell's outputs with those recorded (nbval_plugin);
what it finds becomes an outcome, and lines for people.
"""

import contextlib
import copy
import io
import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat import NotebookNode

from rehearsal.errors import CannotCheck, RehearsalError, Wrong
from rehearsal.room.engine import Engine
from rehearsal.runbook.compare import Mask
from rehearsal.runbook.kernel import check_kernel
from rehearsal.runbook.lint import Problem, count_commands, drift, problems, unused_masks
from rehearsal.runbook.model import Notebook, Runbook
from rehearsal.runbook.progress import Progress
from rehearsal.settings import Settings

CELL_SECONDS = 300
NBVAL = ["--disable-plugin-autoload", "--assert=plain", "-p", "nbval.plugin"]
NBVAL += ["-p", "rehearsal.runbook.nbval_plugin", "-p", "no:cacheprovider", "--nbval"]
NBVAL += ["-c", os.devnull, "--color=no"]
"""Arguments of pytest: no plugin that happens to be installed takes part."""
RESULT = "rehearsal-result"
"""Key of what nbval_plugin adds to a cell's report."""


@dataclass
class Outcome:
    """The result of a run; counters are by notebook.

    Attributes:
        held: cells that ran, with the recorded output.
        passed_over: cells that hold with another image store alone.
        not_run: cells after one that failed or could not be run, but for those that hold.
        problems: cells that end otherwise than declared, and problems of the texts.
        differences: cells whose output differs from the recorded one.
        unchecked: cells that could not be run.
        needed: engine-specific masks that these outputs needed.
        outputs: each cell's outputs, by notebook and number.
        notebooks: how many.
        commands: how many shell commands their texts hold.
        seconds: the duration.
    """

    held: Counter[str] = field(default_factory=Counter)
    passed_over: Counter[str] = field(default_factory=Counter)
    not_run: int = 0
    problems: list[Problem] = field(default_factory=list)
    differences: list[Problem] = field(default_factory=list)
    unchecked: list[Problem] = field(default_factory=list)
    needed: set[str] = field(default_factory=set)
    outputs: dict[tuple[str, int], list[Any]] = field(default_factory=dict)
    notebooks: int = 0
    commands: int = 0
    seconds: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether everything ran and matched."""
        return not (self.problems or self.differences or self.unchecked or self.not_run)

    @property
    def cells(self) -> int:
        """How many cells are accounted for."""
        found = (self.problems, self.differences, self.unchecked)
        return self.held.total() + self.passed_over.total() + self.not_run + sum(map(len, found))

    def lines(self) -> Iterator[str]:
        """Yield the lines for a person."""
        yield from map(str, (*self.problems, *self.differences, *self.unchecked))
        if self.not_run:
            yield f"Cells not checked, after a failed one: {self.not_run}."
        if over := self.passed_over.total():
            alone = "hold with another image store alone: not run, and not verified here."
            yield f"{over} cells {alone}"

    def judge(self, engine: Engine, recorded: bool) -> None:
        """Raise Wrong or CannotCheck unless the runbooks hold on an engine."""
        if left := len(self.unchecked) or (not self.problems and self.not_run):
            raise CannotCheck(f"{left} could not be checked.")
        if wrong := len(self.problems) + (len(self.differences) if recorded else 0):
            raise Wrong(f"{wrong} of what the pages show does not hold.")
        if self.differences:
            other = f"{len(self.differences)} print other words than the pages show"
            unknown = f"{engine} is not a recorded engine"
            raise CannotCheck(f"{unknown}: every cell ends as it should, and {other}.")

    def __str__(self) -> str:
        counts = {"notebook": self.notebooks, "cell": self.held.total(), "command": self.commands}
        counted = ", ".join(f"{n} {word}{'' if n == 1 else 's'}" for word, n in counts.items())
        return f"{counted}, {self.seconds:.1f} s"


def verify(
    settings: Settings,
    runbooks: Sequence[Runbook],
    masks: Sequence[Mask] = (),
    recorded: bool = True,
) -> Outcome:
    """Run runbooks and compare their outputs with the recorded ones.

    masks: those that these runbooks together must need. recorded: whether every word must hold on
    this engine, so that its own masks are needed. Raises CannotCheck where nothing can be run.
    """
    begin = time.monotonic()
    executed = {one.executed_path: one.executed for one in runbooks if one.executed_path.exists()}
    _check_kernels(executed)  # first: it imports IPython, which two threads cannot do at once
    with ThreadPoolExecutor(1) as beside:
        linting = beside.submit(_lint, settings, runbooks, masks)
        outcome = _run(executed)
        found = linting.result()
    if not found and outcome.cells < (held := sum(len(one.code) for one in executed.values())):
        raise CannotCheck(f"nbval ran {outcome.cells} cells, but the notebooks hold {held}.")
    if recorded and not (outcome.unchecked or outcome.not_run):
        found += _idle(masks, outcome.needed)
    outcome.problems = found + outcome.problems
    outcome.notebooks = len(runbooks)
    outcome.commands = sum(count_commands(one.text) for one in runbooks)
    outcome.seconds = time.monotonic() - begin
    return outcome


def _lint(settings: Settings, runbooks: Sequence[Runbook], masks: Sequence[Mask]) -> list[Problem]:
    found = [problem for one in runbooks for problem in problems(one, settings)]
    return found + unused_masks(runbooks, masks)


def _idle(masks: Sequence[Mask], needed: set[str]) -> list[Problem]:
    idle = [mask.name for mask in masks if mask.on and mask.name not in needed]
    what = "is for this engine, and no output needs it: narrow its `on`"
    return [Problem("masks", None, f"«{name}» {what}") for name in idle]


def refresh(runbooks: Sequence[Runbook]) -> Iterator[tuple[Runbook, bool]]:
    """Execute texts in rooms; yield each runbook, and whether its notebook was written.

    A notebook whose cells and masked outputs still match is left alone, as is one with a failed
    cell. At the end raises Wrong or CannotCheck for the first of those.
    """
    drafts = {one: _with_recorded_outputs(one) for one in runbooks}
    # hidden beside the runbooks: their rooms copy that folder
    paths = {one.path.with_name(f".{one.name}.ipynb"): one for one in runbooks}
    try:
        for path, one in paths.items():
            _write(path, drafts[one])
        texts = {path: one.text for path, one in paths.items()}
        _check_kernels(texts)
        outcome = _run(texts)
    finally:
        for path in paths:
            with contextlib.suppress(OSError):  # one that could not be written
                path.unlink()
    failures = _failures(outcome)
    for one in runbooks:
        if one.name not in failures:
            holds = _holds(one, outcome)
            if not holds:
                _write(one.executed_path, _with_new_outputs(drafts[one], one.name, outcome))
            yield one, not holds
    for one in runbooks:
        if one.name in failures:
            raise failures[one.name]


def _with_recorded_outputs(runbook: Runbook) -> NotebookNode:
    from jupytext.combine import combine_inputs_with_outputs

    draft = copy.deepcopy(runbook.text.node)
    if runbook.executed_path.exists():
        draft = combine_inputs_with_outputs(draft, runbook.executed.node, "md")
    for name in ("language_info", "jupytext"):
        draft.metadata.pop(name, None)
    return draft


def _with_new_outputs(draft: NotebookNode, name: str, outcome: Outcome) -> NotebookNode:
    for number, cell in enumerate(cell for cell in draft.cells if cell.cell_type == "code"):
        cell.execution_count = number + 1
        cell.outputs = nbformat.from_dict(outcome.outputs[name, number])
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = number + 1
    return draft


def _failures(outcome: Outcome) -> dict[str, RehearsalError]:
    """Return the first failure of each notebook."""
    failures: dict[str, RehearsalError] = {}
    for found in outcome.unchecked:
        failures.setdefault(found.notebook, CannotCheck(f"{found} What it said stands above."))
    for found in outcome.problems:
        failures.setdefault(found.notebook, Wrong(str(found)))
    return failures


def _holds(runbook: Runbook, outcome: Outcome) -> bool:
    """Whether the recorded outputs still match this run, and the cells the text."""
    if not runbook.executed_path.exists():
        return False
    executed = all(cell.executed for cell in runbook.executed.code)
    differs = any(found.notebook == runbook.name for found in outcome.differences)
    return executed and not differs and drift(runbook.text, runbook.executed) is None


def _write(path: Path, notebook: NotebookNode) -> None:
    """Replace a file completely, or leave it as it was."""
    new = path.with_name(f".{path.name}.new")
    try:
        new.write_text(nbformat.writes(notebook) + "\n")
        new.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            new.unlink()
        unwritable = f"{path.name.removeprefix('.')} cannot be written ({error.strerror})"
        raise CannotCheck(f"{unwritable}; it is as it was before.") from error


def _check_kernels(notebooks: Mapping[Path, Notebook]) -> None:
    for path, notebook in notebooks.items():
        check_kernel(notebook.kernel, _name(path))


def _run(notebooks: Mapping[Path, Notebook]) -> Outcome:
    """Run notebooks in rooms, with nbval."""
    collector = _Collector({_name(path): notebook for path, notebook in notebooks.items()})
    if notebooks:
        _run_nbval([*notebooks], collector)
    collector.progress.close()
    return collector.outcome


class _Collector:
    """A pytest plugin that collects the outcome."""

    def __init__(self, notebooks: Mapping[str, Notebook]) -> None:
        self.notebooks = notebooks
        self.progress = Progress({name: len(one.code) for name, one in notebooks.items()})
        self.outcome = Outcome()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add a cell's report."""
        path, _, cell = report.nodeid.partition("::")
        name, number = _name(Path(path)), int(cell.rpartition(" ")[2])
        outcome = self.outcome
        found = json.loads(str(dict(report.user_properties).get(RESULT, "{}")))
        outcome.needed.update(found.get("needed", ()))
        if report.when == "call":
            self.progress.advance(name)
            outcome.outputs[name, number] = found["outputs"]
            if report.passed:
                (outcome.passed_over if "passed_over" in found else outcome.held)[name] += 1
        if report.failed:
            # pytest-xdist reports a worker that died, without a result
            what = found.get("what") or report.longreprtext.strip().splitlines()[-1]
            problem = Problem(name, self.notebooks[name].code[number].first_line, what)
            self._add(found.get("kind", "unchecked"), problem)

    def _add(self, kind: str, problem: Problem) -> None:
        """Record a failure; after a notebook's first error only count, as it may follow from it."""
        outcome = self.outcome
        gone = {one.notebook for one in outcome.unchecked}
        if kind == "not_run" or problem.notebook in gone:
            outcome.not_run += 1
        elif kind == "differences":
            outcome.differences.append(problem)
        elif kind == "unchecked":
            outcome.unchecked.append(problem)
        else:
            outcome.problems.append(problem)


def _name(path: Path) -> str:
    """Return the runbook's name for a notebook or a draft."""
    return path.stem.removeprefix(".")


def _run_nbval(paths: Sequence[Path], collector: _Collector) -> None:
    arguments = [*NBVAL, f"--rootdir={paths[0].parent}", f"--nbval-cell-timeout={CELL_SECONDS}"]
    if len(paths) > 1:
        workers = min(len(paths), 2 * (os.cpu_count() or 1))
        arguments += ["-p", "xdist.plugin", "--dist", "loadfile", "-n", str(workers)]
    os.environ.pop("PYTEST_ADDOPTS", None)  # it could say that outputs are not compared
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        status = pytest.main([*arguments, *map(str, paths)], plugins=[collector])
    ran = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)
    if status not in ran:
        raise CannotCheck(f"nbval could not run: {output.getvalue().strip().splitlines()[-1]}")
