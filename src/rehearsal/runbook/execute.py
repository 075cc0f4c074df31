"""Verify notebooks.

Nbval runs each in a room of its own, and what it finds becomes lines for people.
"""

import contextlib
import io
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rehearsal.errors import CannotCheck
from rehearsal.runbook.compare import Mask
from rehearsal.runbook.model import CELL_SECONDS, Pair, Problem, check_kernel, first_line
from rehearsal.runbook.progress import Progress
from rehearsal.settings import Settings

NBVAL = [
    "--disable-plugin-autoload",
    "--assert=plain",
    "-p",
    "nbval.plugin",
    "-p",
    "rehearsal.runbook.nbval_plugin",
]
NBVAL += ["-p", "no:cacheprovider", "--nbval", "-c", os.devnull, "--color=no"]
"""How pytest is called: no plugin that happens to be installed has a say in what is verified."""
FAILURE, NEEDED, PASSED_OVER = "rehearsal-failure", "rehearsal-needed", "rehearsal-passed-over"
"""What a cell's report holds: why it failed, the masks for some engines that it needed, that it was
not run here.
"""
_OURS = ("CellFailed", "RoomUnavailable", "NbCellError")


@dataclass(frozen=True)
class Checked:
    """What a verification did.

    Attributes:
        cells: those that ran, and whose output was compared.
        passed_over: cells that hold with another image store alone.
        not_run: cells after one that failed.
        problems: what is wrong: a cell that ends otherwise than it should, or what the texts
        themselves lack.
        differences: cells whose output differs from the recorded one.
        unchecked: what could not be run.
        needed: the masks for some engines that these outputs needed.
        by_notebook: how many cells of each ran and held, and how many were passed over.
    """

    notebooks: int
    cells: int
    commands: int
    seconds: float
    passed_over: int
    not_run: int
    problems: tuple[Problem, ...]
    differences: tuple[Problem, ...]
    unchecked: tuple[Problem, ...]
    needed: frozenset[str]
    by_notebook: Mapping[str, tuple[int, int]]

    @property
    def holds(self) -> bool:
        """Whether everything that was asked for ran, and is as recorded."""
        return not (self.problems or self.differences or self.unchecked)

    def __str__(self) -> str:
        counts = (self.notebooks, "notebook"), (self.cells, "cell"), (self.commands, "command")
        return (
            ", ".join(f"{n} {word}{'' if n == 1 else 's'}" for n, word in counts)
            + f", {self.seconds:.1f} s"
        )


def verify(
    settings: Settings, pairs: Sequence[Pair], masks: Sequence[Mask] = (), recorded: bool = True
) -> Checked:
    """Run all pairs against their recorded outputs.

    Raises CannotCheck where that is not possible at all.

    masks: those that these pairs must between them have a use for. recorded: whether each word must
    hold on this engine, so that its own masks are needed.
    """
    begin = time.monotonic()
    runnable = [pair for pair in pairs if pair.executed.exists()]
    for pair in runnable:
        check_kernel(pair)
    with ThreadPoolExecutor(1) as beside:
        outcome = _Outcome(
            runnable,
            Progress(_cells(runnable)),
            lambda: beside.submit(_read, settings, pairs, masks),
        )
        if runnable:
            _run_nbval(runnable, outcome)
        outcome.progress.close()
        found, commands = (
            outcome.reading.result() if outcome.reading else _read(settings, pairs, masks)
        )
    if not found:
        outcome.check_complete()
    if recorded and not (outcome.unchecked or outcome.not_run):
        found += _idle(masks, outcome.needed)
    return Checked(
        notebooks=len(pairs),
        cells=outcome.held.total(),
        commands=commands,
        seconds=time.monotonic() - begin,
        passed_over=outcome.over.total(),
        not_run=outcome.not_run,
        problems=(*found, *outcome.problems),
        differences=tuple(outcome.differences),
        unchecked=tuple(outcome.unchecked),
        needed=frozenset(outcome.needed),
        by_notebook={
            pair.name: (outcome.held[pair.name], outcome.over[pair.name]) for pair in pairs
        },
    )


def _idle(masks: Sequence[Mask], needed: set[str]) -> list[Problem]:
    idle = [mask.name for mask in masks if mask.on and mask.name not in needed]
    return [
        Problem(
            "masks", None, f"«{name}» is for this engine, and no output needs it: narrow its `on`"
        )
        for name in idle
    ]


def _cells(pairs: Sequence[Pair]) -> dict[str, int]:
    """Return how many cells that run each notebook holds."""
    cells = {pair.name: pair.read_executed().cells for pair in pairs}
    return {name: sum(cell.cell_type == "code" for cell in found) for name, found in cells.items()}


def _read(
    settings: Settings, pairs: Sequence[Pair], masks: Sequence[Mask]
) -> tuple[list[Problem], int]:
    from rehearsal.runbook.lint import count_commands, problems, unused_masks

    found = [problem for pair in pairs for problem in problems(pair, settings)] + unused_masks(
        pairs, masks
    )
    return found, sum(count_commands(pair.read_text()) for pair in pairs)


