"""Tables of the pages that are made from code and measurements, so that nobody types them twice."""

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

from megalotron_images.convention import STACKS, tags_for
from megalotron_images.errors import RuleBroken
from rehearsal.runbook.evidence import load_rows
from rehearsal.runbook.model import Runbook
from rehearsal.settings import load_settings

RUNS = {
    "coverage": "Shell blocks on any page",
    "drift": "Stale edits",
    "steady": "Repeated runs",
    "races": "Races for a version",
}
"""What is run whole for each evidence, and how the page calls it."""
BENCH = Path(__file__).parent.parent / "bench"
_PLACE = re.compile(r"^<!-- table: (\w+) -->$", re.MULTILINE)


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown."""
    lines = [tuple(head), *map(tuple, rows)]
    lines.insert(1, ("---",) * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def stacks() -> str:
    """Return the stacks and their images."""
    return table(("Stack", "Image"), ((stack.title, f"`{stack.image}`") for stack in STACKS))


def tags() -> str:
    """Return what each kind of push writes, as the rule itself says it."""
    rows = []
    for case in tomllib.loads((Path(__file__).parent / "tags-for.toml").read_text())["case"]:
        try:
            found = tags_for(case["ref"], case.get("event", "push"))
            written = f"`{found}`" if found else "nothing: it is built only"
        except RuleBroken:
            written = "refused"
        rows.append((case["what"], written))
    return table(("On", "it publishes"), rows)


def bench() -> str:
    """Return what `make bench` measured last.

    The medians of runs in turn, and the bar of their ratio.
    """
    results = _measured("results")
    rows = []
    for ratio in results["ratios"]:
        ours, theirs = (
            f"{_median(ratio[side]):.3g} {ratio['unit']}" for side in ("ours", "theirs")
        )
        rows.append(
            (
                ratio["what"],
                ours,
                ratio["against"],
                theirs,
                f"{ratio['ratio']:.2f}",
                f"{ratio['bar']:g}",
            )
        )
    head = ("What", "Takes", "Beside", "Takes", "Ratio", "At most")
    return f"{_when(results)} Medians of {results['runs']} runs in turn.\n\n" + table(head, rows)


def pages() -> str:
    """Return what `make scores` found last: the worst page's figure for each score, and its bar."""
    results = _measured("pages")
    rows = []
    for score in results["scores"]:
        bar = f"at {'least' if score['least'] else 'most'} {score['bar']:g}"
        rows.append((score["what"], f"{score['value']:g}", bar, score["page"]))
    return f"{_when(results)}\n\n" + table(("What", "The worst page has", "Bar", "Which"), rows)


def runs() -> str:
    """Return what came of that which takes long and is run whole for each evidence."""
    rows = []
    for name, what in RUNS.items():
        if not (BENCH / f"{name}.json").exists():
            continue
        run = _measured(name)
        commit, took = (
            f"`{run['commit'][:12]}`{run['commit'][40:]}",
            f"{run['seconds'] / 60:.1f} min",
        )
        rows.append((what, run["outcome"], took, run["measured"], commit))
    return table(("Check", "Outcome", "Took", "On", "At commit"), rows)


def versions() -> str:
    """Return the versions that the long checks ran with."""
    run = _measured("drift")
    rows = (
        ("Engine", run["engine"]),
        ("Registry", run["registry"]),
        ("Command line", run["docker"]),
    )
    return table(("What", "Version"), (*rows, ("Machine", run["machine"])))


def _measured(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((BENCH / f"{name}.json").read_text())
    return found


def _when(results: Mapping[str, str]) -> str:
    commit = f"`{results['commit'][:12]}`{results['commit'][40:]}"
    return f"Measured on {results['measured']}, at commit {commit}, on {results['machine']}."


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def engines() -> str:
    """Return which guide held on which engine: the rows whose notebook is what it was then."""
    settings = load_settings(BENCH)
    rows = [
        row
        for row in load_rows(settings)
        if row.is_of(Runbook(settings.notebooks / f"{row.notebook}.md"))
    ]
    heads = sorted(
        {(tuple(map(int, row.release.split("."))), row.store, row.release) for row in rows}
    )
    found = {(row.notebook, row.store, row.release): row for row in rows}
    lines = []
    for name in sorted({row.notebook for row in rows}):
        cells = [found.get((name, store, release)) for _, store, release in heads]
        lines.append(
            (f"[{name}](guide/{name}.ipynb)", *(str(row.cells) if row else "–" for row in cells))
        )
    return table(("Guide", *(f"{release}, {store}" for _, store, release in heads)), lines)


TABLES: dict[str, Callable[[], str]] = {"stacks": stacks, "tags": tags, "bench": bench}
TABLES |= {"engines": engines, "pages": pages, "runs": runs, "versions": versions}


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put each table in the place that names it."""
    return _PLACE.sub(lambda match: TABLES[match[1]](), markdown)
