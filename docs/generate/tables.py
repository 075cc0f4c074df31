"""Tables from code and measurements."""

import json
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

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


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown."""
    lines = [tuple(head), *map(tuple, rows)]
    lines.insert(1, ("---",) * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def stacks() -> str:
    """Return the stacks and their images."""
    return table(("Stack", "Image"), ((stack.title, f"`{stack.image}`") for stack in STACKS))


def tags() -> str:
    """Return the tag that each kind of push writes."""
    cases = tomllib.loads((DOCS / "tags-for.toml").read_text())["case"]
    return table(("On", "it publishes"), ((case["what"], _written(case)) for case in cases))


def _written(case: Mapping[str, str]) -> str:
    try:
        found = tags_for(case["ref"], case.get("event", "push"))
    except RuleBroken:
        return "refused"
    return f"`{found}`" if found else "nothing: it is built only"


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
