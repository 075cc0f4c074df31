"""Texts with unknown parts. Pure.

Where a part of a value is not known, its text has a *hole*: one private character of Unicode that
stands for a `Hole`. Ordinary operations on strings (split, partition, strip) leave it whole, and
equal holes are equal characters. A question about a text is asked of its *expansions*: the text
with each hole's examples put in.
"""

import itertools
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from megalotron_images.audit.knowledge import EXAMPLES

_FIRST = 0xF0000
_LIMIT = 50_000
"""Expansions looked at."""
_MOST = 600
"""Expansions to which a function is applied: a result of more is unknown."""
PROBES = tuple(EXAMPLES)
"""What an unknown part may be: with each shape of the convention among them, so that only what no
value can mend is judged violated.
"""
_FEW = ("ghcr.io", "megalotron", "backend", "v1.2.3", "main", "x")
"""What unknown parts may be where there are more than three."""
PERSON = ("someone", "megalotron")
"""What a user name or an owner may be: never a registry."""


@dataclass(frozen=True)
class Hole:
    """An unknown part of a text.

    Attributes:
        what: what it is, for people.
        examples: values it may have.
        is_open: it may have others too.
        never: values of an open hole that it does not have.
    """

    what: str
    examples: tuple[str, ...] = PROBES
    is_open: bool = True
    never: tuple[str, ...] = ()


_HOLES: list[Hole] = []
_CHARACTERS: dict[Hole, str] = {}


def put(hole: Hole) -> str:
    """Return the character that stands for a hole; holes are interned, as equal strings may be."""
    if hole not in _CHARACTERS:
        _CHARACTERS[hole] = chr(_FIRST + len(_HOLES))
        _HOLES.append(hole)
    return _CHARACTERS[hole]


def unknown(reason: str, examples: tuple[str, ...] = PROBES) -> str:
    """Return a text of which nothing is known but why."""
    return put(Hole(reason, examples))


def one_of(what: str, *examples: str) -> str:
    """Return a text that is not known, whose examples stand for all it can be."""
    return put(Hole(what, examples, is_open=False))


def either(texts: Iterable[str]) -> str:
    """Return a text that is one of several."""
    distinct = tuple(dict.fromkeys(texts))
    if len(distinct) == 1:
        return distinct[0]
    return one_of(" or ".join(map(show, distinct))[:200] or "nothing", *distinct)


def merged(rows: Sequence[Mapping[str, str]], before: Mapping[str, str] = {}) -> dict[str, str]:
    """Return texts by their names, each as either of the rows has it, or else as it was before."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: either(row.get(name, before.get(name, "")) for row in rows) for name in names}


def clean(text: str) -> str:
    """Return a file's text without characters that would be taken for holes."""
    return "".join(one if ord(one) < _FIRST else "?" for one in text)


@cache
def holes(text: str) -> tuple[Hole, ...]:
    """Return the holes of a text, each once, those in their examples too."""
    found = dict.fromkeys(_HOLES[ord(one) - _FIRST] for one in text if ord(one) >= _FIRST)
    inner = [hole for one in found for part in one.examples for hole in holes(part)]
    return tuple(dict.fromkeys([*found, *inner]))


def has_holes(text: str) -> bool:
    """Whether a part of a text is unknown."""
    return any(ord(one) >= _FIRST for one in text)


def is_open(text: str) -> bool:
    """Whether a text can be something else than its expansions."""
    return any(hole.is_open for hole in holes(text))


def show(text: str) -> str:
    """Return a text for people, with `<what>` for each hole."""
    return "".join(f"<{_HOLES[ord(one) - _FIRST].what}>" if has_holes(one) else one for one in text)


@cache
def expand(text: str, opened: bool = True) -> tuple[str, ...]:
    """Return what a text may be; with `opened` false, open holes stay in it."""
    held = {one: _HOLES[ord(one) - _FIRST] for one in text if ord(one) >= _FIRST}
    held = {one: hole for one, hole in held.items() if opened or not hole.is_open}
    choices = [
        dict.fromkeys(part for example in hole.examples for part in expand(example, opened))
        for hole in held.values()
    ]
    if math.prod(map(len, choices)) > _LIMIT:
        choices = [one if len(one) <= len(_FEW) else dict.fromkeys(_FEW) for one in choices]
    keys = list(map(ord, held))
    rows = itertools.islice(itertools.product(*choices), _LIMIT)
    return tuple(dict.fromkeys(text.translate(dict(zip(keys, row, strict=True))) for row in rows))


@cache
def variants(text: str) -> tuple[str, ...]:
    """Return what a text may be, where that decides about its lines, its words or its list."""
    for one in text:
        examples = _HOLES[ord(one) - _FIRST].examples if ord(one) >= _FIRST else ()
        if any(re.search(r"^-|[\s,]", part) for example in examples for part in variants(example)):
            rows = (row for example in examples for row in variants(text.replace(one, example)))
            found, half = tuple(dict.fromkeys(rows)), _MOST // 2
            return found[:half] + found[half:][-half:]
    return (text,)


def apply(function: Callable[[str], str], text: str, what: str = "") -> str:
    """Return a function's result for a text: known if it is the same for all expansions."""
    if not has_holes(text):
        return function(text)
    expansions = expand(text)
    if len(expansions) > _MOST:
        return unknown(what or show(text)[:80])
    results = tuple(dict.fromkeys(map(function, expansions)))
    if len(results) == 1 and not is_open(text):
        return results[0]
    inner = holes(text)
    named = inner[0].what if len(text) == 1 else show(text)[:80]
    return put(Hole(what or named, results, is_open(text)))


def same(one: str, other: str) -> bool | None:
    """Whether two texts are equal; None if that is not certain."""
    if one == other and not any(hole.examples[1:] and not hole.is_open for hole in holes(one)):
        return True
    if any(hole.never for hole in holes(one + other)):
        hidden, plain = (one, other) if has_holes(one) else (other, one)
        inner = holes(hidden)
        parts = {hidden.replace(put(inner[0]), never) for never in inner[0].never}
        return False if plain in parts or not _fits(hidden, plain) else None
    answers = {a == b for a in expand(one) for b in expand(other)}
    if is_open(one) or is_open(other):
        return None if _fits(one, other) else False
    return answers.pop() if len(answers) == 1 else None


def _fits(one: str, other: str) -> bool:
    """Whether two texts can be equal, by their ends that have no hole."""
    if not (one and other):
        return all(map(has_holes, one + other))
    for left, right in ((one, other), (one[::-1], other[::-1])):
        for a, b in zip(left, right, strict=False):
            if has_holes(a + b):
                break
            if a != b:
                return False
    return True


def asked(question: Callable[[str], bool], text: str) -> bool | None:
    """Whether a question is answered with yes for a text; None if that depends on a hole."""
    answers = set(map(question, expand(text)))
    return answers.pop() if len(answers) == 1 else None
