"""How answers look: text or JSON on stdout; progress on stderr."""

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from megalotron_images.plan import Finding, Plan, Verdict

if TYPE_CHECKING:
    from megalotron_images.engine import Progress


def answer(text: object, data: object, as_json: bool) -> None:
    """Print an answer, as text for people or as JSON for programs."""
    print(json.dumps(data, indent=2) if as_json else text)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as aligned columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    padded = ([*map(str.ljust, row, widths), row[-1]] for row in rows)
    return "\n".join(map("  ".join, padded))


def findings(found: Sequence[Finding], as_json: bool) -> int:
    """Print findings, one a line; return the exit status.

    0 if all are fine, 1 if one is not, 3 if one is unknown.
    """
    data = [{"about": f.about, "verdict": f.verdict, "text": f.text} for f in found]
    answer(table([(f.verdict, f.about, f.text) for f in found]), data, as_json)
    verdicts = {finding.verdict for finding in found}
    return 1 if Verdict.NO in verdicts else 3 if Verdict.UNKNOWN in verdicts else 0


def dry_run(plan: Plan, as_json: bool) -> None:
    """Print what a plan would write."""
    told = "already names this: there is nothing to write" if plan.done else "would be written"
    data = {"reference": str(plan.reference), "before": plan.before.digest}
    text = f"{plan.reference} {told}. Nothing was written."
    answer(text, data | {"writes": plan.done is None}, as_json)


def step(text: str) -> None:
    """Announce a step on stderr."""
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def progress() -> Iterator["Progress"]:
    """Yield a callback that shows a push's layers; a no-op if stderr is no terminal."""
    if not sys.stderr.isatty():
        yield lambda layer, current, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, Any] = {}

        def show(layer: str, current: int, total: int) -> None:
            if layer not in tasks:
                tasks[layer] = bars.add_task(layer)
            bars.update(tasks[layer], completed=current, total=total)

        yield show
