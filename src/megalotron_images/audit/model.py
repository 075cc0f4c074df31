"""What an audit finds: facts of the files, and findings with a rule, a verdict and a place."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from megalotron_images.audit.events import When


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
    EVENT = "event"
    CREDENTIALS = "credentials"
    LOGIN = "login"
    DEPLOY = "deploy"


PUSHES = tuple(rule for rule in Rule if rule is not Rule.DEPLOY)
"""The rules about pushes and their logins: WRITES about what is pushed, and LOGINS."""
WRITES, LOGINS = PUSHES[:4], PUSHES[4:]


@dataclass(frozen=True)
class Place:
    """A line of a file."""

    file: str
    line: int


@dataclass(frozen=True)
class Fact:
    """Something that a file does, at `use`; `job` is empty outside of a workflow."""

    use: Place
    job: str


@dataclass(frozen=True)
class Push(Fact):
    """A reference is written to a registry; it may have holes.

    Attributes:
        named: where its name is defined.
        tagged: where its tag is defined.
        when: what must hold for it to be pushed.
    """

    reference: str
    named: Place
    tagged: Place
    when: When = ()


@dataclass(frozen=True)
class Login(Fact):
    """A login at a registry; its texts may have holes.

    Attributes:
        places: where the registry, the user name and the password are written.
        is_exposed: the password is an argument of the command line, where others can read it.
    """

    registry: str
    username: str
    password: str
    places: tuple[Place, ...]
    is_exposed: bool = False


@dataclass(frozen=True)
class Reading(Fact):
    """Images are pulled or run: what a login may be for, too."""


@dataclass(frozen=True)
class Call(Fact):
    """A call of the process's own workflow, with what it is given as user name and token."""

    stack: str
    secrets: tuple[tuple[str, Place], ...]


@dataclass(frozen=True)
class Leak(Fact):
    """A secret is put into an image; `is_certain` unless its name may be that of a public value."""

    value: str
    is_certain: bool


@dataclass(frozen=True)
class Doubt(Fact):
    """Words of a file that may push or deploy, and the reason why they are not followed."""

    words: str
    reason: str
    rules: tuple[Rule, ...] = PUSHES


@dataclass(frozen=True)
class Deployed(Fact):
    """An image that is run; `is_built` where the same file says how to build it."""

    reference: str
    is_built: bool = False
    is_replaced: bool = False


@dataclass(frozen=True)
class Finding:
    """A rule's verdict about one value.

    Attributes:
        file: where the value is defined, with `line`.
        use_file: where it is pushed or used, with `use_line`.
        mend: how to fix it.
        ignored: why a comment in the file excuses it.
        is_followed: it is about something that is read; False for what only may push.
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
    is_followed: bool = True


CALLED = "publish-image.yml"
"""The value of findings about a call of the process's own workflow."""


def verdict_of(findings: Iterable[Finding]) -> Verdict:
    """Return the worst verdict of findings; those that are ignored do not count."""
    verdicts = {one.verdict for one in findings if not one.ignored}
    return next((verdict for verdict in Verdict if verdict in verdicts), Verdict.NOTHING)
