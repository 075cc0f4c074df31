"""The events that start a workflow, with the references they can have, and plain conditions. Pure.

A reference that stands for many (`v*`, any branch) is an example of what the workflow lets in.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from megalotron_images.audit.yaml_files import Map, Seq, as_list, as_map
from megalotron_images.convention import WRITING_EVENTS, Tag, tags_for
from megalotron_images.errors import RuleBroken

_RELEASES = ("v1.2.3", "v1.2.3-rc.1")
_TAGS = ("v1", "1.2.3", "release-1", "nightly", "v1.x.y", "v1.2.3.4")
"""Git tags that are no releases, to see whether a filter lets one through."""
_PROTECTED = ("refs/heads/main", "refs/heads/dev")
_PLAIN = re.compile(
    r"github\.(ref|event_name)\s*([!=]=)\s*'([^']*)'|startswith\(\s*github\.ref\s*,\s*'([^']*)'\s*\)",
    re.IGNORECASE,
)
_PULLS = ("pull_request", "pull_request_review", "pull_request_review_comment")
UNKNOWN_EVENT = "workflow_call"


@dataclass(frozen=True)
class Scenario:
    """An event on a reference.

    Attributes:
        is_certain: the workflow lets in exactly this reference, or any of its kind.
    """

    event: str
    ref: str
    is_certain: bool = True

    @property
    def name(self) -> str:
        """What `github.ref_name` is."""
        return self.ref.split("/", 2)[2]

    @property
    def writes(self) -> Tag | None:
        """The tag that the process writes here; None where it writes nothing."""
        try:
            return tags_for(self.ref, self.event)
        except RuleBroken:
            return None

    @property
    def is_judged(self) -> bool:
        """Whether what is pushed here is certainly wrong where it is not what the process writes."""
        return self.is_certain or self.event not in (*WRITING_EVENTS, UNKNOWN_EVENT)


@dataclass(frozen=True)
class Condition:
    """A plain condition: a name that must, or must not, be a value or begin with it.

    Attributes:
        subject: `ref`, `event_name`, `start` (the reference begins so), `default` (it is the default
            branch), or `unknown`.
    """

    subject: str
    value: str
    wanted: bool = True

    def holds(self, scenario: Scenario) -> bool | None:
        """Whether it holds; None where that is not known."""
        if self.subject == "event_name":
            if scenario.event == UNKNOWN_EVENT:
                return None
            return (scenario.event == self.value) is self.wanted
        if self.subject == "unknown" or scenario.event == UNKNOWN_EVENT:
            return None
        if self.subject == "default":  # the default branch: main in most repositories
            return None if scenario.ref.startswith("refs/heads/") else False
        is_met = scenario.ref == self.value
        if self.subject == "start":
            is_met = scenario.ref.startswith(self.value)
        return None if self._may_differ(scenario) and not is_met else is_met is self.wanted

    def _may_differ(self, scenario: Scenario) -> bool:
        """Whether the scenario's reference is an example, and another one may be as asked."""
        kind = scenario.ref[: scenario.ref.index("/", 5) + 1]
        is_other = scenario.ref not in _PROTECTED and self.value not in _PROTECTED
        return is_other and self.value.startswith(kind) and self.value != kind


NEVER = Condition("event_name", "")
"""What never holds."""


def unsure(text: str) -> Condition:
    """Return a condition of which nothing is known."""
    return Condition("unknown", text)


def conditions(text: str) -> tuple[Condition, ...]:
    """Return the conditions of an `if:`; one that is not plain is unknown."""
    found = []
    bare = re.sub(r"^\$\{\{(.*)\}\}$", r"\1", text.strip()).strip()
    for part in bare.split("&&") if "||" not in bare else [bare]:
        one = part.strip()
        if one.lower() in ("", "true", "success()", "always()"):
            continue
        plain = _PLAIN.fullmatch(one)
        if one.lower() == "false":
            found.append(NEVER)
        elif not plain:
            found.append(unsure(one))
        elif plain[1]:
            found.append(Condition(plain[1].lower(), plain[3], plain[2] == "=="))
        else:
            found.append(Condition("start", plain[4]))
    return tuple(found)


