"""Verify notebooks: nbval runs each in a room of its own, and what it finds becomes lines for people."""

import contextlib
import io
import json
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rehearsal.errors import CannotCheck
from rehearsal.masks import Mask
from rehearsal.notebooks import CELL_SECONDS, Pair, Problem, check_kernel, first_line
from rehearsal.settings import Settings

NBVAL = ["--disable-plugin-autoload", "--assert=plain", "-p", "nbval.plugin", "-p", "rehearsal.nbval_plugin"]
NBVAL += ["-p", "no:cacheprovider", "--nbval", "-c", os.devnull, "--color=no"]
"""How pytest is called: no plugin that happens to be installed has a say in what is verified."""
_OURS = ("CellFailed", "RoomUnavailable", "NbCellError")


@dataclass(frozen=True)
class Checked:
    """What a verification did: how much it compared, how long it took, and what it found wrong."""

    notebooks: int
    cells: int
    commands: int
    seconds: float
    not_run: int
    problems: tuple[Problem, ...]
    unchecked: tuple[Problem, ...]

    def __str__(self) -> str:
        counts = (self.notebooks, "notebook"), (self.cells, "cell"), (self.commands, "command")
        return ", ".join(f"{n} {word}{'' if n == 1 else 's'}" for n, word in counts) + f", {self.seconds:.1f} s"


def verify(settings: Settings, pairs: Sequence[Pair], masks: Sequence[Mask] = ()) -> Checked:
    """Run all pairs against their recorded outputs; raise CannotCheck where that is not possible at all.

    masks: those that these pairs must between them have a use for.
    """
    begin = time.monotonic()
    runnable = [pair for pair in pairs if pair.executed.exists()]
    for pair in runnable:
        check_kernel(pair)
    with ThreadPoolExecutor(1) as beside:
        outcome = _Outcome(runnable, lambda: beside.submit(_read, settings, pairs, masks))
        if runnable:
            _run_nbval(runnable, outcome)
        found, commands = outcome.reading.result() if outcome.reading else _read(settings, pairs, masks)
    if not found:
        outcome.check_complete()
    return Checked(
        notebooks=len(pairs),
        cells=outcome.compared,
        commands=commands,
        seconds=time.monotonic() - begin,
        not_run=outcome.not_run,
        problems=(*found, *outcome.problems),
        unchecked=tuple(outcome.unchecked),
    )


def _read(settings: Settings, pairs: Sequence[Pair], masks: Sequence[Mask]) -> tuple[list[Problem], int]:
    from rehearsal.proof import count_commands, problems, unused_masks

    found = [problem for pair in pairs for problem in problems(pair, settings)] + unused_masks(pairs, masks)
    return found, sum(count_commands(pair.read_text()) for pair in pairs)


@dataclass
class _Outcome:
    """A pytest plugin that collects what each cell's run said."""

    pairs: Sequence[Pair]
    read: Callable[[], Future[tuple[list[Problem], int]]]
    reading: Future[tuple[list[Problem], int]] | None = None
    compared: int = 0
    not_run: int = 0
    problems: list[Problem] = field(default_factory=list)
    unchecked: list[Problem] = field(default_factory=list)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self) -> None:
        """Read the texts beside the first cell: before, the room that comes up has use for both processors."""
        self.reading = self.reading or self.read()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Read them at once where this process only waits for workers."""
        if session.config.pluginmanager.hasplugin("dsession"):
            self.reading = self.read()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            self.compared += 1
        elif report.failed:
            self._add(report)

    def _add(self, report: pytest.TestReport) -> None:
        path, _, cell = report.nodeid.partition("::")
        pair = next((pair for pair in self.pairs if Path(path).name == pair.executed.name), None)
        name = pair.name if pair else path
        said = next((json.loads(str(text)) for key, text in report.user_properties if key == "rehearsal-failure"), None)
        source = _source(pair, cell) if pair else cell
        if said is None:
            self.unchecked.append(Problem(name, source, report.longreprtext.strip().splitlines()[-1]))
        elif "line" in said:
            what = (
                f"line {said['line']} of its output: expected {_quoted(said['expected'])}, came {_quoted(said['came'])}"
            )
            self.problems.append(Problem(name, source, what))
        else:
            self._add_error(name, source, said)

    def _add_error(self, name: str, source: str, said: dict[str, str]) -> None:
        """Keep the first error of a notebook: those after it only say that its shell or room is gone."""
        follows = "Not run:" in said["said"] or any(problem.notebook == name for problem in self.unchecked)
        if follows:
            self.not_run += 1
        elif said["name"] in ("RoomUnavailable", "RuntimeError"):
            self.unchecked.append(Problem(name, source, _meaning(said)))
        else:
            self.problems.append(Problem(name, source, _meaning(said)))

    def check_complete(self) -> None:
        """Raise CannotCheck if fewer cells were run than the notebooks hold."""
        held = sum(cell.cell_type == "code" for pair in self.pairs for cell in pair.read_executed().cells)
        run = self.compared + len(self.problems) + len(self.unchecked) + self.not_run
        if run < held:
            raise CannotCheck(f"nbval ran {run} cells, but the notebooks hold {held}.")


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
    arguments = [*NBVAL, f"--rootdir={pairs[0].text.parent}", f"--nbval-cell-timeout={CELL_SECONDS}"]
    if len(pairs) > 1:
        arguments += ["-p", "xdist.plugin", "--dist", "loadfile", "-n", str(min(len(pairs), 2 * (os.cpu_count() or 1)))]
    os.environ.pop("PYTEST_ADDOPTS", None)  # it could say that outputs are not compared
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        status = pytest.main([*arguments, *(str(pair.executed) for pair in pairs)], plugins=[outcome])
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        for pair in pairs:
            pair.read_executed()  # says more than nbval of one that does not parse
        raise CannotCheck(f"nbval could not run: {output.getvalue().strip().splitlines()[-1]}")
