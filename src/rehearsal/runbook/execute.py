"""Run notebooks, each in a room of its own: to verify what they show, or to refresh it.

nbval is the runner of both. It compares each cell's outputs with those recorded (nbval_plugin);
what it finds becomes an outcome, and lines for people.
"""

import contextlib
import io
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from rehearsal.errors import CannotCheck
from rehearsal.runbook.kernel import check_kernel
from rehearsal.runbook.lint import count_commands, problems, unused_masks
from rehearsal.runbook.masks import Mask
from rehearsal.runbook.model import Notebook, Runbook
from rehearsal.runbook.outcome import RESULT, Outcome, Problem
from rehearsal.runbook.progress import Progress
from rehearsal.settings import Settings, seconds_to_start

NBVAL = ["--disable-plugin-autoload", "--assert=plain", "-p", "nbval.plugin"]
NBVAL += ["-p", "rehearsal.runbook.nbval_plugin", "-p", "no:cacheprovider", "--nbval"]
NBVAL += ["-c", os.devnull, "--color=no"]
"""Arguments of pytest: no plugin that happens to be installed takes part."""


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
    found = [problem for one in runbooks for problem in problems(one, settings)]
    found += unused_masks(runbooks, masks)
    outcome = run(executed)
    if not found and outcome.cells < (held := sum(len(one.code) for one in executed.values())):
        raise CannotCheck(f"nbval ran {outcome.cells} cells, but the notebooks hold {held}.")
    if recorded and not (outcome.unchecked or outcome.not_run):
        idle = [one.name for one in masks if one.engines and one.name not in outcome.needed]
        what = "is for this engine, and no output needs it: narrow its `engines`"
        found += [Problem("masks", None, f"«{name}» {what}") for name in idle]
    outcome.problems = found + outcome.problems
    outcome.notebooks = len(runbooks)
    outcome.commands = sum(count_commands(one.text) for one in runbooks)
    outcome.seconds = time.monotonic() - begin
    return outcome


def run(notebooks: Mapping[Path, Notebook]) -> Outcome:
    """Run notebooks in rooms, with nbval.

    Raises CannotCheck unless each asks for the rehearsal's kernel.
    """
    for name in [one for one in os.environ if one.startswith("PYTEST_")]:
        del os.environ[name]  # options of pytest: what to load and to compare
    os.environ.update(LC_ALL="C")  # messages are not translated
    for path, notebook in notebooks.items():
        check_kernel(notebook.kernel, _name(path))
    collector = _Collector({_name(path): notebook for path, notebook in notebooks.items()})
    with contextlib.closing(collector.progress):
        if notebooks:
            _run_nbval([*notebooks], collector)
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
                counter = outcome.skipped if "skipped" in found else outcome.held
                counter[name] += 1
        if report.failed:
            # pytest-xdist reports a worker that died, without a result
            what = found.get("what") or report.longreprtext.strip().splitlines()[-1]
            problem = Problem(name, self.notebooks[name].code[number].first_line, what)
            self._add(found.get("kind", "unchecked"), problem)

    def _add(self, kind: str, problem: Problem) -> None:
        """Record a failure; behind a cell that could not be run only count it."""
        gone = {one.notebook for one in self.outcome.unchecked}
        if kind == "not_run" or problem.notebook in gone:
            self.outcome.not_run += 1
        else:
            getattr(self.outcome, kind).append(problem)


def _name(path: Path) -> str:
    """Return the runbook's name for a notebook or a draft."""
    return path.stem.removeprefix(".")


def _run_nbval(paths: Sequence[Path], collector: _Collector) -> None:
    seconds = seconds_to_start()
    limits = [f"--nbval-cell-timeout={5 * seconds}", f"--nbval-kernel-startup-timeout={seconds}"]
    arguments = [*NBVAL, f"--rootdir={paths[0].parent}", *limits]
    if len(paths) > 1:
        workers = min(len(paths), 2 * (os.cpu_count() or 1))
        arguments += ["-p", "xdist.plugin", "--dist", "loadfile", "-n", str(workers)]
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        status = pytest.main([*arguments, *map(str, paths)], plugins=[collector])
    ran = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)
    if status not in ran:
        raise CannotCheck(f"nbval could not run: {output.getvalue().strip().splitlines()[-1]}")
