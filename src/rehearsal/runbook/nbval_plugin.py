"""A pytest plugin that replaces nbval's comparison by this project's masks.

nbval's own sanitizers cannot hold a value equal from cell to cell. What is found of a cell crosses
from the worker in its report, as JSON under RESULT: its `outputs`; the engine-specific masks that
they `needed`; whether it was `skipped` on this engine; of what failed the `kind`, a list of
Outcome or `not_run`, and the words (`what`).
"""

import copy
import functools
import json
from collections.abc import Generator
from typing import Any

import nbval.kernel
import pytest
from nbval.plugin import IPyNbCell, NbCellError

from rehearsal.cell.magic import LEFT
from rehearsal.cell.options import NOT_HERE, shell_cell
from rehearsal.cell.redact import FLOOD, MOST
from rehearsal.errors import Wrong
from rehearsal.room.engine import choose_engine
from rehearsal.runbook.compare import as_text, excerpt, first_difference
from rehearsal.runbook.kernel import get_message, private_manager
from rehearsal.runbook.masks import Mask, Masked, masks_for, masks_that_mattered
from rehearsal.runbook.outcome import RESULT
from rehearsal.runbook.undo import undeclared_leftovers
from rehearsal.settings import load_settings

nbval.kernel.KernelManager = private_manager  # nbval has no setting for either
nbval.kernel.RunningKernel.get_message = get_message
_OURS = ("CannotCheck", "Ended", "Interrupted", "NbCellError", "NotRun", "Refused", "Wrong")
_NOT_CHECKED = ("CannotCheck", "RuntimeError")


def pytest_itemcollected(item: Any) -> None:
    """Replace nbval's comparison."""
    if isinstance(item, IPyNbCell):
        item.found = {}
        item.compare_outputs = functools.partial(_compare, item)


def _compare(cell: Any, now: list[Any], recorded: list[Any], skip_compare: Any = None) -> bool:
    found, shell = cell.found, shell_cell(cell.cell.source)
    came, expected = as_text(now), as_text(recorded)
    masks, left, right = _sides(cell.parent)
    if max(len(came), len(expected)) > 2 * MOST:  # of a cell of Python
        cell.test_outputs.clear()
        raise Wrong(f"{FLOOD}.")
    before = copy.deepcopy(left)  # a line is counted as it was before `left` learned its values
    masked = left.mask(expected)
    if shell and shell.store and came.startswith(NOT_HERE):
        found["skipped"] = True
        return True
    found["needed"] = masks_that_mattered(masks, expected, came)
    difference = first_difference(masked, right.mask(came))
    if difference is None:
        return True
    line = before.line_of(expected, difference[0])
    cell.comparison_traceback = [f"line {line} of the output differs"]
    found |= {"kind": "differences", "what": f"line {line} of its output: {difference[1]}"}
    return False


@functools.cache
def _sides(notebook: Any) -> tuple[tuple[Mask, ...], Masked, Masked]:
    engine = choose_engine(settings := load_settings(notebook.path.parent))
    left = Masked(masks := masks_for(settings, engine))
    return masks, left, Masked(masks, left if engine.store != settings.store else None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: Any) -> Generator[None]:
    """After a notebook's last cell, fail it if the room is not as before its first."""
    yield
    if isinstance(item, IPyNbCell):
        code = [cell for cell in item.parent.nb.cells if cell.cell_type == "code"]
        if item.cell_num == len(code) - 1 and (why := _left(item.parent)):
            raise Wrong(why)


def _left(notebook: Any) -> str:
    """Return how what a notebook leaves differs from what it declares, or nothing."""
    said: list[dict[str, Any]] = []
    notebook.kernel.kc.execute_interactive(
        f"%{LEFT}", store_history=False, allow_stdin=False, output_hook=said.append, timeout=60
    )
    left = json.loads("".join(one["content"].get("text", "") for one in said))
    return undeclared_leftovers(left, notebook.nb.metadata.get("rehearsal", {}))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: Any, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what was found to a cell's report."""
    report = yield
    if isinstance(item, IPyNbCell):
        found, outputs = item.found, item.test_outputs or []
        if call.excinfo and "kind" not in found:
            found |= _failure(outputs, call.excinfo.value)
        report.user_properties = [(RESULT, json.dumps(found | {"outputs": outputs}))]
    return report


def _failure(outputs: list[Any], error: BaseException) -> dict[str, str]:
    """Return the kind and the words of a failure, with the last line that the cell printed."""
    name, message = type(error).__name__, str(error)
    for output in outputs:
        if output["output_type"] == "error":
            name, message = output["ename"], output["evalue"]
    unchecked = name in _NOT_CHECKED or not isinstance(error, NbCellError | Wrong)
    kind = "not_run" if name == "NotRun" else "unchecked" if unchecked else "problems"
    what = message.strip() if name in _OURS else f"{name}: {message.strip()}"
    printed = as_text([one for one in outputs if one["output_type"] == "stream"])
    if lines := [line for line in printed.splitlines() if line.strip()]:
        what += f" It printed last: {excerpt(lines[-1])}"
    return {"kind": kind, "what": what}
