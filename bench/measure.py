"""Figures with their limits, and durations measured in turn."""

import json
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
RUNS = 5


@dataclass(frozen=True)
class Figure:
    """What was measured, for people, and whether it is within its limit."""

    what: str
    value: str
    limit: str
    holds: bool

    def show(self) -> None:
        """Print it, for `python -m bench`."""
        print(json.dumps(asdict(self)), flush=True)


def limited(
    what: str, value: float, bar: float | None, least: bool = False, note: str = ""
) -> Figure:
    """Return a figure with its limit, the most or the least that it may be."""
    holds = bar is None or (value >= bar if least else value <= bar)
    limit = "none" if bar is None else f"at {'least' if least else 'most'} {bar:g}"
    return Figure(what, f"{value:.3g}{note and f' ({note})'}", limit, holds)


def ratio(
    what: str,
    against: str,
    ours: list[float],
    theirs: list[float],
    bar: float | None,
    unit: str = "s",
) -> Figure:
    """Return the ratio of the medians of two sides that were measured in turn."""
    mine, other = map(statistics.median, (ours, theirs))
    note = f"{mine:.3g} {unit} of {other:.3g} {unit}, {len(ours)} runs"
    return limited(f"{what} ÷ {against}", mine / other, bar, note=note)


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
