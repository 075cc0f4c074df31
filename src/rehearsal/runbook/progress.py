"""Progress while notebooks run: a live line in a terminal, else a line a notebook."""

import shutil
import sys
import time
from collections import Counter
from collections.abc import Mapping

from rehearsal.output import printable, say


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
        if not self._live and self._done[notebook] == self._cells[notebook]:
            done, seconds = self._done[notebook], time.monotonic() - self._begin
            say(f"{notebook}: all {done} done, {seconds:.1f} s", error=True)
        self._show()

    def close(self) -> None:
        """Clear the live line."""
        if self._live:
            sys.stderr.write("\r\x1b[K")

    def _show(self) -> None:
        if not self._live:
            return
        done, cells = self._done, self._cells
        running = [f"{name} {n}/{cells[name]}" for name, n in done.items() if n != cells[name]]
        ended = sum(done[name] == held for name, held in cells.items())
        line = f"{ended} of {len(cells)} notebooks, {done.total()} of {sum(cells.values())} cells"
        line = printable(f"{line}  {', '.join(running)}")
        sys.stderr.write(f"\r{line[: shutil.get_terminal_size().columns - 1]}\x1b[K")
        sys.stderr.flush()
