"""What the strict shell asks of the place where its cells run: a rehearsal's room, or production.

The same bytes run on both. What differs stands behind this protocol.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from rehearsal.cell.bash import Shell
from rehearsal.cell.options import ShellCell
from rehearsal.cell.placeholders import Placeholder
from rehearsal.cell.redact import Shown


class Backend(Protocol):
    """Where cells run."""

    folder: Path
    """The folder of the runbooks, whose placeholders are known."""

    def shell(self) -> Shell:
        """Return the one shell; raise CannotCheck where there can be none."""

    def value(self, placeholder: Placeholder) -> str:
        """Return what a placeholder stands for; raise Wrong where nobody says."""

    def secrets(self, known: Iterable[Placeholder]) -> set[str]:
        """Return what must never be printed, besides the values already given."""

    def passes_over(self, cell: ShellCell) -> str:
        """Return why a cell is not run here, or nothing."""

    def check(self, source: str) -> None:
        """Raise Wrong for a cell that may not run here."""

    def running(self, cell: ShellCell, shown: Shown) -> AbstractContextManager[None]:
        """Return what holds around a cell that runs: what is asked before, checked after."""

    def close(self) -> None:
        """End the shell."""
