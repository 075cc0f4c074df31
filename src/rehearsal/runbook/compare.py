"""The texts that are compared: a cell's outputs, and where two of them first differ."""

from collections.abc import Iterable
from itertools import zip_longest
from typing import Any

_LONGEST = 200
"""Characters of a line in a message."""


def as_text(outputs: Iterable[Any]) -> str:
    """Return a cell's outputs as one text: streams joined, other outputs with their types."""
    parts, before = [], "stdout"
    for output in outputs:
        kind = output["output_type"]
        if kind == "stream":
            name, content = output["name"], output["text"]
        elif kind == "error":
            name, content = kind, "\n".join(output["traceback"]) + "\n"
        else:
            data = sorted(output["data"].items())
            name, content = kind, "".join(f"[{mime}]\n{shown}\n" for mime, shown in data)
        if name not in (before, "stdout"):
            parts.append(f"[{name}]\n")
        before = name
        parts.append(content)
    return "".join(parts)


def _quoted(line: str | None, other: str | None) -> str:
    return "the end" if line is None else f"`{excerpt(line, other)}`"


def excerpt(line: str, other: str | None = None) -> str:
    """Return a line; of a long one a part, which begins before its difference from another one."""
    if len(line) <= _LONGEST:
        return line
    pairs = enumerate(zip(line, other or "", strict=False))
    differs = next((place for place, (ours, theirs) in pairs if ours != theirs), 0)
    start = max(0, differs - _LONGEST // 4)
    part = line[start : start + _LONGEST]
    return f"{'…' if start else ''}{part}{'…' if start + _LONGEST < len(line) else ''}"


def first_difference(expected: str, came: str) -> tuple[int, str] | None:
    """Return the first line, from 1, in which two masked texts differ, and how; or None."""
    left, right = (text.removesuffix("\n").split("\n") if text else [] for text in (expected, came))
    for number, (ours, theirs) in enumerate(zip_longest(left, right), 1):
        if ours != theirs:
            return number, f"expected {_quoted(ours, theirs)}, came {_quoted(theirs, ours)}"
    return None
