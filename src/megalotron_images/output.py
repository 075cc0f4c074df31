"""Answers on stdout: text for people, or JSON for programs."""

import json
import re
import signal
import sys
from collections.abc import Sequence

from megalotron_images.terminal import write

_DIGEST = re.compile(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}")


def answer(text: object, data: object, as_json: bool) -> None:
    """Print an answer, as text for people or as JSON for programs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # what is done must be said
    write(json.dumps(data, indent=2) if as_json else str(text))


def table(rows: Sequence[Sequence[str]], whole: bool = True) -> str:
    """Return rows as aligned columns.

    Args:
        rows: the first is the head.
        whole: keep digests whole in a terminal too, where short ones let a row fit 80 columns.
    """
    if not whole and sys.stdout and sys.stdout.isatty():
        rows = [[_DIGEST.sub(r"\1", text) for text in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    padded = ([*map(str.ljust, row, widths), row[-1]] for row in rows)
    return "\n".join(map("  ".join, padded))
