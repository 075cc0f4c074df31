"""The events that start a workflow, each with the references that it can have. Pure.

A scenario is one event on one reference. Branches and tags that the workflow does not name one by
one are scenarios too: with a hole for their name.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from megalotron_images.audit.knowledge import CONTEXT
from megalotron_images.audit.texts import PERSON, Hole, one_of, put, unknown
from megalotron_images.audit.yaml_files import Map, as_list, as_map

_NAMED = re.compile(r"refs/(heads|tags)/([\w./-]+\w)'|ref(?:_name)?\s*[!=]=\s*'([\w.-]+)'")
_TAGS = ("v1.2.3", "1.2.3", "v1", "v1.2", "release-1", "release/1", "backend-v1.2.3", "nightly")
"""Examples of git tags, to see which of them a filter lets through."""
_BRANCHES = ("topic", "feature/x", "release/x", "release-x", "1.2", "hotfix/x", "v1")
_PROTECTED = ("main", "dev")
DEFAULT_BRANCH = Hole("the default branch", ("main", "master"))


@dataclass(frozen=True)
class Scenario:
    """An event on a reference, as `github.event_name` and `github.ref` tell it."""

    event: str
    ref: str


def triggers(workflow: Map) -> dict[str, Map]:
    """Return the events of a workflow's `on`, each with its settings."""
    events: Any = next((v for k, v in workflow.items() if k.lower() in ("on", "true")), {})
    if isinstance(events, str | list):
        return {name: Map() for name in as_list(events)}
    return {name: as_map(given) for name, given in events.items()}


def scenarios(workflow: Map, text: str) -> list[Scenario]:
    """Return what can start a workflow; `text` is its source, searched for names it speaks of."""
    spoken = [match.groups() for match in _NAMED.finditer(text)]
    branches = [*_PROTECTED, *(b or c for kind, b, c in spoken if kind != "tags")]
    pushed = triggers(workflow).get("push", Map())
    is_main = "main" in (_patterns(pushed, "branches") or ())
    default = "main" if is_main else put(DEFAULT_BRANCH)
    found = [
        Scenario(event, ref)
        for event, given in triggers(workflow).items()
        for ref in _references(event, given, branches, default)
    ]
    if "workflow_dispatch" in triggers(workflow) and re.search("refs/tags|ref_type", text):
        found.append(Scenario("workflow_dispatch", "refs/tags/v1.2.3"))
    return list(dict.fromkeys(found))


def _references(event: str, given: Map, names: list[str], default: str) -> Iterator[str]:
    if event == "push":
        yield from _pushed(given, names)
    elif event in ("pull_request", "pull_request_review"):
        yield f"refs/pull/{one_of('the number of the pull request', '7')}/merge"
    elif event in ("release", "create"):
        chosen = Hole("a tag that a person chooses", _TAGS)
        yield f"refs/tags/{put(chosen)}"
        yield from ["refs/heads/topic"] * (event == "create")
    elif event == "workflow_dispatch":
        yield from (f"refs/heads/{name}" for name in dict.fromkeys(names))
        chosen = Hole("the branch it is started on", ("topic", "main"), never=tuple(names))
        yield f"refs/heads/{put(chosen)}"
    else:
        yield f"refs/heads/{default}"


def _pushed(given: Map, names: list[str]) -> Iterator[str]:
    heads, tags = _patterns(given, "branches"), _patterns(given, "tags")
    if heads is None and tags is None:
        heads = tags = ["**"]
    yield from (f"refs/heads/{one}" for one in _names(heads or [], names, _BRANCHES, False))
    yield from (f"refs/tags/{one}" for one in _names(tags or [], ["v1.2.3"], _TAGS, True))


def _patterns(given: Map, kind: str) -> list[str] | None:
    """Return the filters of an event; None if it has none."""
    if kind in given:
        return as_list(given[kind])
    if f"{kind}-ignore" in given:
        return ["**", *(f"!{one}" for one in as_list(given[f"{kind}-ignore"]))]
    return None


def _names(
    patterns: list[str], names: list[str], examples: tuple[str, ...], chosen: bool
) -> Iterator[str]:
    """Yield the names that filters let through.

    These are those written out, the known ones among `names`, and a hole with examples for others.
    """
    exact = [one for one in patterns if not re.search(r"[*?+\[\]!]", one)]
    known_names = [one for one in dict.fromkeys(names) if _passes(one, patterns)]
    yield from dict.fromkeys([*exact, *known_names])
    for pattern in dict.fromkeys(one for one in patterns if one[:1] != "!" and one not in exact):
        others = tuple(one for one in examples if _passes(one, patterns) and _matches(one, pattern))
        others = tuple(one for one in others if one not in names)
        if chosen and re.fullmatch(r"v(\*|\[0-9\]\+)(\.(\*|\[0-9\]\+)){2}", pattern):
            continue  # whoever writes v*.*.* means releases
        what = f"a {'tag' if chosen else 'branch'} like {pattern}"
        good = chosen and any(_matches(name, pattern) for name in names)
        made = others or (re.sub(r"[*?+\[\]!]+", "x", pattern),)
        yield put(Hole(what, (*made, "v1.2.3") if good else made, never=tuple(names)))


def _passes(name: str, patterns: list[str]) -> bool:
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
        return bool(re.fullmatch(regex, name))
    except re.error:
        return True


def github(scenario: Scenario, repository: str) -> dict[str, Any]:
    """Return the context `github` of a scenario."""
    owner, _, thing = repository.partition("/")
    _, kind, name = scenario.ref.split("/", 2)
    is_pull = scenario.event.startswith("pull_request")
    values = {key: one_of(*given) for key, given in CONTEXT["known"].items()} | {
        "ref": scenario.ref,
        "ref_name": name,
        "ref_type": "tag" if kind == "tags" else "branch",
        "event_name": scenario.event,
        "repository": repository or put(Hole("github.repository", ("megalotron/backend", "A/B"))),
        "owner": owner or put(Hole("github.repository_owner", PERSON)),
        "bare": thing or put(Hole("the repository's name", ("backend", "thing"))),
        "actor": unknown("github.actor", PERSON),
        "token": unknown("secrets.GITHUB_TOKEN"),
        "title": unknown("the release's title"),
        "default_branch": put(DEFAULT_BRANCH),
        "head_ref": unknown("the pull request's branch", ("topic",)) if is_pull else "",
        "base_ref": "main" if is_pull else "",
    }
    context: dict[str, Any] = _with_names(CONTEXT["github"], values)
    context["event"] |= {} if is_pull else {"pull_request": ""}
    return context


def _with_names(node: Any, values: dict[str, str]) -> Any:
    """Return texts with the names in braces filled in, those in tables too."""
    if isinstance(node, str):
        return node.format_map(values)
    return {key: _with_names(one, values) for key, one in node.items()}
