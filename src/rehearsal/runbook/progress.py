"""Progress while notebooks run: a live line in a terminal, else a line a notebook."""

import time
from collections import Counter
from collections.abc import Mapping

from rich.console import Console

from rehearsal.output import printable, say


class Progress:
    """Counts finished cells, on standard error."""

    def __init__(self, cells: Mapping[str, int]) -> None:
        self._cells = cells
        self._done = Counter[str]()
        self._begin = time.monotonic()
        self._live = Console(stderr=True, highlight=False, markup=False).status("")
        self._live.start()  # shows nothing but in a terminal

    def advance(self, notebook: str) -> None:
        """Count one more finished cell of a notebook."""
        self._done[notebook] += 1
        done, cells = self._done[notebook], self._cells[notebook]
        if done == cells and not self._live.console.is_terminal:
            seconds = time.monotonic() - self._begin
            say(f"{notebook}: all {done} done, {seconds:.1f} s", error=True)
        counted = f"{self._done.total()} of {sum(self._cells.values())} cells"
        self._live.update(printable(f"{counted}, now {notebook} {done}/{cells}"))

    def close(self) -> None:
        """Clear the live line."""
        self._live.stop()
