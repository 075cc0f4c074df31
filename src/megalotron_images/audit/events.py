"""The events that start a workflow, with the references they can have, and plain conditions. Pure.

A reference that stands for many (`v*`, any branch) is an example of what the workflow lets in.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from megalotron_images.audit.yaml_files import Map, Seq, as_list, as_map
from megalotron_images.convention import WRITING_EVENTS, Tag, tags_for
from megalotron_images.errors import RuleBroken

UNKNOWN_EVENT = "workflow_call"
"""The event of a workflow that others call: theirs."""
_RELEASES = ("v1.2.3", "v1.2.3-rc.1")
_TAGS = ("v1", "1.2.3", "release-1", "nightly", "v1.x.y", "v1.2.3.4")
"""Git tags that are no releases, to see whether a filter lets one through."""
_PROTECTED = ("refs/heads/main", "refs/heads/dev")
_PLAIN = re.compile(
    r"github\.(ref|event_name)\s*([!=]=)\s*'([^']*)'|startswith\(\s*github\.ref\s*,\s*'([^']*)'\s*\)",
    re.IGNORECASE,
)


class Scenario(NamedTuple):
    """An event on a reference; `is_certain` unless others of its kind may do otherwise."""

    event: str
    ref: str
    is_certain: bool = True

    @property
    def writes(self) -> Tag | None:
        """The tag that the process writes here; None where it writes nothing."""
        try:
            return tags_for(self.ref, self.event)
        except RuleBroken:
            return None

    @property
    def is_judged(self) -> bool:
        """Whether what is pushed here is certainly wrong if the process does not write it."""
        return self.is_certain or self.event not in WRITING_EVENTS


class Condition(NamedTuple):
    """A name that must, or must not, be a value.

    Attributes:
        subject: `ref`, `event_name`, `start` (the reference begins so), or `unknown`.
    """

    subject: str
    value: str
    wanted: bool = True

    def holds(self, scenario: Scenario) -> bool | None:
        """Whether it holds; None where that is not known."""
        event, ref, _ = scenario
        if self.subject == "unknown" or event == UNKNOWN_EVENT:
            return None
        if self.subject == "event_name":
            return (event == self.value) is self.wanted
        is_met = ref.startswith(self.value) if self.subject == "start" else ref == self.value
        kind = ref[: ref.index("/", 5) + 1]  # another reference of it may be as asked
        is_other = ref not in _PROTECTED and self.value not in _PROTECTED
        if not is_met and is_other and self.value.startswith(kind) and self.value != kind:
            return None
        return is_met is self.wanted


When = tuple[Condition, ...]
"""Conditions that must all hold."""
UNSURE = Condition("unknown", "")
NEVER = Condition("event_name", "")


def conditions(text: str) -> When:
    """Return the conditions of an `if:`; one that is not plain is unknown."""
    bare = re.sub(r"^\$\{\{(.*)\}\}$", r"\1", text.strip(), flags=re.DOTALL)
    parts = [" ".join(one.split()) for one in (bare.split("&&") if "||" not in bare else [bare])]
    found = []
    for part in parts:
        if plain := _PLAIN.fullmatch(part):
            subject = (plain[1] or "start").lower()
            found.append(Condition(subject, plain[3] or plain[4] or "", plain[2] != "!="))
        elif part.lower() not in ("", "true", "success()", "always()"):
            found.append(NEVER if part.lower() == "false" else UNSURE)
    return tuple(found)


def holds(when: When, scenario: Scenario) -> bool | None:
    """Whether all conditions hold; None where one is not known and none is false."""
    answers = {one.holds(scenario) for one in when}
    return False if False in answers else None if None in answers else True


def triggers(workflow: Map) -> dict[str, Map]:
    """Return the events of a workflow's `on`, each with its settings."""
    events: Any = next((v for k, v in workflow.items() if k.lower() in ("on", "true")), {})
    if isinstance(events, str | Seq):
        return {name: Map() for name in as_list(events)}
    return {name: as_map(given) for name, given in events.items()}


def scenarios(workflow: Map, text: str) -> list[Scenario]:
    """Return what can start a workflow; `text` is its source, searched for names of branches."""
    named = re.findall(r"refs/heads/([\w./-]{1,99})", text)[:50]
    started = (_starts(event, given, named) for event, given in triggers(workflow).items())
    return list(dict.fromkeys(one for starts in started for one in starts))


def _starts(event: str, given: Map, named: Iterable[str]) -> Iterator[Scenario]:
    if event == "push":
        yield from _pushed(given, named)
    elif event.startswith("pull_request") and event != "pull_request_target":
        yield Scenario(event, "refs/pull/7/merge")
    elif event == "release":
        yield from (Scenario(event, f"refs/tags/{one}", False) for one in ("v1.2.3", "v1"))
    elif event == "workflow_dispatch":
        yield Scenario(event, _PROTECTED[0])
        others = (_PROTECTED[1], "refs/heads/topic", "refs/tags/v1.2.3")
        yield from (Scenario(event, one, False) for one in others)
    else:
        yield Scenario(event, "refs/heads/main", False)


def _pushed(given: Map, named: Iterable[str]) -> Iterator[Scenario]:
    """Yield the references that a push's filters let in."""
    heads, tags = _patterns(given, "branches"), _patterns(given, "tags")
    if heads is None and tags is None:
        heads = tags = ["**"]
    for one in heads or []:
        example = re.sub(r"[*?+\[\]]+", "topic", one)
        if _passes(heads or [], example) or (one[:1] != "!" and not _passes([one], example)):
            yield Scenario("push", f"refs/heads/{example}")
    branches = (one for one in ("main", "dev", *named) if _passes(heads or [], one))
    yield from (Scenario("push", f"refs/heads/{one}") for one in branches)
    plain = [one for one in tags or [] if not re.search(r"[*?+\[\]!]", one)]
    passing = [one for one in (*plain, *_RELEASES, *_TAGS) if _passes(tags or [], one)]
    odd = (tags or [])[:1] if not passing else []  # a pattern that no example fits
    for one in [*passing, *odd]:
        yield Scenario("push", f"refs/tags/{one}", one in (*plain, *_RELEASES))


def _patterns(given: Map, kind: str) -> list[str] | None:
    """Return the filters of an event; None if it has none."""
    ignored = [f"!{one}" for one in as_list(given.get(f"{kind}-ignore"))]
    return as_list(given[kind]) if kind in given else ["**", *ignored] if ignored else None


def _passes(patterns: list[str], name: str) -> bool:
    """Whether filters let a name through: the last one that matches decides."""
    passed = False
    for one in patterns:
        if _matches(name, one.removeprefix("!")):
            passed = one[:1] != "!"
    return passed


def _matches(name: str, pattern: str) -> bool:
    """Whether a name matches a filter (GitHub's documentation, "Filter pattern cheat sheet")."""
    parts = re.split(r"(\*\*|\*|[?+]|\[[^\]]*\])", pattern[:100])
    signs = {"**": ".*", "*": "[^/]*", "?": "?", "+": "+"}
    regex = "".join(signs.get(one, one if one[:1] == "[" else re.escape(one)) for one in parts)
    try:
        return bool(re.fullmatch(regex, name[:50]))
    except re.error:
        return True
