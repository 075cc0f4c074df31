"""Masks: what may differ from run to run, and how.

A `named` mask numbers the values that it finds, in order: the first digest of a run is «digest 1»
in every cell. Two runs agree if they agree after that, so a digest that should be that of an
earlier cell, and is not, shows. `digest` also treats a value and its beginning as the same, as for
a layer's short ID. `line` drops whole lines, `drop` any text; `text` replaces what it finds by its
name. Everything else is compared exactly.
"""

import copy
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rehearsal.errors import CannotCheck
from rehearsal.room.engine import Engine
from rehearsal.settings import Settings

_UNMASKED = "¤ qZ7 ¤\n"
"""Sample text that no mask should match; one that does matches anything."""
KINDS = ("named", "digest", "line", "text", "drop")


@dataclass(frozen=True)
class Mask:
    """One mask.

    Attributes:
        name: what replaces a match.
        kind: one of KINDS.
        pattern: of a `named` mask, a group, if there is one, is the compared value.
        example: a text that it matches.
        reason: why that may differ.
        on: the engines that need it, each a series, a store, or both (`28`, `graph`, `28 graph`);
            empty for all. A run of all notebooks on one of those must need it.
    """

    name: str
    kind: str
    pattern: re.Pattern[str]
    example: str
    reason: str
    on: tuple[str, ...] = ()

    def holds_on(self, release: str, store: str) -> bool:
        """Whether it applies on an engine of this release (`28.5.2`) with this store."""
        if not self.on:
            return True
        return any(
            all(word == store or f"{release}.".startswith(f"{word}.") for word in spec.split())
            for spec in self.on
        )


class Masked:
    """One side of a comparison, recorded or new: remembers each value's number across cells.

    follows: the other side, masked first, whose numbers digests take. Then two values of this side
    may match one of that side, but not the reverse: in the graph driver an image's digest differs
    from the registry's, with containerd's store both are one.
    """

    def __init__(self, masks: Sequence[Mask], follows: "Masked | None" = None) -> None:
        self._masks = masks
        self._follows = follows
        self._numbers: dict[str, list[str]] = {}
        self._there: dict[int, int] = {}
        self._named: list[int] = []

    def text(self, text: str) -> str:
        """Return `text` with its variable parts masked."""
        self._named = []
        for mask in self._masks:
            if mask.kind == "line":
                lines = text.splitlines(keepends=True)
                text = "".join(
                    line for line in lines if not mask.pattern.fullmatch(line.rstrip("\n"))
                )
            else:
                text = mask.pattern.sub(partial(self._name, mask), text)
        return text

    def line_of(self, text: str, line: int) -> int:
        """Return the line number in `text` that becomes `line` once masked."""
        lines = text.splitlines(keepends=True)
        for number in range(len(lines), 0, -1):
            before = copy.deepcopy(self).text("".join(lines[: number - 1]))
            if len(before.splitlines()) < line:
                return number
        return line

    def _name(self, mask: Mask, match: re.Match[str]) -> str:
        if mask.kind in ("text", "drop"):
            return f"«{mask.name}»" if mask.kind == "text" else ""
        group = match.lastindex or 0
        value, known = match[group], self._numbers.setdefault(mask.name, [])
        number = next((n for n, seen in enumerate(known) if _same(mask, seen, value)), len(known))
        if number == len(known):
            known.append(value)
        known[number] = max(known[number], value, key=len)  # of a digest the longer form
        if mask.kind == "digest":
            number = self._number_as_there(number)
            self._named.append(number)
        length = f":{len(value)}" if mask.kind == "digest" else ""
        return f"{match[0][: match.start(group) - match.start()]}«{mask.name} {number + 1}{length}»"

    def _number_as_there(self, number: int) -> int:
        """Return the other side's number for this side's n-th value."""
        if self._follows is None:
            return number
        there, place = self._follows._named, len(self._named)
        return self._there.setdefault(number, there[place] if place < len(there) else -1)


def _same(mask: Mask, seen: str, value: str) -> bool:
    if mask.kind == "digest":
        return seen.startswith(value) or value.startswith(seen)
    return seen == value


def hidden(text: str, masks: Sequence[Mask]) -> list[str]:
    """Return which masks hide what another names in a text: a wrong value would not show.

    A dropped line may hold a named value if the text shows it elsewhere too.
    """
    found = []
    for named in (mask for mask in masks if mask.kind in ("named", "digest")):
        values = list(named.pattern.finditer(text))
        for other in (
            mask for mask in masks if mask.kind in ("line", "text", "drop") and not mask.on
        ):
            covered = [
                match
                for span in other.pattern.finditer(text)
                for match in values
                if _overlap(span, match)
            ]
            shown = {match[match.lastindex or 0] for match in values if match not in covered}
            if any(
                other.kind != "line" or match[match.lastindex or 0] not in shown
                for match in covered
            ):
                found.append(
                    f"{other.name} covers what {named.name} names, so a wrong {named.name} would"
                    " not show"
                )
    return found


