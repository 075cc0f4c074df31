"""Runbooks as pairs: NAME.md, the source, and NAME.ipynb, the same with the outputs of a run.

Made and read here.
"""

import hashlib
import json
import os
import tempfile
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager
from nbformat import NotebookNode

from rehearsal.cell.options import MAGIC
from rehearsal.cell.placeholders import runbooks
from rehearsal.errors import CannotCheck, Wrong
from rehearsal.room.paths import PRIVATE
from rehearsal.runbook.compare import Mask, Masked, as_text, first_difference
from rehearsal.settings import KERNEL, Settings

CELL_SECONDS = 300


@dataclass(frozen=True)
class Pair:
    """One runbook: its text and its executed form, side by side."""

    text: Path

    @property
    def name(self) -> str:
        return self.text.stem

    @property
    def executed(self) -> Path:
        return self.text.with_suffix(".ipynb")

    def read_text(self) -> NotebookNode:
        """Return the notebook that the text describes; raise CannotCheck if it describes none."""
        import jupytext

        try:
            notebook: NotebookNode = jupytext.read(self.text)
        except Exception as error:  # jupytext raises what its parsers raise
            raise CannotCheck(
                f"{self.text.name} cannot be read as a notebook: {_line(error)}. Mend its text."
            ) from error
        return notebook

    def read_executed(self) -> NotebookNode:
        """Return the executed notebook; raise Wrong if there is none, CannotCheck if it is none."""
        if not self.executed.exists():
            raise Wrong(
                f"{self.executed.name} does not exist: run `rehearsal refresh {self.name}`."
            )
        try:
            notebook: NotebookNode = nbformat.read(self.executed, as_version=4)
        except Exception as error:  # json, nbformat and jsonschema each raise their own
            raise self.unreadable(error) from error
        return notebook

    def unreadable(self, error: Exception) -> CannotCheck:
        """Return what to raise when the executed notebook does not parse."""
        said = f"{self.executed.name} cannot be read as a notebook: {_line(error)}."
        return CannotCheck(f"{said} Run `rehearsal refresh {self.name}`, or restore it.")


@dataclass(frozen=True)
class Problem:
    """Why a notebook is not true, and where.

    The cell by its first line, the line in the cell or its output.
    """

    notebook: str
    cell: str | None
    what: str

    def __str__(self) -> str:
        return ": ".join(
            part
            for part in (self.notebook, f"cell «{self.cell}»" if self.cell else None, self.what)
            if part
        )


def _line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def find_pairs(settings: Settings, names: Iterable[str]) -> list[Pair]:
    """Return the named runbooks (NAME, NAME.md, NAME.ipynb or a path), or all of the project."""
    if not (asked := list(names)):
        texts = runbooks(settings.notebooks)
        for lone in sorted(settings.notebooks.glob("[!.]*.ipynb")):
            if lone.with_suffix(".md") not in texts:
                raise Wrong(
                    f"{lone.name} has no text beside it, so nobody verifies it. Write one, or"
                    " remove it."
                )
        if not texts:
            raise CannotCheck(
                f"There is no notebook in {settings.notebooks}, so nothing was checked."
            )
        return [Pair(path) for path in texts]
    pairs = []
    for name in asked:
        base = Path(name) if os.sep in name else settings.notebooks / name
        path = (
            base.with_suffix(".md")
            if base.suffix in (".ipynb", ".md")
            else base.with_name(f"{base.name}.md")
        ).resolve()
        if not path.is_file():
            known = ", ".join(text.stem for text in runbooks(settings.notebooks)) or "none"
            raise CannotCheck(
                f"There is no notebook {name}: {path} does not exist. The notebooks are: {known}."
            )
        pairs.append(Pair(path))
    return list(dict.fromkeys(pairs))


def part_of(pairs: list[Pair], shard: str) -> list[Pair]:
    """Return the I-th of N parts (`I/N`) of the runbooks; all for nothing.

    Raises CannotCheck for no such part.
    """
    if not shard:
        return pairs
    number, _, count = shard.partition("/")
    if not (number.isdigit() and count.isdigit() and 0 < int(number) <= int(count)):
        raise CannotCheck(f"--shard {shard} is no part: write 1/3 for the first of three.")
    return pairs[int(number) - 1 :: int(count)]


def fingerprint(pair: Pair) -> str:
    """Return what tells one state of a notebook, text and outputs, from any other.

    16 hexadecimal digits.
    """
    return hashlib.sha256(pair.text.read_bytes() + b"\0" + pair.executed.read_bytes()).hexdigest()[
        :16
    ]


def first_line(source: str) -> str:
    """Return the line by which a person knows a cell.

    Its first, without the magic line of a shell cell.
    """
    return MAGIC.sub("", source).strip().partition("\n")[0]


def script_of(cell: NotebookNode) -> str | None:
    """Return the script of a shell cell, without its magic line, or None for any other cell."""
    if cell.cell_type != "code" or not (magic := MAGIC.match(f"{cell.source}\n")):
        return None
    return str(cell.source)[magic.end() :]


def check_kernel(pair: Pair) -> None:
    """Raise CannotCheck unless the executed notebook parses and asks for our kernel."""
    try:
        kernel = (
            json.loads(pair.executed.read_text())["metadata"]
            .get("kernelspec", {})
            .get("name", "none")
        )
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        raise pair.unreadable(error) from error
    known_kernel(str(kernel), pair.name)


