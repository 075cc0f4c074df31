"""A job as its steps are read: what is known there, and the facts that they note."""

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from megalotron_images.audit import mentions
from megalotron_images.audit.events import When
from megalotron_images.audit.model import PUSHES, Doubt, Fact, Place, Push, Rule
from megalotron_images.audit.values import LONGEST, bounded, holes, show, unknown
from megalotron_images.audit.yaml_files import Folder, Map, Text

_EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)


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
        names: GitHub's names that are known, in lower case (`matrix.stack`, `steps.a.outputs.b`).
        when: what must hold for its next step to run.
        env: environment variables.
        made: what the outputs of docker/metadata-action hold, by the outputs' names.
        exported: what scripts wrote to `GITHUB_ENV`, for later steps.
        is_open: something that is not followed may have set any variable.
        is_sure: whether the step that is read has no `if`.
    """

    folder: Folder
    file: str
    name: str
    names: dict[str, str]
    when: When
    facts: list[Fact]
    env: dict[str, str] = field(default_factory=dict)
    made: dict[str, list[Made]] = field(default_factory=dict)
    exported: dict[str, str] = field(default_factory=dict)
    is_open: bool = False
    is_sure: bool = True

    def place(self, text: Text | Map, row: int = 0) -> Place:
        """Return where a text is written, or one of its rows."""
        return Place(self.file, text.line + row)

    def put(self, text: str) -> str:
        """Return a text with its expressions put in, as far as they are names or literals."""
        return bounded(_EXPRESSION.sub(lambda one: self.value(one[1]), text[: LONGEST + 1]))

    def value(self, expression: str) -> str:
        """Return what an expression stands for: a literal, a known name, or a hole."""
        text = " ".join(expression.split())
        key = {"github.token": "secrets.github_token"}.get(text.lower(), text.lower())
        if literal := re.fullmatch(r"'([^']*)'", text):
            return literal[1]
        if key.startswith("env.") and not self.is_open:
            return {k.lower(): v for k, v in self.env.items()}.get(key[4:], unknown(text))
        name = "secrets." + key[8:].upper() if key.startswith("secrets.") else key
        return self.names.get(key, unknown(name if re.fullmatch(r"[\w.-]+", name) else text))

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
        if any(map(mentions.may_push, re.split(r"&&|\|\||[;\n(){}]", line))):
            files = mentions.called(self.folder, line)
            found = list(mentions.spoken(self.folder, files))
            for file, number, words in found:
                self.doubt(place, line, f"it is not followed: {file}:{number} has {words!r}")
            if not found and (mentions.pushes(line) or not files):
                self.doubt(place, line)
