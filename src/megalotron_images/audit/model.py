"""What an audit finds: facts, findings, verdicts; and the run of a job that notes them."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from megalotron_images.audit.yaml_files import Folder, Map, Unreadable


class Verdict(StrEnum):
    """The answer of a rule; `CANNOT_TELL` is never taken for `OK`."""

    VIOLATED = "violated"
    CANNOT_TELL = "cannot tell"
    OK = "ok"
    NOTHING = "nothing to judge"


class Rule(StrEnum):
    """A rule of the image process (the page "Image process", and its convention)."""

    REGISTRY = "registry"
    NAME = "name"
    TAG = "tag"
    CREDENTIALS = "credentials"
    LOGIN = "login"
    DEPLOY = "deploy"


PUSHES = tuple(rule for rule in Rule if rule is not Rule.DEPLOY)
"""The rules about pushes and their logins."""
WRITES = (Rule.REGISTRY, Rule.NAME, Rule.TAG)
"""The rules about what is pushed, whoever logged in."""


@dataclass(frozen=True)
class Place:
    """A line of a file."""

    file: str
    line: int


@dataclass(frozen=True)
class Fact:
    """Something that a workflow does.

    Attributes:
        use: where it is done.
        job: which run of which job does it.
        origins: where each text that the job had bound to a name was defined.
    """

    use: Place
    job: str
    origins: dict[str, Place] = field(compare=False, repr=False)

    @property
    def workflow(self) -> str:
        """The file whose events led to it."""
        return self.job.partition(" ")[0]


@dataclass(frozen=True)
class Push(Fact):
    """A reference is written to a registry.

    Attributes:
        reference: where to, a text that may have holes.
        by_digest: it has no tag on purpose.
        judged: the helper itself holds name and tag to the convention.
    """

    reference: str
    by_digest: bool = False
    judged: bool = False


class How(StrEnum):
    """How a password reaches a login."""

    SAFE = "standard input or an action"
    ARGUMENT = "an argument of the command line"
    WRITTEN = "a file written by hand"
    BUILD = "a build argument"


@dataclass(frozen=True)
class Login(Fact):
    """A login at a registry; its texts may have holes."""

    registry: str
    username: str
    password: str
    how: How = How.SAFE


@dataclass(frozen=True)
class Doubt(Fact):
    """Something that may push, and cannot be followed."""

    reason: str
    rules: tuple[Rule, ...] = PUSHES


@dataclass(frozen=True)
class Read(Fact):
    """Images are pulled: what a login may be for, too."""


@dataclass(frozen=True)
class Deployed(Fact):
    """An image that is run in production or elsewhere.

    Attributes:
        reference: which one, a text that may have holes.
        kind: `kustomize`, which stands for others of its name, `kubernetes`, `command`, or empty.
    """

    reference: str
    kind: str = ""


@dataclass(frozen=True)
class Finding:
    """A rule's verdict about one value.

    Attributes:
        file: where the value is defined, with `line`.
        use_file: where it is pushed or used, with `use_line`.
        mend: how to mend it.
        ignored: why a comment in the file excuses it.
    """

    rule: Rule
    verdict: Verdict
    file: str
    line: int
    use_file: str
    use_line: int
    value: str
    reason: str
    mend: str = ""
    ignored: str = ""


ANY_RULE = "say in the workflow itself what is pushed and where, or excuse it with a comment"
"""How to mend what cannot be followed, whichever rule asks."""


def verdict_of(findings: Iterable[Finding]) -> Verdict:
    """Return the worst verdict of findings; those that are ignored do not count."""
    verdicts = {one.verdict for one in findings if not one.ignored}
    return next((verdict for verdict in Verdict if verdict in verdicts), Verdict.NOTHING)


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
        depth: how many files, functions and substitutions this is within.
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

    def push(self, reference: str, by_digest: bool = False, judged: bool = False) -> None:
        """Note a push."""
        self._note(Push, self._written(reference), reference, by_digest, judged)

    def _note(self, kind: type[Fact], place: Place, *values: Any) -> None:
        self.facts.append(kind(place, self.job, self.origins, *values))

    def _written(self, text: str) -> Place:
        """Return where the step's inputs have a text, or else its tag, or else a part of it."""
        whole = sorted((one for one in self.written if text in one), key=len)
        tag = [one for one in self.written if one == text.rpartition(":")[2]]
        parts = sorted((one for one in self.written if one and one in text), key=len, reverse=True)
        found = [*whole, *tag, *parts]
        return self.written[found[0]] if found and text else self.place

    def login(self, registry: str, username: str, password: str, how: How = How.SAFE) -> None:
        """Note a login."""
        self._note(Login, self._written(password), registry, username, password, how)

    def deploy(self, reference: str) -> None:
        """Note an image that a command runs from now on."""
        self._note(Deployed, self.place, reference, "command")

    def read(self) -> None:
        """Note that images are pulled."""
        self._note(Read, self.place)

    def doubt(self, reason: str, rules: tuple[Rule, ...] = PUSHES) -> None:
        """Note something that may push, and cannot be followed."""
        self._note(Doubt, self.place, reason, rules)

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
