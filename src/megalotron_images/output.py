"""How answers look: text or JSON on stdout; progress on stderr."""

import contextlib
import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from megalotron_images.terminal import write

if TYPE_CHECKING:
    from megalotron_images.engine import Progress
    from megalotron_images.plan import Finding, Plan

_DIGEST = re.compile(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}")


def answer(text: object, data: object, as_json: bool) -> None:
    """Print an answer, as text for people or as JSON for programs."""
    write(json.dumps(data, indent=2) if as_json else str(text))


def table(rows: Sequence[Sequence[str]], whole: bool = True) -> str:
    """Return rows as aligned columns.

    whole: print digests whole in a terminal too, where short ones let a row fit 80 columns.
    """
    if not whole and sys.stdout and sys.stdout.isatty():
        rows = [[_DIGEST.sub(r"\1", text) for text in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    padded = ([*map(str.ljust, row, widths), row[-1]] for row in rows)
    return "\n".join(map("  ".join, padded))


def findings(found: Iterable["Finding"], as_json: bool) -> int:
    """Print findings, each as it comes, or all as JSON; return the exit status.

    0 if all are fine, 1 if one is not, 3 if one is unknown.
    """
    from megalotron_images.plan import Verdict

    known: list[Finding] = []
    for one in found:
        known.append(one)
        if not as_json:
            write(f"{one.verdict:<3} {one.about:<9} {one.text}")
    if as_json:
        answer("", [{"about": f.about, "verdict": f.verdict, "text": f.text} for f in known], True)
    verdicts = {finding.verdict for finding in known}
    return 1 if Verdict.NO in verdicts else 3 if Verdict.UNKNOWN in verdicts else 0


def dry_run(plan: "Plan", as_json: bool) -> None:
    """Print what a plan would write."""
    told = "already points to this: there is nothing to write" if plan.done else "would be written"
    data = {"reference": str(plan.reference), "before": plan.before.digest}
    text = f"{plan.reference} {told}. Nothing was written."
    answer(text, data | {"writes": plan.done is None}, as_json)


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
