"""Durations measured in turn, and the bars that their ratios must not pass."""

import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
RUNS = 5


@dataclass(frozen=True)
class Ratio:
    """Two figures measured in turn; the bar, if any, must not be passed by their medians' ratio."""

    what: str
    against: str
    ours: list[float]
    theirs: list[float]
    bar: float | None
    unit: str = "s"

    @property
    def value(self) -> float:
        return statistics.median(self.ours) / statistics.median(self.theirs)

    @property
    def holds(self) -> bool:
        return self.bar is None or self.value <= self.bar

    def __str__(self) -> str:
        ours, theirs = (
            f"{statistics.median(s):.3g} {self.unit} ({min(s):.3g} to {max(s):.3g})"
            for s in (self.ours, self.theirs)
        )
        verdict = "ok" if self.holds else "MISSED"
        return (
            f"| {self.what} | {ours} | {self.against} | {theirs} | {self.value:.2f} |"
            f" {self.bar or 'none'} | {verdict} |"
        )


def timed(command: list[str], cwd: Path = ROOT) -> float:
    """Return the seconds that a whole process took; if it fails, show what it printed and raise."""
    begin = time.perf_counter()
    done = subprocess.run(command, check=False, cwd=cwd, stdout=subprocess.PIPE, text=True)
    took = time.perf_counter() - begin
    if done.returncode:
        print(done.stdout)
    done.check_returncode()
    return took


def alternate(
    ours: Callable[[], float], theirs: Callable[[], float]
) -> tuple[list[float], list[float]]:
    """Measure both in turn, after a warm-up of each, changing who is first."""
    ours(), theirs()
    pairs = []
    for number in range(RUNS):
        if number % 2:
            second, first = theirs(), ours()
        else:
            first, second = ours(), theirs()
        pairs.append((first, second))
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]
