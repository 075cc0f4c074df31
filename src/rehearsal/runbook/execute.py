"""Run notebooks, each in a room of its own: to verify what they show, or to refresh it.

nbval is the runner of both. It compares each cell's outputs with those recorded (nbval_plugin);
what it finds becomes an outcome, and lines for people.
"""

import contextlib
import copy
import functools
import io
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
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
FAILURE, NEEDED, PASSED_OVER = "rehearsal-failure", "rehearsal-needed", "rehearsal-passed-over"
OUTPUTS = "rehearsal-outputs"
"""Keys of a cell's report: its failure, engine-specific masks it needed, that it was not run on
this engine, and its outputs.
"""
_OURS = ("CellFailed", "CellNotRun", "RoomUnavailable", "NbCellError", "Wrong")


@dataclass
class Outcome:
    """The result of a run; counters are by notebook.

    Attributes:
        held: cells that ran, with the recorded output.
        passed_over: cells that hold with another image store alone.
        not_run: cells after one that failed.
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
            yield f"{self.not_run} cells after a failed one were not run."
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
            raise CannotCheck(
                f"{engine} is not a recorded engine: every cell ends as it should, and"
                f" {len(self.differences)} print other words than the pages show."
            )

    def __str__(self) -> str:
        counts = (
            (self.notebooks, "notebook"),
            (self.held.total(), "cell"),
            (self.commands, "command"),
        )
        said = ", ".join(f"{n} {word}{'' if n == 1 else 's'}" for n, word in counts)
        return f"{said}, {self.seconds:.1f} s"


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
    executed = {one.name: one.executed for one in runbooks if one.executed_path.exists()}
    for name, notebook in executed.items():
        check_kernel(notebook.kernel, name)
    paths = {one.executed_path: executed[one.name] for one in runbooks if one.name in executed}
    with ThreadPoolExecutor(1) as beside:
        lint = functools.partial(beside.submit, _lint, settings, runbooks, masks)
        outcome, linted = _run(paths, lint)
        found = linted.result() if linted else _lint(settings, runbooks, masks)
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
    for one in runbooks:
        check_kernel(one.text.kernel, one.name)
    drafts = {one: _with_recorded_outputs(one) for one in runbooks}
    with contextlib.ExitStack() as files:
        paths = {files.enter_context(_draft(*each)): each[0].text for each in drafts.items()}
        outcome, _ = _run(paths, None)
    failures = [found for one in runbooks if (found := _failure(one, outcome))]
    for runbook, draft in drafts.items():
        if _failure(runbook, outcome):
            continue
        holds = _holds(runbook, outcome)
        if not holds:
            code = (cell for cell in draft.cells if cell.cell_type == "code")
            for number, cell in enumerate(code):
                cell.execution_count = number + 1
                cell.outputs = nbformat.from_dict(outcome.outputs[runbook.name, number])
                for output in cell.outputs:
                    if output.output_type == "execute_result":
                        output.execution_count = number + 1
            _write(runbook.executed_path, nbformat.writes(draft) + "\n")
        yield runbook, not holds
    if failures:
        raise failures[0]


def _with_recorded_outputs(runbook: Runbook) -> NotebookNode:
    from jupytext.combine import combine_inputs_with_outputs

    draft = copy.deepcopy(runbook.text.node)
    if runbook.executed_path.exists():
        draft = combine_inputs_with_outputs(draft, runbook.executed.node, "md")
    for name in ("language_info", "jupytext"):
        draft.metadata.pop(name, None)
    return draft


def _failure(runbook: Runbook, outcome: Outcome) -> RehearsalError | None:
    for found in outcome.unchecked:
        if found.notebook == runbook.name:
            return CannotCheck(f"{found} What it said stands above.")
    for found in outcome.problems:
        if found.notebook == runbook.name:
            return Wrong(str(found))
    return None


def _holds(runbook: Runbook, outcome: Outcome) -> bool:
    """Whether the recorded outputs still match this run, and the cells the text."""
    if not runbook.executed_path.exists():
        return False
    executed = all(cell.executed for cell in runbook.executed.code)
    differs = any(found.notebook == runbook.name for found in outcome.differences)
    return executed and not differs and drift(runbook.text, runbook.executed) is None


@contextlib.contextmanager
def _draft(runbook: Runbook, draft: NotebookNode) -> Iterator[Path]:
    """Yield the path of a draft, hidden beside the runbook: its room copies that folder."""
    path = runbook.path.with_name(f".{runbook.name}.ipynb")
    try:
        path.write_text(nbformat.writes(draft))
    except OSError as error:
        raise _unwritable(runbook.executed_path, error) from error
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _write(path: Path, text: str) -> None:
    """Replace a file completely, or leave it as it was."""
    new = path.with_name(f".{path.name}.new")
    try:
        new.write_text(text)
        new.replace(path)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> CannotCheck:
    said = f"{path.name} cannot be written ({error.strerror}); it is as it was before."
    return CannotCheck(said)


Lint = Callable[[], Future[list[Problem]]]


def _run(
    notebooks: Mapping[Path, Notebook], lint: Lint | None
) -> tuple[Outcome, Future[list[Problem]] | None]:
    """Run notebooks; return the outcome, and the lint that was started meanwhile."""
    counts = {_name(path): len(notebook.code) for path, notebook in notebooks.items()}
    collector = _Collector(notebooks, Progress(counts), lint)
    if notebooks:
        _run_nbval([*notebooks], collector)
    collector.progress.close()
    return collector.outcome, collector.linting


@dataclass
class _Collector:
    """A pytest plugin that collects the outcome."""

    notebooks: Mapping[Path, Notebook]
    progress: Progress
    lint: Lint | None
    linting: Future[list[Problem]] | None = None
    outcome: Outcome = field(default_factory=Outcome)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self) -> None:
        """Start linting with the first cell: earlier it would compete with the room's start."""
        self._begin_to_lint()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Start linting at once where other processes run the cells."""
        if session.config.pluginmanager.hasplugin("dsession"):
            self._begin_to_lint()

    def _begin_to_lint(self) -> None:
        if self.lint and self.linting is None:
            self.linting = self.lint()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        outcome, (name, number) = self.outcome, _place(report)
        said = [(key, str(value)) for key, value in report.user_properties]
        outcome.needed |= {value for key, value in said if key == NEEDED}
        if report.when == "call":
            self.progress.advance(name)
            for printed in (value for key, value in said if key == OUTPUTS):
                outcome.outputs[name, number] = json.loads(printed)
        if report.when == "call" and any(key == PASSED_OVER for key, _ in said):
            outcome.passed_over[name] += 1
        elif report.when == "call" and report.passed:
            outcome.held[name] += 1
        elif report.failed:
            self._add(report, name, number)

    def _add(self, report: pytest.TestReport, name: str, number: int) -> None:
        """Record a failure; after a notebook's first error only count, as its shell is gone."""
        notebook = next((one for path, one in self.notebooks.items() if _name(path) == name), None)
        cell = notebook.code[number].first_line if notebook else None
        said = next((json.loads(str(v)) for k, v in report.user_properties if k == FAILURE), None)
        outcome = self.outcome
        if said is None:
            last = report.longreprtext.strip().splitlines()[-1]
            outcome.unchecked.append(Problem(name, cell, last))
        elif "line" in said:
            came = f"expected {_quoted(said['expected'])}, came {_quoted(said['came'])}"
            what = f"line {said['line']} of its output: {came}"
            outcome.differences.append(Problem(name, cell, what))
        elif said["name"] == "CellNotRun" or name in {one.notebook for one in outcome.unchecked}:
            outcome.not_run += 1
        elif said["name"] in ("RoomUnavailable", "RuntimeError"):
            outcome.unchecked.append(Problem(name, cell, _meaning(said)))
        else:
            outcome.problems.append(Problem(name, cell, _meaning(said)))


