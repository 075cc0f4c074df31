"""A runbook as plain values: NAME.md, its text, and NAME.ipynb, that text with outputs.

Each file is read once, on first use.
"""

import contextlib
import functools
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from rehearsal.cell.options import ShellCell, shell_cell, split_magic
from rehearsal.cell.placeholders import Placeholder, declared, runbooks
from rehearsal.errors import CannotCheck, Wrong
from rehearsal.settings import Settings


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        kind: `code`, `markdown` or `raw`.
        source: its text, with the magic line of a shell cell.
        tags: from its metadata.
        outputs: as nbformat has them.
        executed: whether it has run.
    """

    kind: str
    source: str
    tags: tuple[str, ...] = ()
    outputs: tuple[Mapping[str, Any], ...] = ()
    executed: bool = False

    @functools.cached_property
    def shell(self) -> ShellCell | None:
        """The shell cell, or None; raises Wrong for unknown options."""
        return shell_cell(self.source) if self.kind == "code" else None

    @property
    def script(self) -> str | None:
        """The script of a shell cell, even with wrong options, or None."""
        line, script = split_magic(self.source)
        return script if self.kind == "code" and line is not None else None

    @property
    def language(self) -> str:
        """The language of a code cell."""
        return "python" if self.script is None else "bash"

    @property
    def first_line(self) -> str:
        """The line that identifies a cell for people: its first, without the magic line."""
        return split_magic(self.source)[1].strip().partition("\n")[0]


@dataclass(frozen=True)
class Notebook:
    """The content of one file.

    Attributes:
        cells: in order.
        kernel: the name that it asks for.
        declares: the metadata `rehearsal`.
        node: the same as nbformat has it.
    """

    cells: tuple[Cell, ...]
    kernel: str
    declares: Mapping[str, Any]
    node: NotebookNode

    @property
    def code(self) -> list[Cell]:
        """The code cells."""
        return [cell for cell in self.cells if cell.kind == "code"]


@dataclass(frozen=True)
class Runbook:
    """A runbook, identified by the path of its text."""

    path: Path

    @property
    def name(self) -> str:
        """The name of both files, without suffix."""
        return self.path.stem

    @property
    def executed_path(self) -> Path:
        """The path of the executed notebook, which may not exist."""
        return self.path.with_suffix(".ipynb")

    @functools.cached_property
    def source(self) -> str:
        """The file's text."""
        return self.path.read_text()

    @functools.cached_property
    def text(self) -> Notebook:
        """The text as a notebook; raises CannotCheck if it does not parse."""
        import jupytext

        with _readable(self.path.name, "Correct its text."):
            return _notebook(jupytext.reads(self.source, "md"))

    @functools.cached_property
    def executed(self) -> Notebook:
        """The executed notebook; raises Wrong if there is none, CannotCheck for a broken one."""
        name, again = self.executed_path.name, f"`rehearsal refresh {self.name}`"
        if not self.executed_path.exists():
            raise Wrong(f"{name} does not exist: run {again}.")
        with (
            _readable(name, f"Run {again}, or restore it."),
            warnings.catch_warnings(action="ignore"),  # of cell ids, which nbformat mends
        ):
            read = nbformat.read(self.executed_path, as_version=4)
            nbformat.validate(read)
            return _notebook(read)

    @functools.cached_property
    def placeholders(self) -> dict[str, Placeholder]:
        """The declared placeholders by name; raises Wrong for an incomplete declaration."""
        return declared(self.text.node.metadata.get("rehearsal", {}))


@contextlib.contextmanager
def _readable(name: str, advice: str) -> Iterator[None]:
    """Raise CannotCheck with advice where a file cannot be read as a notebook."""
    try:
        yield
    except Exception as error:  # jupytext, json, nbformat and jsonschema each raise their own
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CannotCheck(f"{name} cannot be read as a notebook: {reason}. {advice}") from error


def _notebook(node: NotebookNode) -> Notebook:
    cells = tuple(
        Cell(
            cell.cell_type,
            cell.source,
            tuple(cell.metadata.get("tags", ())),
            tuple(cell.get("outputs", ())),
            cell.get("execution_count") is not None,
        )
        for cell in node.cells
    )
    kernel = str(node.metadata.get("kernelspec", {}).get("name", "none"))
    return Notebook(cells, kernel, dict(node.metadata.get("rehearsal") or {}), node)


def find_runbooks(settings: Settings, names: Iterable[str]) -> list[Runbook]:
    """Return the named runbooks (NAME, NAME.md, NAME.ipynb or a path), or all of the project.

    Raises CannotCheck for an unknown name.
    """
    if asked := list(names):
        return list(dict.fromkeys(_find(settings, name) for name in asked))
    folder = settings.notebooks
    texts = runbooks(folder)
    if not texts:
        header = "its text begins with a header (---), without a byte order mark."
        raise CannotCheck(f"There is no notebook in {folder}, so nothing was checked: {header}")
    return [Runbook(path) for path in texts]


def _find(settings: Settings, name: str) -> Runbook:
    base = Path(name) if os.sep in name else settings.notebooks / name
    stem = base.name.removesuffix(".md").removesuffix(".ipynb")
    path = base.with_name(f"{stem}.md").resolve()
    if not path.is_file():
        known = ", ".join(text.stem for text in runbooks(settings.notebooks)) or "none"
        raise CannotCheck(f"There is no notebook {name}. The notebooks are: {known}.")
    return Runbook(path)
