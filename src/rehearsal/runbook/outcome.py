"""The result of a run, for people and for an exit status."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from rehearsal.errors import CannotCheck, Wrong
from rehearsal.room.engine import Engine, machine_architecture


@dataclass(frozen=True)
class Problem:
    """What is wrong with a runbook, and with which cell, by its first line."""

    notebook: str
    cell: str | None
    what: str

    def __str__(self) -> str:
        where = (self.notebook, f"cell «{self.cell}»" if self.cell else None, self.what)
        return ": ".join(part for part in where if part)


RESULT = "rehearsal-result"
"""Key of what nbval_plugin adds to a cell's report."""


@dataclass
class Outcome:
    """The result of a run; counters are by notebook.

    Attributes:
        held: cells that ran, with the recorded output.
        skipped: cells that hold with another image store alone.
        not_run: cells after one that failed or could not be run, but for those that hold.
        problems: cells that end otherwise than declared, and problems of the texts.
        differences: cells whose output differs from the recorded one.
        unchecked: cells that could not be run.
        needed: engine-specific masks that these outputs needed.
        outputs: each cell's outputs, by notebook and number.
        notebooks: how many.
        commands: how many shell commands their texts hold.
        seconds: the duration.
    """

    held: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    not_run: int = 0
    problems: list[Problem] = field(default_factory=list)
    differences: list[Problem] = field(default_factory=list)
    unchecked: list[Problem] = field(default_factory=list)
    needed: set[str] = field(default_factory=set)
    outputs: dict[tuple[str, int], list[Any]] = field(default_factory=dict)
    notebooks: int = 0
    commands: int = 0
    seconds: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether everything ran and matched."""
        return not (self.problems or self.differences or self.unchecked or self.not_run)

    @property
    def cells(self) -> int:
        """How many cells are accounted for, until problems of the texts are added."""
        found = (self.problems, self.differences, self.unchecked)
        return self.held.total() + self.skipped.total() + self.not_run + sum(map(len, found))

    def lines(self) -> Iterator[str]:
        """Yield the lines for a person."""
        yield from map(str, (*self.problems, *self.differences, *self.unchecked))
        if self.not_run:
            yield f"Cells not checked, after a failed one: {self.not_run}."
        if skipped := self.skipped.total():
            alone = "hold with another image store alone: not run, and not verified here."
            yield f"{skipped} cells {alone}"

    def raise_for_failures(self, engine: Engine, recorded: bool) -> None:
        """Raise Wrong or CannotCheck unless the runbooks hold on an engine."""
        left = len(self.unchecked)
        if not left and not self.problems:
            left = self.not_run
        if left:
            raise CannotCheck(f"{left} could not be checked.")
        if wrong := len(self.problems) + (len(self.differences) if recorded else 0):
            raise Wrong(f"{wrong} of what the pages show does not hold.")
        if self.differences:
            where = f"{engine} is not recorded on {machine_architecture()}"
            what = "every cell ends as it should, and {} print other words than the pages show."
            raise CannotCheck(f"{where}: {what.format(len(self.differences))}")

    def __str__(self) -> str:
        counts = {"notebook": self.notebooks, "cell": self.held.total(), "command": self.commands}
        counted = ", ".join(f"{n} {word}{'' if n == 1 else 's'}" for word, n in counts.items())
        return f"{counted}, {self.seconds:.1f} s"
