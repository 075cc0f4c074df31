"""A job as its steps are read: what is known there, and the facts that they note."""

from dataclasses import dataclass, field

from megalotron_images.audit.events import Condition
from megalotron_images.audit.mentions import called, deploys, may_push
from megalotron_images.audit.model import PUSHES, Doubt, Fact, Login, Place, Push, Rule
from megalotron_images.audit.values import Scope, holes, show
from megalotron_images.audit.yaml_files import Folder

_NOT_READ = "it may push, and is not followed"


@dataclass(frozen=True)
class Made:
    """A tag that docker/metadata-action makes: a reference, where its parts are, and when."""

    reference: str
    named: Place
    tagged: Place
    when: tuple[Condition, ...] = ()


@dataclass
class Job:
    """One job, on one row of its matrix.

    Attributes:
        when: what must hold for its next step to run.
        made: what the outputs of docker/metadata-action hold, by the outputs' names.
        exported: what scripts wrote to `GITHUB_ENV`, for later steps.
        is_conditional: whether the step that is read has an `if`.
    """

    folder: Folder
    file: str
    name: str
    scope: Scope
    when: tuple[Condition, ...]
    facts: list[Fact] = field(default_factory=list)
    made: dict[str, list[Made]] = field(default_factory=dict)
    exported: dict[str, str] = field(default_factory=dict)
    is_conditional: bool = False

    def push(self, made: Made, use: Place, when: tuple[Condition, ...] = ()) -> None:
        """Note a push of one reference."""
        known = (*self.when, *when, *made.when)
        self.facts.append(Push(use, self.name, made.reference, made.named, made.tagged, known))

    def push_all(self, text: str, use: Place, when: tuple[Condition, ...] = ()) -> None:
        """Note a push of a text that is one reference, or the tags of docker/metadata-action."""
        named = holes(text)
        known = self.made.get(named[0]) if len(named) == 1 and text[-1:] == "\x02" else None
        if known is not None and text == f"\x01{named[0]}\x02":
            for one in known:
                self.push(one, use, when)
        elif text:
            self.push(Made(text, use, use), use, when)

    def login(self, login: Login) -> None:
        """Note a login."""
        self.facts.append(login)

    def doubt(
        self, place: Place, words: str, reason: str = _NOT_READ, rules: tuple[Rule, ...] = PUSHES
    ) -> None:
        """Note something that may push, and is not followed."""
        self.facts.append(Doubt(place, self.name, show(words).strip()[:100], reason, rules))

    def doubt_command(self, place: Place, line: str) -> None:
        """Note a command that is not understood, if it may push; and what its own files say."""
        if deploys(line):
            self.doubt(place, line, "it may deploy, and is not followed", (Rule.DEPLOY,))
        found = list(called(self.folder, line))
        for file, number, words in found:
            where = (
                f": {file}:{number} has {words[:60]!r}" if file else f": {words[:60]} is not here"
            )
            self.doubt(place, line, f"it runs what is not followed{where}")
        if not found and may_push(line):
            self.doubt(place, line)
