"""Which cells a rehearsal has run: in production only these may run, byte for byte."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rehearsal.cell.options import NOT_HERE
from rehearsal.cell.placeholders import runbooks
from rehearsal.settings import KERNEL


def allowed_cells(folder: Path) -> Iterator[str]:
    """Yield the sources of a folder's cells that a rehearsal ran well, and that are in the text."""
    import jupytext

    for path in runbooks(folder):
        with contextlib.suppress(Exception):  # what cannot be read was not rehearsed
            notebook = json.loads(path.with_suffix(".ipynb").read_text())
            if notebook["metadata"]["kernelspec"]["name"] == KERNEL:
                well = filter(_ran_well, notebook["cells"])
                ran = {"".join(cell["source"]).strip() for cell in well}
                yield from ran & {cell.source.strip() for cell in jupytext.read(path).cells}


def _ran_well(cell: dict[str, Any]) -> bool:
    """Whether a code cell ran, did not fail, and was not skipped for another image store."""
    outputs = cell.get("outputs", ())
    failed = any(output["output_type"] == "error" for output in outputs)
    over = any("".join(output.get("text", "")).startswith(NOT_HERE) for output in outputs)
    ran = cell["cell_type"] == "code" and cell["execution_count"] is not None
    return ran and not failed and not over
