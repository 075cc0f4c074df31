"""Tables of the pages that are made from code and measurements, so that nobody types them twice."""

import json
import re
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

from megalotron_images.convention import STACKS
from megalotron_images.errors import RuleBroken
from megalotron_images.tags_for import tags_for

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
    """Return what `make bench` measured last: the medians of runs in turn, and the bar of their ratio."""
    results = json.loads((BENCH / "results.json").read_text())
    rows = []
    for ratio in results["ratios"]:
        ours, theirs = (f"{_median(ratio[side]):.3g} {ratio['unit']}" for side in ("ours", "theirs"))
        rows.append((ratio["what"], ours, ratio["against"], theirs, f"{ratio['ratio']:.2f}", f"{ratio['bar']:g}"))
    measured = f"Measured on {results['measured']}, {results['machine']}, at commit `{results['commit'][:12]}`: "
    return f"{measured}medians of {results['runs']} runs in turn.\n\n" + table(
        ("What", "Takes", "Beside", "Takes", "Ratio", "At most"), rows
    )


def runs() -> str:
    """Return the last lines of what takes long and is run whole for each evidence."""
    rows = []
    for name, what in (("drift", "Stale edits"), ("steady", "Repeated runs"), ("races", "Races for a version")):
        rows.append((what, (BENCH / f"{name}.txt").read_text().strip().splitlines()[-1]))
    return table(("Check", "Outcome"), rows)


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


TABLES: dict[str, Callable[[], str]] = {"stacks": stacks, "tags": tags, "bench": bench, "runs": runs}


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put each table in the place that names it."""
    return _PLACE.sub(lambda match: TABLES[match[1]](), markdown)
