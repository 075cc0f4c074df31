"""Progress while notebooks run: a live line in a terminal, else a line a notebook."""

import shutil
import sys
import time
from collections import Counter
from collections.abc import Mapping


class Progress:
    """Counts finished cells, on standard error."""

    def __init__(self, cells: Mapping[str, int]) -> None:
        self._cells = cells
        self._done = Counter[str]()
        self._live = sys.stderr.isatty()
        self._begin = time.monotonic()
        self._show()

    def advance(self, notebook: str) -> None:
        """Count one more finished cell of a notebook."""
        self._done[notebook] += 1
        if not self._live and self._done[notebook] == self._cells.get(notebook):
            took = time.monotonic() - self._begin
            print(
                f"{notebook}: all {self._done[notebook]} done, {took:.1f} s",
                file=sys.stderr,
                flush=True,
            )
        self._show()

    def close(self) -> None:
        """Clear the live line."""
        if self._live:
            sys.stderr.write("\r\x1b[K")

    def _show(self) -> None:
        if not self._live:
            return
        ended = [name for name, held in self._cells.items() if self._done[name] == held]
        running = [
            f"{name} {n}/{self._cells.get(name, n)}"
            for name, n in self._done.items()
            if name not in ended
        ]
        cells = f"{self._done.total()} of {sum(self._cells.values())} cells"
        line = f"{len(ended)} of {len(self._cells)} notebooks, {cells}  {', '.join(running)}"
        sys.stderr.write(f"\r{line[: shutil.get_terminal_size().columns - 1]}\x1b[K")
        sys.stderr.flush()