@dataclass
class _Outcome:
    """A pytest plugin that collects what each cell's run said."""

    pairs: Sequence[Pair]
    progress: Progress
    read: Callable[[], Future[tuple[list[Problem], int]]]
    reading: Future[tuple[list[Problem], int]] | None = None
    held: Counter[str] = field(default_factory=Counter)
    over: Counter[str] = field(default_factory=Counter)
    not_run: int = 0
    problems: list[Problem] = field(default_factory=list)
    differences: list[Problem] = field(default_factory=list)
    needed: set[str] = field(default_factory=set)
    unchecked: list[Problem] = field(default_factory=list)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self) -> None:
        """Read the texts beside the first cell.

        Before, the room that comes up has use for both processors.
        """
        self.reading = self.reading or self.read()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Read them at once where this process only waits for workers."""
        if session.config.pluginmanager.hasplugin("dsession"):
            self.reading = self.read()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.needed |= {str(name) for key, name in report.user_properties if key == NEEDED}
        if report.when == "call":
            self.progress.advance(_path_of(report).stem)
        if report.when == "call" and any(key == PASSED_OVER for key, _ in report.user_properties):
            self.over[_path_of(report).stem] += 1
        elif report.when == "call" and report.passed:
            self.held[_path_of(report).stem] += 1
        elif report.failed:
            self._add(report)

    def _add(self, report: pytest.TestReport) -> None:
        path, cell = _path_of(report), report.nodeid.partition("::")[2]
        pair = next((pair for pair in self.pairs if path.name == pair.executed.name), None)
        name = pair.name if pair else str(path)
        said = next(
            (json.loads(str(text)) for key, text in report.user_properties if key == FAILURE), None
        )
        source = _source(pair, cell) if pair else cell
        if said is None:
            self.unchecked.append(
                Problem(name, source, report.longreprtext.strip().splitlines()[-1])
            )
        elif "line" in said:
            what = (
                f"line {said['line']} of its output: expected {_quoted(said['expected'])}, came"
                f" {_quoted(said['came'])}"
            )
            self.differences.append(Problem(name, source, what))
        else:
            self._add_error(name, source, said)

    def _add_error(self, name: str, source: str, said: dict[str, str]) -> None:
        """Keep the first error of a notebook.

        Those after it only say that its shell or room is gone.
        """
        follows = "Not run:" in said["said"] or any(
            problem.notebook == name for problem in self.unchecked
        )
        if follows:
            self.not_run += 1
        elif said["name"] in ("RoomUnavailable", "RuntimeError"):
            self.unchecked.append(Problem(name, source, _meaning(said)))
        else:
            self.problems.append(Problem(name, source, _meaning(said)))

    def check_complete(self) -> None:
        """Raise CannotCheck if fewer cells were run than the notebooks hold."""
        held = sum(
            cell.cell_type == "code" for pair in self.pairs for cell in pair.read_executed().cells
        )
        run = self.held.total() + len(self.problems) + len(self.differences) + len(self.unchecked)
        run += self.not_run + self.over.total()
        if run < held:
            raise CannotCheck(f"nbval ran {run} cells, but the notebooks hold {held}.")


def _path_of(report: pytest.TestReport) -> Path:
    return Path(report.nodeid.partition("::")[0])


def _meaning(said: dict[str, str]) -> str:
    """Return an error's line, with the last thing that the cell printed before it."""
    printed = [line for line in said["printed"].splitlines() if line.strip()]
    named = "" if said["name"] in _OURS else f"{said['name']}: "
    return named + said["said"].strip() + (f" It printed last: {printed[-1]}" if printed else "")


def _quoted(line: str | None) -> str:
    return "the end" if line is None else f"`{line}`"


def _source(pair: Pair, cell: str) -> str:
    number = int(cell.rpartition(" ")[2])
    codes = [one for one in pair.read_executed().cells if one.cell_type == "code"]
    return first_line(codes[number].source)


def _run_nbval(pairs: Sequence[Pair], outcome: _Outcome) -> None:
    arguments = [
        *NBVAL,
        f"--rootdir={pairs[0].text.parent}",
        f"--nbval-cell-timeout={CELL_SECONDS}",
    ]
    if len(pairs) > 1:
        arguments += [
            "-p",
            "xdist.plugin",
            "--dist",
            "loadfile",
            "-n",
            str(min(len(pairs), 2 * (os.cpu_count() or 1))),
        ]
    os.environ.pop("PYTEST_ADDOPTS", None)  # it could say that outputs are not compared
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        status = pytest.main(
            [*arguments, *(str(pair.executed) for pair in pairs)], plugins=[outcome]
        )
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        for pair in pairs:
            pair.read_executed()  # says more than nbval of one that does not parse
        raise CannotCheck(f"nbval could not run: {output.getvalue().strip().splitlines()[-1]}")
