"""Tables from code and settings."""

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from megalotron_images.convention import STACKS, tags_for
from megalotron_images.errors import RuleBroken

DOCS = Path(__file__).parents[1]
_WORKFLOW = re.compile(r"^```yaml\n(name: Image\n.*?)^```", re.DOTALL | re.MULTILINE)


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown."""
    lines = [tuple(head), *map(tuple, rows)]
    lines.insert(1, ("---",) * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def stacks() -> str:
    """Return the stacks and their images."""
    return table(("Stack", "Image"), ((stack.title, f"`{stack.image}`") for stack in STACKS))


def tags() -> str:
    """Return what each kind of event publishes where a stack has the page's workflow."""
    cases = tomllib.loads((DOCS / "tags-for.toml").read_text())["case"]
    starts = _starts_of_the_workflow()
    rows = ((case["what"], _published(case, starts)) for case in cases)
    return table(("On", "The workflow publishes"), rows)


def _starts_of_the_workflow() -> dict[str, Any]:
    """Return the `on:` of the workflow that the page about it shows."""
    shown = _WORKFLOW.findall((DOCS.parent / "notebooks" / "automate-a-stack.md").read_text())
    starts: dict[str, Any] = yaml.safe_load(shown[0])[True]  # what YAML 1.1 makes of "on"
    return starts


def _published(case: Mapping[str, str], starts: Mapping[str, Any]) -> str:
    if not _starts(case["ref"], case.get("event", "push"), starts):
        return "nothing: no run starts"
    try:
        found = tags_for(case["ref"], case.get("event", "push"))
    except RuleBroken:
        return "nothing: the run fails"
    return f"`{found}`" if found and not case.get("off_main") else "nothing: it is built only"


def _starts(ref: str, event: str, starts: Mapping[str, Any]) -> bool:
    """Whether an `on:` starts a run. Source: GitHub, "Workflow syntax", on.push."""
    if event != "push" or event not in starts:
        return event in starts
    _, kind, name = ref.split("/", 2)
    filters = starts["push"].get({"heads": "branches", "tags": "tags"}[kind], ())
    return any(PurePosixPath(name).match(pattern) for pattern in filters)


def environment() -> str:
    """Return every environment variable that is read."""
    known = tomllib.loads((DOCS / "environment.toml").read_text())["variable"]
    rows = ((f"`{one['name']}`", one["what"], one["default"], one["reader"]) for one in known)
    return table(("Variable", "What it is", "Default", "Read by"), rows)


TABLES: dict[str, Callable[[], str]] = {"stacks": stacks, "tags": tags}
TABLES |= {"environment": environment}
