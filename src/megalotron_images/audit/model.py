"""What an audit finds: a rule, a verdict and a place."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from megalotron_images.audit.values import show
from megalotron_images.audit.yaml_files import Folder


class Verdict(StrEnum):
    """The answer of a rule; `CANNOT_TELL` is never taken for `OK`."""

    VIOLATED = "violated"
    CANNOT_TELL = "cannot tell"
    OK = "ok"
    NOTHING = "nothing to judge"


AGAINST = (Verdict.VIOLATED, Verdict.CANNOT_TELL)
"""The verdicts that are against a repository, excused or not."""
Rule = StrEnum("Rule", "REGISTRY NAME TAG EVENT CREDENTIALS LOGIN DEPLOY")
"""The rules of the image process (the page "Image process", and its convention)."""
Rules = tuple[Rule, ...]
PUSHES: Rules = tuple(Rule)[:-1]
"""The rules about pushes and their logins: WRITES about what is pushed, and LOGINS."""
WRITES, LOGINS = PUSHES[:4], PUSHES[4:]
Answer = tuple[Verdict, str]
"""A verdict and its reason."""
OK: Answer = (Verdict.OK, "")
CALLED = "publish-image.yml"
"""The value of findings about a call of the process's own workflow."""


class Place(NamedTuple):
    """A line of a file."""

    file: str
    line: int


Value = tuple[str, Place]
"""A text, which may have unknown parts, and where it is written."""


@dataclass(frozen=True)
class Finding:
    """A rule's verdict about one value.

    Attributes:
        file: where the value is defined, with `line`.
        use_file: where it is pushed or used, with `use_line`.
        fix: how to fix it.
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
    fix: str = ""
    ignored: str = ""
    is_followed: bool = True


@dataclass
class Audit:
    """A repository as it is read, and what is found.

    Attributes:
        repository: what `${{ github.repository }}` is; unknown if empty.
        found: findings in their order, each once.
        pushed: registries and names of what is pushed.
        budget: the work that is left, in characters of scripts.
    """

    folder: Folder
    repository: str = ""
    found: dict[Finding, None] = field(default_factory=dict)
    pushed: set[tuple[str, str]] = field(default_factory=set)
    budget: int = 80_000

    def find(self, rule: Rule, answer: Answer, value: Value, use: Place, sure: bool = True) -> None:
        """Note an answer about a value that is used at a place; sure: it is followed."""
        (text, place), (verdict, reason) = value, answer
        shown = show(text).strip()[:200]
        self.found[Finding(rule, verdict, *place, *use, shown, reason, is_followed=sure)] = None

    def doubt(self, place: Place, words: str, reason: str, rules: Rules = PUSHES) -> None:
        """Note words of a file that may push or deploy, and why they are not followed."""
        for rule in rules:
            self.find(rule, (Verdict.CANNOT_TELL, reason), (words, place), place, sure=False)

    def spend(self, cost: int, place: Place) -> bool:
        """Return whether there is budget for more work; note once that there is none."""
        before, self.budget = self.budget, self.budget - cost
        if self.budget < 0 <= before:
            self.doubt(place, "", "there is too much to read", tuple(Rule))
        return self.budget >= 0
