"""A pytest plugin that replaces nbval's comparison by this project's masks.

nbval's own sanitizers cannot hold a value equal from cell to cell.
"""

import copy
import json
from pathlib import Path
from typing import Any

import nbval.kernel
import pytest
from nbval.plugin import IPyNbCell, NbCellError

from rehearsal.cell.magic import LEFT
from rehearsal.cell.options import NOT_HERE, shell_cell
from rehearsal.errors import CannotCheck, Wrong
from rehearsal.room.engine import choose_engine
from rehearsal.runbook.compare import (
    Mask,
    Masked,
    as_text,
    first_difference,
    in_order,
    masks_for,
    needed,
)
from rehearsal.runbook.execute import FAILURE, NEEDED, OUTPUTS, PASSED_OVER
from rehearsal.runbook.kernel import private_manager
from rehearsal.runbook.undo import disagreement
from rehearsal.settings import load_settings

nbval.kernel.KernelManager = private_manager
_SIDES = pytest.StashKey[tuple[tuple[Mask, ...], Masked, Masked]]()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Replace nbval's comparison."""
    if isinstance(item, IPyNbCell):
        cell: Any = item
        cell.compare_outputs = lambda came, expected, skip_compare=None: _compare(
            item, came, expected
        )


def _compare(item: pytest.Item, came: list[Any], expected: list[Any]) -> bool:
    parent: Any = item.parent
    if _SIDES not in parent.stash:
        parent.stash[_SIDES] = _sides(parent.path.parent)
    masks, left, right = parent.stash[_SIDES]
    before = copy.deepcopy(left)
    shown, printed = as_text(expected), as_text(came)
    cell: Any = item
    shell = shell_cell(cell.cell.source)
    if shell and shell.any_order:
        shown, printed = in_order(shown), in_order(printed)
    masked = left.text(shown)
    if shell and shell.store and printed.startswith(NOT_HERE):
        item.user_properties.append((PASSED_OVER, printed))
        return True
    item.user_properties += [(NEEDED, name) for name in needed(masks, shown, printed)]
    difference = first_difference(masked, right.text(printed))
    if difference is None:
        return True
    line = before.line_of(shown, difference.line)
    cell.comparison_traceback = [f"line {line} of the output differs"]
    _record(item, line=line, expected=difference.expected, came=difference.came)
    return False


def _sides(folder: Path) -> tuple[tuple[Mask, ...], Masked, Masked]:
    settings = load_settings(folder)
    engine = choose_engine(settings)
    masks = masks_for(settings, engine)
    left = Masked(masks)
    return masks, left, Masked(masks, left if engine.store != settings.store else None)


def _record(item: pytest.Item, **what: object) -> None:
    item.user_properties.append((FAILURE, json.dumps(what)))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Any:
    """After a notebook's last cell, fail it if the room is not as before its first."""
    outcome = yield
    if isinstance(item, IPyNbCell) and not outcome.excinfo:
        notebook: Any = item.parent
        code = [cell for cell in notebook.nb.cells if cell.cell_type == "code"]
        if item.cell_num == len(code) - 1 and (why := _left(notebook)):
            outcome.force_exception(Wrong(why))


def _left(notebook: Any) -> str:
    """Return how what a notebook leaves differs from what it declares, or nothing."""
    printed: list[str] = []

    def collect(message: dict[str, Any]) -> None:
        printed.append(message["content"].get("text", ""))

    notebook.kernel.kc.execute_interactive(
        f"%{LEFT}", store_history=False, allow_stdin=False, output_hook=collect, timeout=60
    )
    declares = notebook.nb.metadata.get("rehearsal", {})
    return disagreement(json.loads("".join(printed)), declares)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Add a cell's outputs and failure to its report, which crosses from the worker."""
    if isinstance(item, IPyNbCell):
        outputs = item.test_outputs or []
        if call.when == "call":
            item.user_properties.append((OUTPUTS, json.dumps(outputs)))
        error = call.excinfo.value if call.excinfo else None
        differs = any(name == FAILURE for name, _ in item.user_properties)
        if isinstance(error, NbCellError | CannotCheck | Wrong | RuntimeError) and not differs:
            printed = as_text([one for one in outputs if one["output_type"] == "stream"])
            _record(item, printed=printed, **_raised(outputs, error))
    yield


def _raised(outputs: list[Any], error: BaseException) -> dict[str, str]:
    for output in outputs:
        if output["output_type"] == "error":
            return {"name": output["ename"], "said": output["evalue"]}
    return {"name": type(error).__name__, "said": str(error)}
