"""The state of one run of one job, and what is noted about it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from megalotron_images.audit.model import PUSHES, Doubt, Fact, How, Login, Place, Push, Read, Rule
from megalotron_images.audit.yaml_files import Folder, Map, Unreadable

_DEEPEST = 8
"""Files that call each other: deeper ones are not followed."""


@dataclass
class Run:
    """One run of a job, on one reference and one row of its matrix.

    Attributes:
        contexts: GitHub's contexts; `env` changes from step to step.
        files: what its steps wrote to files.
        tagged: local names given by `docker tag` and `docker build --tag`.
        place: the step or command that runs now.
        depth: how many files call each other.
        written: where the inputs of the step are written.
    """

    folder: Folder
    job: str
    contexts: dict[str, Any]
    place: Place
    facts: list[Fact] = field(default_factory=list)
    origins: dict[str, Place] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    tagged: list[str] = field(default_factory=list)
    depth: int = 0
    written: dict[str, Place] = field(default_factory=dict)

    def bind(self, text: str, place: Place) -> None:
        """Remember where a text was defined; the first definition is the one."""
        if text:
            self.origins.setdefault(text, place)

    @contextmanager
    def at(self, place: Place) -> Iterator[None]:
        """Note what follows at another place."""
        self.place, before = place, self.place
        yield
        self.place = before

    def push(
        self, reference: str, place: Place | None = None, by_digest: bool = False, **more: bool
    ) -> None:
        """Note a push."""
        place = place or self._written(reference)
        fact = Push(place, self.job, self.origins, reference, by_digest, **more)
        self.facts.append(fact)

    def _written(self, text: str) -> Place:
        """Return where the step's inputs have a text, or else its tag, or else a part of it."""
        whole = sorted((one for one in self.written if text in one), key=len)
        tag = [one for one in self.written if one == text.rpartition(":")[2]]
        parts = sorted((one for one in self.written if one and one in text), key=len, reverse=True)
        found = [*whole, *tag, *parts]
        return self.written[found[0]] if found and text else self.place

    def login(self, registry: str, username: str, password: str, how: How = How.SAFE) -> None:
        """Note a login."""
        where = (self._written(password), self.job, self.origins)
        self.facts.append(Login(*where, registry, username, password, how))

    def read(self) -> None:
        """Note that images are pulled."""
        self.facts.append(Read(self.place, self.job, self.origins))

    def doubt(self, reason: str, rules: tuple[Rule, ...] = PUSHES) -> None:
        """Note something that may push, and cannot be followed."""
        self.facts.append(Doubt(self.place, self.job, self.origins, reason, rules))

    def documents(self, name: str, what: str, rules: tuple[Rule, ...] = PUSHES) -> list[Map]:
        """Return the mappings in a file of YAML; note a doubt where it cannot be read."""
        try:
            return [one for one in self.folder.documents(name) if isinstance(one, Map)]
        except Unreadable as error:
            self.doubt(f"{what} {name}: {error}", rules)
            return []

    def deeper(self, place: Place) -> "Run | None":
        """Return the same run in a file that it calls; None where too many call each other."""
        if self.depth >= _DEEPEST:
            self.doubt(f"files call each other more than {_DEEPEST} deep")
            return None
        return replace(self, place=place, depth=self.depth + 1)