def _overlap(left: re.Match[str], right: re.Match[str]) -> bool:
    return left.start() < right.end() and right.start() < left.end()


def needed(masks: Sequence[Mask], expected: str, came: str) -> list[str]:
    """Return the names of the engine-specific masks without which two outputs would differ."""
    only = [mask for mask in masks if mask.on]
    return [mask.name for mask in only if _found(mask, expected) != _found(mask, came)]


def _found(mask: Mask, text: str) -> list[str]:
    return [match[0] for match in mask.pattern.finditer(text)]


def masks_of(settings: Settings) -> tuple[Mask, ...]:
    """Return the project's masks; none without a file of them."""
    return load_masks(settings.masks) if settings.masks else ()


def in_order(text: str) -> str:
    """Return a text's lines sorted, whatever digests stand in them."""
    lines = text.splitlines(keepends=True)
    return "".join(sorted(lines, key=lambda line: re.sub(r"\b[0-9a-f]{12,64}\b", "", line)))


def masks_for(settings: Settings, engine: Engine) -> tuple[Mask, ...]:
    """Return the project's masks that hold on an engine."""
    return tuple(mask for mask in masks_of(settings) if mask.holds_on(engine.release, engine.store))


def load_masks(file: Path) -> tuple[Mask, ...]:
    """Return the masks of a file, in its order; raise CannotCheck for a malformed rule."""
    try:
        masks = tuple(_mask(entry) for entry in tomllib.loads(file.read_text()).get("mask", ()))
        _check_none_is_hidden(masks)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, re.error) as error:
        raise CannotCheck(
            f"The masks in {file} cannot be used: {error}. Mend the rule, or remove it."
        ) from error
    return masks


def _check_none_is_hidden(masks: Sequence[Mask]) -> None:
    for named in (mask for mask in masks if mask.kind in ("named", "digest")):
        if said := hidden(named.example, masks):
            raise ValueError(said[0])


def _mask(entry: dict[str, Any]) -> Mask:
    if (
        set(entry) - {"on"} != {"name", "kind", "pattern", "example", "reason"}
        or entry["kind"] not in KINDS
    ):
        raise ValueError(
            f"{entry.get('name', entry)} needs name, kind ({', '.join(KINDS)}), pattern, example,"
            " reason"
        )
    on = entry.pop("on", [])
    if not isinstance(on, list) or not all(isinstance(spec, str) and spec.strip() for spec in on):
        raise ValueError(f'{entry["name"]}: `on` is no list of engines, such as ["28 graph"]')
    mask = Mask(pattern=re.compile(entry.pop("pattern"), re.MULTILINE), on=tuple(on), **entry)
    if not mask.pattern.search(mask.example):
        raise ValueError(f"{mask.name} does not match its own example")
    if mask.pattern.search("") or mask.pattern.search(_UNMASKED):
        raise ValueError(f"{mask.name} matches anything, so nothing would be compared")
    return mask


def as_text(outputs: Iterable[Any]) -> str:
    """Return a cell's outputs as one text: streams joined, other outputs with their types."""
    parts, before = [], ""
    for output in outputs:
        kind = (
            output.get("name", "") if output["output_type"] == "stream" else output["output_type"]
        )
        if kind not in (before, "stdout"):
            parts.append(f"[{kind}]\n")
        before = kind
        if output["output_type"] == "stream":
            parts.append(output["text"])
        elif output["output_type"] == "error":
            parts.append("\n".join(output["traceback"]) + "\n")
        else:
            parts.extend(
                f"[{mime}]\n{content}\n" for mime, content in sorted(output["data"].items())
            )
    return "".join(parts)


@dataclass(frozen=True)
class Difference:
    """The first line in which two texts differ; None for a text that has ended."""

    line: int
    expected: str | None
    came: str | None


def first_difference(expected: str, came: str) -> Difference | None:
    """Return where two masked texts first differ (lines count from 1), or None."""
    left, right = (text.removesuffix("\n").split("\n") if text else [] for text in (expected, came))
    for number in range(max(len(left), len(right))):
        pair = [lines[number] if number < len(lines) else None for lines in (left, right)]
        if pair[0] != pair[1]:
            return Difference(number + 1, *pair)
    return None
