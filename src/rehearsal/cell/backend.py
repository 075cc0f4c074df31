"""The protocol of the places where cells run: a rehearsal's room, and production."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from rehearsal.cell.bash import Shell
from rehearsal.cell.options import ShellCell
from rehearsal.cell.placeholders import Placeholder
from rehearsal.cell.redact import RedactedOutput


class Backend(Protocol):
    """A place where cells run."""

    folder: Path
    """The folder of the runbooks, whose placeholders are declared."""

    def shell(self) -> Shell:
        """Return the kernel's shell; raise CannotCheck if there can be none."""

    def value(self, placeholder: Placeholder) -> str:
        """Return a placeholder's value; raise Wrong without one."""

    def secrets(self, known: Iterable[Placeholder]) -> set[str]:
        """Return secrets to hide, besides the values of placeholders."""

    def reason_to_skip(self, cell: ShellCell) -> str:
        """Return why a cell is not run here, or nothing."""

    def check(self, source: str) -> None:
        """Raise Wrong for a cell that must not run here."""

    def answer(self, question: str, text: str, cell: ShellCell) -> str:
        """Return what is typed where a cell asks; raise Wrong if nobody can be asked."""

    def end_flood(self, why: str) -> None:
        """Raise Wrong for a cell that prints too much, or print that the rest is not shown."""

    def running(self, cell: ShellCell, shown: RedactedOutput) -> AbstractContextManager[None]:
        """Return the context in which a cell runs: what is asked before it and checked after it."""

    def close(self) -> None:
        """End the shell."""
