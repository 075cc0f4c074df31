"""Tables from code and measurements."""

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from megalotron_images.convention import STACKS, tags_for
from megalotron_images.errors import RuleBroken
from rehearsal.runbook.evidence import load_rows
from rehearsal.settings import load_settings

RUNS = {
    "coverage": "Shell blocks on any page",
    "drift": "Stale edits",
    "steady": "Repeated runs",
    "races": "Races for a version",
}
"""The long checks, by the name of their file in bench/, with their titles."""
DOCS = Path(__file__).parents[1]
BENCH = DOCS.parent / "bench"
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
    return table(("On", "it publishes"), rows)


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


def bench() -> str:
    """Return the last `make bench`: medians, ratios and their bars."""
    results = _measured("results")
    head = ("What", "Takes", "Beside", "Takes", "Ratio", "At most")
    rows = map(_ratio, results["ratios"])
    return f"{_when(results)} Medians of {results['runs']} runs in turn.\n\n{table(head, rows)}"


def _ratio(ratio: Mapping[str, Any]) -> tuple[str, ...]:
    medians = (sorted(ratio[side])[len(ratio[side]) // 2] for side in ("ours", "theirs"))
    ours, theirs = (f"{median:.3g} {ratio['unit']}" for median in medians)
    bar = f"{ratio['ratio']:.2f}", f"{ratio['bar']:g}" if ratio["bar"] else "none"
    return (ratio["what"], ours, ratio["against"], theirs, *bar)


def pages() -> str:
    """Return the last `make scores`: the worst page of each score, and its bar."""
    results = _measured("pages")
    rows = []
    for score in results["scores"]:
        bar = f"at {'least' if score['least'] else 'most'} {score['bar']:g}"
        rows.append((score["what"], f"{score['value']:g}", bar, score["page"]))
    return f"{_when(results)}\n\n" + table(("What", "The worst page has", "Bar", "Which"), rows)


def runs() -> str:
    """Return the outcomes of the long checks."""
    found = ((what, _measured(name)) for name, what in RUNS.items() if _file(name).exists())
    rows = (
        (what, run["outcome"], f"{run['seconds'] / 60:.1f} min", run["measured"], _commit(run))
        for what, run in found
    )
    return table(("Check", "Outcome", "Took", "On", "At commit"), rows)


def versions() -> str:
    """Return the versions that the long checks ran with."""
    run = _measured("drift")
    parts = {"Engine": "engine", "Registry": "registry", "Command line": "docker"}
    rows = [(what, run[name]) for what, name in (parts | {"Machine": "machine"}).items()]
    return table(("What", "Version"), rows)


def engines() -> str:
    """Return which guide held on which engine when that was measured last."""
    rows = load_rows(load_settings(BENCH))
    found = {(row.notebook, row.release, row.store, row.processor): row for row in rows}
    heads = sorted({(row.release, row.store, row.processor) for row in rows}, key=_by_number)
    lines = []
    for name in sorted({row.notebook for row in rows}):
        cells = (found.get((name, *head)) for head in heads)
        held = (str(row.cells) if row else "–" for row in cells)
        lines.append((f"[{name}](../notebooks/{name}.ipynb)", *held))
    return table(("Guide", *(", ".join(head) for head in heads)), lines)


def environment() -> str:
    """Return every environment variable that is read."""
    known = tomllib.loads((DOCS / "environment.toml").read_text())["variable"]
    rows = ((f"`{one['name']}`", one["what"], one["default"], one["reader"]) for one in known)
    return table(("Variable", "What it is", "Default", "Read by"), rows)


def _by_number(head: tuple[str, str, str]) -> tuple[str, list[int], str]:
    return head[2], [*map(int, head[0].split("."))], head[1]


def _file(name: str) -> Path:
    return BENCH / f"{name}.json"


def _measured(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_file(name).read_text())
    return found


def _commit(run: Mapping[str, Any]) -> str:
    return f"`{run['commit'][:7]}`{run['commit'][40:]}"


def _when(results: Mapping[str, Any]) -> str:
    where = f"at commit {_commit(results)}, on {results['machine']}"
    return f"Measured on {results['measured']}, {where}."


TABLES: dict[str, Callable[[], str]] = {"stacks": stacks, "tags": tags, "bench": bench}
TABLES |= {"engines": engines, "pages": pages, "runs": runs, "versions": versions}
TABLES |= {"environment": environment}