def _place(report: pytest.TestReport) -> tuple[str, int]:
    """Return a report's notebook and number of the code cell."""
    path, _, cell = report.nodeid.partition("::")
    return _name(Path(path)), int(cell.rpartition(" ")[2])


def _name(path: Path) -> str:
    """Return the runbook's name for a notebook or a draft."""
    return path.stem.removeprefix(".")


def _meaning(said: Mapping[str, str]) -> str:
    """Return an error with the last line that the cell printed."""
    printed = [line for line in said["printed"].splitlines() if line.strip()]
    named = "" if said["name"] in _OURS else f"{said['name']}: "
    return named + said["said"].strip() + (f" It printed last: {printed[-1]}" if printed else "")


def _quoted(line: str | None) -> str:
    return "the end" if line is None else f"`{line}`"


def _run_nbval(paths: Sequence[Path], collector: _Collector) -> None:
    arguments = [*NBVAL, f"--rootdir={paths[0].parent}", f"--nbval-cell-timeout={CELL_SECONDS}"]
    if len(paths) > 1:
        workers = min(len(paths), 2 * (os.cpu_count() or 1))
        arguments += ["-p", "xdist.plugin", "--dist", "loadfile", "-n", str(workers)]
    os.environ.pop("PYTEST_ADDOPTS", None)  # it could say that outputs are not compared
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        status = pytest.main([*arguments, *map(str, paths)], plugins=[collector])
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise CannotCheck(f"nbval could not run: {output.getvalue().strip().splitlines()[-1]}")
