"""A job as its steps are read: what is known there, and the facts that they note."""

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from megalotron_images.audit import mentions
from megalotron_images.audit.events import When
from megalotron_images.audit.model import PUSHES, Doubt, Fact, Place, Push, Rule
from megalotron_images.audit.values import Scope, holes, show
from megalotron_images.audit.yaml_files import Folder

_MOST_FACTS = 300


class Facts(list[Fact]):
    """Facts up to a bound, at which a doubt takes the place of those that follow."""

    def append(self, fact: Fact) -> None:
        """Add a fact."""
        if len(self) < _MOST_FACTS:
            super().append(fact)
        elif len(self) == _MOST_FACTS:
            super().append(Doubt(fact.use, "", "", "there is more than can be judged"))


class Made(NamedTuple):
    """A reference to push: where its name and its tag are written, and when it is made."""

    reference: str
    named: Place
    tagged: Place
    when: When = ()


@dataclass
class Job:
    """One job, on one row of its matrix.

    Attributes:
        when: what must hold for its next step to run.
        made: what the outputs of docker/metadata-action hold, by the outputs' names.
        exported: what scripts wrote to `GITHUB_ENV`, for later steps.
        is_sure: whether the step that is read has no `if`.
    """

    folder: Folder
    file: str
    name: str
    scope: Scope
    when: When
    facts: "Facts"
    made: dict[str, list[Made]] = field(default_factory=dict)
    exported: dict[str, str] = field(default_factory=dict)
    is_sure: bool = True

    def push(self, text: str, use: Place, when: When = ()) -> None:
        """Note a push of a text: one reference, or all that docker/metadata-action made."""
        key = "".join(holes(text)) if len(text) == 1 else ""
        for one in self.made.get(key, [Made(text, use, use)]):
            known = (*self.when, *when, *one.when)
            self.facts.append(Push(use, self.name, one.reference, one.named, one.tagged, known))

    def doubt(
        self, place: Place, words: str, reason: str = "", rules: tuple[Rule, ...] = PUSHES
    ) -> None:
        """Note something that may push, and is not followed."""
        why = reason or "it may push, and is not followed"
        self.facts.append(Doubt(place, self.name, show(words).strip()[:100], why, rules))

    def doubt_command(self, place: Place, line: str) -> None:
        """Note a command that is not understood, if it or a file that it runs may push."""
        if mentions.deploys(line):
            self.doubt(place, line, "it may deploy, and is not followed", (Rule.DEPLOY,))
        parts = re.split(r"&&|\|\||[;\n(){}]", line)
        if not any(map(mentions.may_push, parts)):
            return
        files = mentions.called(self.folder, line)
        found = list(mentions.spoken(self.folder, files))
        for file, number, words in found:
            self.doubt(place, line, f"it is not followed: {file}:{number} has {words!r}")
        if not found and (mentions.pushes(line) or not files):
            self.doubt(place, line)