def known_kernel(kernel: str, name: str) -> str:
    """Return `kernel`; raise CannotCheck unless it is one of this project's, and installed."""
    if kernel != KERNEL:
        raise CannotCheck(
            f"{name} asks for the kernel {kernel}: a notebook is verified in the kernel {KERNEL}."
        )
    if kernel not in KernelSpecManager().find_kernel_specs():
        raise CannotCheck(
            f"The kernel {kernel} is not installed here: run `make setup` in the project's folder."
        )
    return kernel


def private_manager(**options: Any) -> KernelManager:
    """Return a manager whose kernel listens on sockets without a file (unix(7), abstract).

    The TCP ports that Jupyter picks are free when it looks: of 160 kernels started four at a time,
    one found its port taken.
    """
    return KernelManager(transport="ipc", ip=f"{PRIVATE}{uuid.uuid4().hex}", **options)


def refresh(pair: Pair, masks: tuple[Mask, ...]) -> bool:
    """Execute the text in a room and write the executed notebook.

    Return whether there was anything to write.

    A file whose cells and (masked) outputs still match is left untouched. Raises Wrong if a cell
    fails: then nothing is written.
    """
    from jupytext.combine import combine_inputs_with_outputs

    notebook = pair.read_text()
    kernel = known_kernel(notebook.metadata.get("kernelspec", {}).get("name", "none"), pair.name)
    before = pair.read_executed() if pair.executed.exists() else None
    if before is not None:
        notebook = combine_inputs_with_outputs(notebook, before, "md")
    executed = _execute(notebook, kernel, pair)
    executed.metadata.pop("language_info", None)
    executed.metadata.pop("jupytext", None)
    if (
        before is not None
        and not drift(executed, before)
        and _same_outputs(executed, before, masks)
    ):
        return False
    _write(pair.executed, nbformat.writes(executed) + "\n")
    return True


def _execute(notebook: NotebookNode, kernel: str, pair: Pair) -> NotebookNode:
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    resources = {"metadata": {"path": str(pair.text.parent)}}
    options: dict[str, Any] = {
        "record_timing": False,
        "coalesce_streams": True,
        "timeout": CELL_SECONDS,
    }
    client = NotebookClient(
        notebook, km=private_manager(kernel_name=kernel), resources=resources, **options
    )
    try:
        client.execute()
    except CellExecutionError as error:
        said = f"{error.ename}: {error.evalue}" if error.ename != "CellFailed" else error.evalue
        cell = next(
            (
                c
                for c in notebook.cells
                if any(o.output_type == "error" for o in c.get("outputs", []))
            ),
            None,
        )
        where = f"the cell «{first_line(cell.source)}»" if cell else "a cell"
        status = CannotCheck if error.ename == "RoomUnavailable" else Wrong
        raise status(f"{pair.name}: {where}: {said}") from error
    except CellTimeoutError as error:
        raise Wrong(
            f"{pair.name}: a cell took longer than {CELL_SECONDS} s: {_line(error)}"
        ) from error
    except (DeadKernelError, RuntimeError) as error:
        raise CannotCheck(
            f"{pair.name}: its kernel ended: {_line(error)} What it said stands above."
        ) from error
    return notebook


def drift(left: NotebookNode, right: NotebookNode) -> str | None:
    """Return how the cells or declarations of two notebooks differ, or None where they do not.

    Outputs play no part.
    """
    if left.metadata.get("rehearsal") != right.metadata.get("rehearsal"):
        return "the declarations (metadata `rehearsal`) differ"
    if left.metadata.get("kernelspec", {}).get("name") != right.metadata.get("kernelspec", {}).get(
        "name"
    ):
        return "the kernels differ"
    for ours, theirs in zip(left.cells, right.cells, strict=False):
        if (ours.cell_type, ours.source) != (theirs.cell_type, theirs.source):
            return f"the cell «{first_line(ours.source)}» is not the same in both"
        if ours.metadata.get("tags") != theirs.metadata.get("tags"):
            return f"the tags of the cell «{first_line(ours.source)}» differ"
    if len(left.cells) != len(right.cells):
        return f"the text has {len(left.cells)} cells, the executed notebook {len(right.cells)}"
    return None


def _same_outputs(left: NotebookNode, right: NotebookNode, masks: tuple[Mask, ...]) -> bool:
    ours, theirs = Masked(masks), Masked(masks)
    for one, other in zip(left.cells, right.cells, strict=True):
        if one.cell_type == "code":
            if other.execution_count is None:
                return False
            if first_difference(
                theirs.text(as_text(other.outputs)), ours.text(as_text(one.outputs))
            ):
                return False
    return True


def _write(path: Path, text: str) -> None:
    """Put a whole file in place of the one before, or leave that as it was."""
    try:
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            new = Path(file.name)
            file.write(text)
        new.chmod(0o644)
        new.replace(path)
    except OSError as error:
        if "new" in locals():
            new.unlink(missing_ok=True)
        raise CannotCheck(
            f"{path.name} cannot be written ({error.strerror}); it is as it was before."
        ) from error