def holds(when: Iterable[Condition], scenario: Scenario) -> bool | None:
    """Whether all conditions hold; None where one is not known and none is false."""
    answers = {one.holds(scenario) for one in when}
    return False if False in answers else None if None in answers else True


def triggers(workflow: Map) -> dict[str, Map]:
    """Return the events of a workflow's `on`, each with its settings."""
    events: Any = next((v for k, v in workflow.items() if k.lower() in ("on", "true")), {})
    if isinstance(events, str | Seq):
        return {name: Map() for name in as_list(events)}
    return {name: as_map(given) for name, given in events.items()}


def scenarios(workflow: Map, spoken: Iterable[str]) -> list[Scenario]:
    """Return what can start a workflow; spoken: references that its conditions name."""
    found = [
        one for event, given in triggers(workflow).items() for one in _starts(event, given, spoken)
    ]
    return list(dict.fromkeys(found))


def _starts(event: str, given: Map, spoken: Iterable[str]) -> Iterator[Scenario]:
    if event == "push":
        yield from (Scenario(event, ref, sure) for ref, sure in _pushed(given, spoken))
    elif event in _PULLS:
        yield Scenario(event, "refs/pull/7/merge")
    elif event == "release":
        yield from (Scenario(event, f"refs/tags/{one}", False) for one in ("v1.2.3", "v1"))
    elif event == "workflow_dispatch":
        yield from (Scenario(event, f"refs/heads/{one}") for one in ("main", "dev"))
        yield from (Scenario(event, one, False) for one in ("refs/heads/topic", "refs/tags/v1.2.3"))
    else:
        yield Scenario(event, "refs/heads/main", False)


def _pushed(given: Map, spoken: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """Yield references that a push's filters let in, and whether each is certain."""
    heads, tags = _patterns(given, "branches"), _patterns(given, "tags")
    if heads is None and tags is None:
        heads = tags = ["**"]
    named = [one.split("/", 2)[2] for one in spoken if one.startswith("refs/heads/")]
    for one in (*_examples(heads or []), *filter(partial(_passes, heads or []), named)):
        yield f"refs/heads/{one}", True
    passing = [one for one in (*_RELEASES, *_TAGS) if _passes(tags or [], one)]
    written = [one for one in tags or [] if _is_plain(one)]
    for one in (*written, *passing):
        yield f"refs/tags/{one}", one in (*written, *_RELEASES)
    if tags and not passing and not written:  # a pattern that no example fits
        yield f"refs/tags/{tags[0]}", False


def _patterns(given: Map, kind: str) -> list[str] | None:
    """Return the filters of an event; None if it has none."""
    if kind in given:
        return as_list(given[kind])
    if f"{kind}-ignore" in given:
        return ["**", *(f"!{one}" for one in as_list(given[f"{kind}-ignore"]))]
    return None


def _is_plain(pattern: str) -> bool:
    return not re.search(r"[*?+\[\]!]", pattern)


def _examples(patterns: list[str]) -> Iterator[str]:
    """Yield the branches that are written out, main and dev, and an example for each pattern."""
    yield from (one for one in ("main", "dev") if _passes(patterns, one))
    for one in patterns:
        example = one if _is_plain(one) else re.sub(r"[*?+\[\]]+", "topic", one)
        is_odd = one[:1] != "!" and not _matches(example, one)
        if _passes(patterns, example) or is_odd:
            yield example


def _passes(patterns: list[str], name: str) -> bool:
    """Whether filters let a name through: the last one that matches decides."""
    passed = False
    for one in patterns:
        if _matches(name, one.removeprefix("!")):
            passed = one[:1] != "!"
    return passed


def _matches(name: str, pattern: str) -> bool:
    """Whether a name matches a filter (GitHub's documentation, "Filter pattern cheat sheet")."""
    parts = re.split(r"(\*\*|\*|[?+]|\[[^\]]*\])", pattern)
    signs = {"**": ".*", "*": "[^/]*", "?": "?", "+": "+"}
    regex = "".join(signs.get(one, one if one[:1] == "[" else re.escape(one)) for one in parts)
    try:
        return len(pattern) < 200 and bool(re.fullmatch(regex, name))
    except re.error:
        return True
