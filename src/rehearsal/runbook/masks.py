"""Masks: what may differ from run to run, and how.

A `named` mask numbers the values that it finds, in order: the first digest of a run is «digest 1»
in every cell. Two runs agree if they agree after that, so a digest that should be that of an
earlier cell, and is not, shows. `digest` also treats a value and its beginning as the same, as for
a layer's short ID, from 7 characters on. `line` drops whole lines, `drop` any text; `text` replaces
what it finds by its name. Everything else is compared exactly.
"""

import copy
import re
import tomllib
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rehearsal.errors import CannotCheck
from rehearsal.room.engine import Engine
from rehearsal.settings import Settings

_UNMASKED = "¤ qZ7 ¤\n"
"""Sample text that no mask should match; one that does matches anything."""
_NO_COUNTERPART = -1
_NAMING, _HIDING = ("named", "digest"), ("line", "text", "drop")
KINDS = (*_NAMING, *_HIDING)
_SHORTEST_DIGEST = 7
_FIELDS = {"name", "kind", "pattern", "example", "reason"}


@dataclass(frozen=True)
class Mask:
    """One mask.

    Attributes:
        name: what replaces a match.
        kind: one of KINDS.
        pattern: of a `named` mask, a group, if there is one, is the compared value.
        example: a text that it matches.
        reason: why that may differ.
        engines: that need it, each a series, a store, or both (`28`, `graph`, `28 graph`);
            empty for all. A run of all notebooks on one of those must need it.
    """

    name: str
    kind: str
    pattern: re.Pattern[str]
    example: str
    reason: str
    engines: tuple[str, ...] = ()

    def holds_on(self, release: str, store: str) -> bool:
        """Whether it applies on an engine of this release (`28.5.2`) with this store."""
        return not self.engines or any(
            all(word == store or f"{release}.".startswith(f"{word}.") for word in spec.split())
            for spec in self.engines
        )


class Masked:
    """One side of a comparison, recorded or new: remembers each value's number across cells.

    follows: the other side, masked first. A digest takes the number of the one that stands at its
    place in the other side's text. So two values of this side may match one of that side, but not
    the reverse: in the graph driver an image's digest differs
    from the registry's, with containerd's store both are one.
    """

    def __init__(self, masks: Sequence[Mask], follows: "Masked | None" = None) -> None:
        self._masks = masks
        self._follows = follows
        self._numbers = Counter[str]()  # by mask
        self._known: dict[tuple[str, str], list[tuple[str, int]]] = {}  # by mask and beginning
        self._theirs: dict[int, int] = {}  # the other side's number for each of this side's
        self._digests: list[int] = []  # the numbers of those in the last text

    def mask(self, text: str) -> str:
        """Return `text` with its variable parts masked."""
        self._digests = []
        for mask in self._masks:
            if mask.kind == "line":
                lines = text.splitlines(keepends=True)
                kept = (one for one in lines if not mask.pattern.fullmatch(one.rstrip("\n")))
                text = "".join(kept)
            else:
                text = mask.pattern.sub(partial(self._name, mask), text)
        return text

    def line_of(self, text: str, line: int) -> int:
        """Return the line number in `text` that becomes `line` once masked."""
        lines = text.splitlines(keepends=True)

        def masked_before(number: int) -> int:
            return len(copy.deepcopy(self).mask("".join(lines[: number - 1])).splitlines())

        return bisect_left(range(1, len(lines) + 1), line, key=masked_before) or line

    def _name(self, mask: Mask, match: re.Match[str]) -> str:
        if mask.kind in ("text", "drop"):
            return f"«{mask.name}»" if mask.kind == "text" else ""
        value = _value(match)
        number, length = self._number(mask, value), ""
        if mask.kind == "digest":
            number, length = self._number_as_there(number), f":{len(value)}"
            self._digests.append(number)
        before = match[0][: match.start(match.lastindex or 0) - match.start()]
        return f"{before}«{mask.name} {number + 1}{length}»"

    def _number(self, mask: Mask, value: str) -> int:
        beginning = value[:_SHORTEST_DIGEST] if mask.kind == "digest" else value
        known = self._known.setdefault((mask.name, beginning), [])
        for place, (seen, number) in enumerate(known):
            part = seen.startswith(value) or value.startswith(seen)
            if seen == value or (mask.kind == "digest" and part):
                known[place] = (max(seen, value, key=len), number)  # of a digest the longer form
                return number
        known.append((value, self._numbers[mask.name]))
        self._numbers[mask.name] += 1
        return known[-1][1]

    def _number_as_there(self, number: int) -> int:
        """Return the other side's number for this side's n-th value."""
        if self._follows is None:
            return number
        theirs, place = self._follows._digests, len(self._digests)
        counterpart = theirs[place] if place < len(theirs) else _NO_COUNTERPART
        return self._theirs.setdefault(number, counterpart)


