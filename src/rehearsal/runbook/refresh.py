"""Refresh notebooks: run their texts, and write what changed."""

import contextlib
import copy
from collections.abc import Iterator, Sequence
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from rehearsal.errors import CannotCheck, RehearsalError, Wrong
from rehearsal.runbook.execute import run
from rehearsal.runbook.lint import drift
from rehearsal.runbook.model import Runbook
from rehearsal.runbook.outcome import Outcome


def refresh_notebooks(runbooks: Sequence[Runbook]) -> Iterator[tuple[Runbook, bool]]:
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
        outcome = run({path: one.text for path, one in paths.items()})
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
        # nbval compares with these
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
    failures = dict[str, RehearsalError]()
    for kind, problems in ((CannotCheck, outcome.unchecked), (Wrong, outcome.problems)):
        for found in problems:
            failures.setdefault(found.notebook, kind(str(found)))
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
        name = path.name.removeprefix(".")
        raise CannotCheck(
            f"{name} cannot be written ({error.strerror}); it is as it was before."
        ) from error
