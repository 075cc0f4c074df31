"""The committed rows as tables for the page Evidence, with the age of each."""

import functools
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from bench.state import Row, Subject, git

HEAD = ("What was verified", "Result", "When", "On")
MISSING = "not measured yet"
Place = tuple[str, str, str]
"""A processor, a release of Docker, and an image store."""


def results(root: Path, repository: str, subjects: Sequence[Subject]) -> str:
    """Return all results, each with its age; those of one guide follow each other."""
    known = [(subject, row) for subject in subjects for row in subject.rows.values()]
    count = sum(row.state == subject.state for subject, row in known)
    missing = sum(not subject.rows for subject in subjects)
    said = f"{count} of {len(known) + missing} results are of this state."
    ago = functools.cache(functools.partial(_ago, root, repository))

    def aged(row: Row, state: str) -> str:
        return "of this state" if row.state == state else ago(row.commit)

    by_page = sorted(subjects, key=lambda one: (not one.page, one.page))
    lines: list[tuple[str, ...]] = []
    for (page, _), group in itertools.groupby(by_page, lambda one: (one.page, one.check.name)):
        for what, *rest in _lines(list(group), aged):
            anchor = "" if page in {line[0] for line in lines} else f"{{ #{page} }}"
            link = f"[{page}](guide/{page}.ipynb){anchor}: " if page else ""
            lines.append((page, link + what, *rest))
    return f"{said}\n\n{_table(HEAD, (line[1:] for line in lines))}"


def _lines(group: Sequence[Subject], aged: Callable[[Row, str], str]) -> Iterator[tuple[str, ...]]:
    """Yield the lines of one check of one page: what differs in its place alone is one line."""
    check, places = group[0].check, defaultdict[tuple[str, ...], list[Place]](list)
    for subject in group:
        if not subject.rows:
            missing = (check.what, MISSING, "")
            places[missing].append(("", subject.engine, subject.store))
        for row in subject.rows.values():
            for what, result in _results(check.what, row, bool(subject.page)):
                key = what, result, f"{day(row.measured)}, {aged(row, subject.state)}"
                places[key].append((row.processor, row.release, row.store))
    for line, where in places.items():
        yield *line, _on(where)


def _results(what: str, row: Row, of_page: bool) -> Iterator[tuple[str, str]]:
    """Yield what a row says: its figures, and of a page's only those beyond their limit."""
    shown = [one for one in row.figures if not (of_page and one["holds"])]
    for one in shown:
        missed = "" if one["holds"] else "**missed:** "
        limit = "" if one["limit"] == "none" else f", {one['limit']}"
        yield f"{what}: {one['what']}", f"{missed}{one['value']}{limit}"
    if not shown:
        yield what, row.result if row.holds else f"**does not hold:** {row.result}"


def _on(places: Sequence[Place]) -> str:
    """Return processors, releases and stores, such as `amd64, Docker 26.1.5 (graph)`."""
    stores = defaultdict[tuple[str, str], list[str]](list)
    for processor, release, store in sorted(places, key=_by_number):
        stores[processor, release].append(store)
    by_processor = itertools.groupby(stores.items(), lambda item: item[0][0])
    return "; ".join(_engines(processor, dict(items)) for processor, items in by_processor)


def _engines(processor: str, stores: dict[tuple[str, str], list[str]]) -> str:
    said = [f"{name} ({', '.join(kept)})" for (_, name), kept in stores.items() if name]
    docker = f"{'Docker ' if processor else ''}{', '.join(said)}" if said else ""
    return ", ".join(filter(None, (processor, docker)))


def _by_number(place: Place) -> tuple[str, list[int], Place]:
    numbers = [int(part) for part in place[1].split(".") if part.isdigit()]
    return place[0], numbers, place


def _ago(root: Path, repository: str, commit: str) -> str:
    shallow = git(root, "rev-parse", "--is-shallow-repository")
    count = git(root, "rev-list", "--count", f"{commit}..HEAD") if shallow == "false" else ""
    said = f"{count} commit{'s' * (count != '1')} ago" if count.strip("0") else "an earlier state"
    return f"[{said}]({repository}/commit/{commit})"


def engines_of(page: str, blocks: int, subjects: Sequence[Subject]) -> dict[str, Any]:
    """Return on which releases of Docker a guide's blocks ran in their present state, and when.

    Empty where they did on none: then the recorded outputs are all that is known.
    """
    own = [one for one in subjects if (one.check.name, one.page) == ("engines", page)]
    rows = [row for one in own for row in one.rows.values() if row.holds and row.state == one.state]
    if not rows:
        return {}
    series = sorted({tuple(map(int, row.release.split(".")[:2])) for row in rows})
    *others, last = (".".join(map(str, one)) for one in series)
    return {
        "engines": f"{', '.join(others)} and {last}" if others else last,
        "partly": blocks - min(int(row.result.split()[0]) for row in rows),
        "day": day(max(row.measured for row in rows)),
    }


def inputs(subjects: Sequence[Subject]) -> str:
    """Return what the result of each check depends on."""
    checks = {subject.check.name: subject.check for subject in subjects}.values()
    head = ("Check", "Measured with", "Depends on")
    lines = (
        (check.what, f"`{check.command}`", ", ".join(f"`{one}`" for one in check.inputs))
        for check in checks
    )
    return _table(head, lines)


def _table(head: Sequence[str], lines: Iterator[tuple[str, ...]]) -> str:
    rows = [tuple(head), ("---",) * len(head), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def day(written: str) -> str:
    """Return a day such as `1 December 2026`."""
    one = date.fromisoformat(written)
    return f"{one.day} {one:%B %Y}"