def _value(match: re.Match[str]) -> str:
    return match[match.lastindex or 0]


def masks_hiding_values(text: str, masks: Sequence[Mask]) -> list[str]:
    """Return which masks hide values of a `named` one in a text: a wrong value would not show.

    A dropped line may hold a named value if the text shows it elsewhere too.
    """
    found = []
    hiding = [mask for mask in masks if mask.kind in _HIDING and not mask.engines]
    for named in (mask for mask in masks if mask.kind in _NAMING):
        for other in hiding:
            covered, shown = _values_in(text, named, other)
            lost = covered - shown if other.kind == "line" else covered
            if lost:
                wrong = f"so a wrong {named.name} would not show"
                found.append(f"{other.name} covers values of {named.name}, {wrong}")
    return found


def _values_in(text: str, named: Mask, other: Mask) -> tuple[set[str], set[str]]:
    """Return the values of a `named` mask that another covers, and those that it does not."""
    covered, shown = set[str](), set[str]()
    spans = [match.span() for match in other.pattern.finditer(text)]
    for match in named.pattern.finditer(text):
        overlaps = any(begin < match.end() and match.start() < end for begin, end in spans)
        (covered if overlaps else shown).add(_value(match))
    return covered, shown


def masks_that_mattered(masks: Sequence[Mask], expected: str, came: str) -> list[str]:
    """Return the names of the engine-specific masks without which two outputs would differ."""
    only = [mask for mask in masks if mask.engines]
    return [mask.name for mask in only if _found(mask, expected) != _found(mask, came)]


def _found(mask: Mask, text: str) -> list[str]:
    return [match[0] for match in mask.pattern.finditer(text)]


def masks_for(settings: Settings, engine: Engine) -> tuple[Mask, ...]:
    """Return the project's masks that hold on an engine; none without a file of them."""
    masks = load_masks(settings.masks) if settings.masks else ()
    return tuple(mask for mask in masks if mask.holds_on(engine.release, engine.store))


def load_masks(file: Path) -> tuple[Mask, ...]:
    """Return the masks of a file, in its order; raise CannotCheck for a malformed rule."""
    try:
        masks = tuple(_mask(entry) for entry in tomllib.loads(file.read_text()).get("mask", ()))
        examples = [mask.example for mask in masks if mask.kind in _NAMING]
        if wrong := [one for example in examples for one in masks_hiding_values(example, masks)]:
            raise ValueError(wrong[0])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, re.error) as error:
        raise CannotCheck(f"The masks in {file} cannot be used: {error}.") from error
    return masks


def _mask(entry: dict[str, Any]) -> Mask:
    if set(entry) - {"engines"} != _FIELDS or entry["kind"] not in KINDS:
        fields = f"name, kind ({', '.join(KINDS)}), pattern, example, reason"
        raise ValueError(f"{entry.get('name', entry)} needs {fields}")
    engines, pattern = entry.pop("engines", []), re.compile(entry.pop("pattern"), re.MULTILINE)
    if not isinstance(engines, list) or not all(map(str.strip, engines)):
        raise ValueError(
            f'{entry["name"]}: `engines` is not a list of engines, such as ["28 graph"]'
        )
    mask = Mask(pattern=pattern, engines=tuple(engines), **entry)
    if not mask.pattern.search(mask.example):
        raise ValueError(f"{mask.name} does not match its own example")
    if mask.pattern.search("") or mask.pattern.search(_UNMASKED):
        raise ValueError(f"{mask.name} matches anything, so nothing would be compared")
    return mask
