"""The events that start a workflow, with the references they can have, and plain conditions. Pure.

A reference that stands for many (`v*`, any branch) is an example of what the workflow lets in.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from megalotron_images.audit.mentions import PATTERNS, STARTS
from megalotron_images.audit.yaml_files import Map, Text, Unreadable, as_list, as_map
from megalotron_images.convention import Tag, tags_for
from megalotron_images.errors import RuleBroken

UNKNOWN_EVENT = "workflow_call"
"""The event of a workflow that others call: theirs."""
_MAIN, _DEV, _PULL = "refs/heads/main", "refs/heads/dev", "refs/pull/7/merge"
_RELEASES = ("v1.2.3", "v1.2.3-rc.1")
_KNOWN = {"": True, "true": True, "success()": True, "always()": True, "false": False}
When = tuple[str, ...]
"""Texts of `if:` that must all hold."""
UNSURE: When = ("?",)


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


def holds(when: When, scenario: Scenario) -> bool | None:
    """Whether all conditions hold; None where one is not plain, or unknown, and none is false."""
    answers = {_holds(one, scenario) for one in when}
    return False if False in answers else None if None in answers else True


def _holds(text: str, scenario: Scenario) -> bool | None:
    bare = re.sub(r"^\$\{\{(.*)\}\}$", r"\1", " ".join(text.split())).strip()
    if "&&" in bare and "||" not in bare:
        return holds(tuple(bare.split("&&")), scenario)
    plain = PATTERNS["condition"].fullmatch(bare)
    if not plain or scenario.event == UNKNOWN_EVENT:
        return _KNOWN.get(bare.lower())
    value, ref, is_wanted = plain[3] or plain[4] or "", scenario.ref, plain[2] != "!="
    if plain[1] and plain[1].lower() == "event_name":
        return (scenario.event == value) is is_wanted
    is_met = ref == value if plain[1] else ref.startswith(value)
    kind = ref[: ref.index("/", 5) + 1]  # another reference of it may be as asked
    is_other = not {ref, value} & {_MAIN, _DEV} and value.startswith(kind) and value != kind
    return None if is_other and not is_met else is_met is is_wanted


def triggers(workflow: Map) -> dict[str, Map]:
    """Return the events of a workflow's `on`, each with its settings."""
    events: Any = next((v for k, v in workflow.items() if k.lower() in ("on", "true")), {})
    return {one: as_map(events).below(one) for one in as_map(events) or as_list(events)}


def scenarios(workflow: Map, text: str) -> Iterator[Scenario]:
    """Yield what can start a workflow; `text` is its source, searched for names of branches.

    Raises Unreadable for filters that are not plain.
    """
    named = re.findall(r"refs/heads/([\w./-]{1,40})", text)[:30]
    for event, given in triggers(workflow).items():
        refs = STARTS.get(event, _MAIN).split()
        every = (Scenario(event, one, one in (_MAIN, _PULL)) for one in refs)
        yield from _pushed(given, named) if event == "push" else every


def _pushed(given: Map, named: list[str]) -> Iterator[Scenario]:
    """Yield the references that a push's filters let in."""
    heads, tags = _filters(given, "branches"), _filters(given, "tags")
    every = [] if heads or tags else ["**"]
    for one in _examples(heads + every, ["main", "dev", *named]):
        yield Scenario("push", f"refs/heads/{one}")
    for one in _examples(tags + every, [*_RELEASES, "1.2.3"]):
        yield Scenario("push", f"refs/tags/{one}", one in (*tags, *_RELEASES))


def _filters(given: Map, kind: str) -> list[str]:
    """Return the filters of an event; none where it has none."""
    filters, ignored = (as_list(given.get(key)) for key in (kind, f"{kind}-ignore"))
    every = [*(filters or [Text("**")] * bool(ignored)), *(f"!{one}" for one in ignored)]
    if not PATTERNS["filters"].fullmatch("".join(f"{one}\n" for one in every)):
        raise Unreadable("the filters of its events are not plain, or too many")
    return every


def _examples(filters: list[str], known: list[str]) -> list[str]:
    """Return names that filters let in: the known ones, and one for each filter."""
    plain = (re.sub(r"\[(.)[^\]]*\]\+?", r"\1", one) for one in filters if one[0] != "!")
    names = [*known, *(re.sub(r"\*+", "topic", one) for one in plain)]
    return [one for one in dict.fromkeys(names) if _passes(filters, one)]


def _passes(filters: list[str], name: str) -> bool:
    """Whether filters let a name through: the last one that matches decides.

    Source: GitHub's documentation, "Filter pattern cheat sheet".
    """
    is_passing = False
    for one in filters:
        literal = one.removeprefix("!").replace(".", r"\.")
        regex = re.sub(r"\*+", lambda stars: ".*" if stars[0][1:] else "[^/]*", literal)
        is_passing = one[0] != "!" if re.fullmatch(regex, name) else is_passing
    return is_passing


def names(scenario: Scenario) -> dict[str, str]:
    """Return what names in a tag stand for in a scenario: empty for nothing; others are unknown.

    A row of docker/metadata-action is `type=KIND VALUE`. For a pre-release it takes `{{version}}`
    in place of any pattern but `{{raw}}`, so that `v{{version}}` loses its `v`: unknown.
    """
    _, kind, name = scenario.ref.split("/", 2)
    slug, tag = re.sub(r"[^\w.-]+", "-", name), name * (kind == "tags")
    found = {"github.ref_name": name, "type=sha ": "sha-1a2b3c4"}
    found |= {"type=ref branch": slug * (kind == "heads"), "type=ref tag": slug * (kind == "tags")}
    found |= {"type=ref pr": "pr-7" * (kind == "pull")}
    found |= {"type=schedule ": "nightly" * (scenario.event == "schedule")}
    whole, minor, major, rest = (PATTERNS["version"].findall(tag) or [("",) * 4])[0]
    forms = {"{{raw}}": tag * bool(whole), "{{version}}": whole}
    more = {"{{major}}.{{minor}}": minor, "{{major}}": major, **forms}
    forms |= {} if rest else more | {f"v{form}": text and f"v{text}" for form, text in more.items()}
    return found | {f"type=semver {form}": text for form, text in forms.items()}
