"""What a notebook's cells do that somebody sees: a cell without any would be green whatever it did.

A cell must print, assert, or change something that a later cell names: a variable, a file, an
image, a tag.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tree_sitter import Node

from rehearsal.cell.options import ShellCell
from rehearsal.cell.syntax import (
    in_condition,
    is_certain,
    is_shown,
    one_word,
    parse,
    python_tree,
    walk,
    words,
)

_ASSERTS = {"test", "[", "[[", "diff", "cmp", "grep"}
_READS = (
    ("docker", "pull"),
    ("docker", "manifest", "inspect"),
    ("docker", "buildx", "imagetools", "inspect"),
    ("skopeo", "inspect"),
)
_NAME = re.compile(r"[A-Za-z_][\w./:@-]{2,}")
_NO_NAME = re.compile(r"(?:^|\s)#.*|\b\w+://")
_TOO_COMMON = {
    "docker",
    "image",
    "echo",
    "export",
    "unset",
    "push",
    "pull",
    "tag",
    "test",
    "true",
    "false",
    "bash",
}


@dataclass(frozen=True)
class Cell:
    """One code cell: its first line, what it declares if it is one for the shell, its text.

    Whether it printed.
    """

    first_line: str
    declared: ShellCell | None
    script: str
    printed: bool

    @property
    def writes(self) -> tuple[str, ...]:
        """The references that the cell declares to write, and writes.

        One that must fail is refused to.
        """
        return self.declared.writes if self.declared and self.declared.fails is None else ()

    @property
    def asserts(self) -> bool:
        """Whether the cell could fail for what it finds."""
        if self.declared is None:
            return any(
                isinstance(node, ast.Assert | ast.Raise)
                for node in ast.walk(python_tree(self.script))
            )
        commands = [
            node for node in walk(parse(self.script)) if node.type in ("command", "test_command")
        ]
        asserting = (
            node for node in commands if _first_word(node) in _ASSERTS and not in_condition(node)
        )
        return self.declared.fails is not None or any(asserting)


def problems(
    cells: Sequence[Cell], readers: Sequence[str], writers: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """Yield each cell that nothing checks, and a last write that nobody reads back.

    readers: the project's own programs that read a registry. writers: commands that write, if there
    is something to.
    """
    reads = (*_READS, *((reader,) for reader in readers))
    for number, cell in enumerate(cells):
        if not (cell.printed or cell.asserts or _named_later(cells, number)):
            yield (
                cell.first_line,
                "neither prints nor asserts, and no later cell names what it changes",
            )
        if (writer := _writer(cell, writers)) and cell.declared and not cell.declared.writes:
            yield (
                cell.first_line,
                f"`{writer}` may write to a registry: declare what (--writes REFERENCE)",
            )
    writing = [number for number, cell in enumerate(cells) if cell.writes]
    if writing:
        last, after = cells[writing[-1]], cells[writing[-1] + 1 :]
        for reference in last.writes:
            if not any(_reads_back(cell, reference, reads) for cell in after):
                yield (
                    last.first_line,
                    f"{reference} is not read back from the registry by a later cell that shows it",
                )


def _writer(cell: Cell, writers: Sequence[str]) -> str | None:
    """Return which of the commands that write a shell cell runs, for real, or None."""
    commands = (
        [node for node in walk(parse(one_word(cell.script))) if node.type == "command"]
        if cell.declared
        else []
    )
    said = [words(node) for node in commands]
    real = [command for command in said if "--dry-run" not in command]
    return next(
        (one for one in writers for command in real if command[: len(one.split())] == one.split()),
        None,
    )


def _first_word(command: Node) -> str:
    return words(command)[0] if command.type == "command" else "["


def _named_later(cells: Sequence[Cell], number: int) -> bool:
    """Return whether a word that could name what a cell changes comes up again.

    A new word, if the cell has any.
    """
    own = _names(cells[number : number + 1])
    before, after = _names(cells[:number]), _names(cells[number + 1 :])
    return bool(((own - before) or own) & after)


def _names(cells: Sequence[Cell]) -> set[str]:
    return {
        name for cell in cells for name in _NAME.findall(_NO_NAME.sub("", cell.script))
    } - _TOO_COMMON


def _reads_back(cell: Cell, reference: str, reads: Sequence[tuple[str, ...]]) -> bool:
    """Return whether a cell asks the registry for a reference, and shows what it says.

    One that must fail does not.
    """
    if (
        cell.declared is None
        or cell.declared.fails is not None
        or not (cell.printed or cell.asserts)
    ):
        return False
    nodes = [node for node in walk(parse(one_word(cell.script))) if node.type == "command"]
    certain = [node for node in nodes if is_certain(node) and is_shown(node)]
    asks = [
        said
        for node in certain
        if any(tuple((said := words(node))[: len(read)]) == read for read in reads)
    ]
    return any(
        word.removeprefix("docker://") == one_word(reference) for said in asks for word in said
    )
