"""What an audit finds: facts, findings, verdicts. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum


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


@dataclass(frozen=True, order=True)
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
        kind: `kustomize`, which stands for others of its name, `kubernetes`, or empty.
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
