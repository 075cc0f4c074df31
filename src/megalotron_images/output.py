"""How answers look: a line or a table for people, or JSON, on stdout; plans and steps on stderr."""

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from megalotron_images.checks import Finding
from megalotron_images.convention import MovingTag, Release, Stack, Tag
from megalotron_images.errors import CannotTell
from megalotron_images.plan import Plan
from megalotron_images.registry.client import State, Taken, Unknown
from megalotron_images.registry.credentials import Credentials
from megalotron_images.release import Written
from megalotron_images.status import Dated, Line, Moved

if TYPE_CHECKING:
    from megalotron_images.engine import Progress

_NOTHING = "-"


def findings(found: Sequence[Finding], as_json: bool) -> None:
    """Print findings, one a line: the verdict, what it is about, why."""
    if as_json:
        return _json([{"about": f.about, "verdict": f.verdict, "text": f.text} for f in found])
    return _table([(f.verdict, f.about, f.text) for f in found])


def board(lines: Sequence[Line], as_json: bool) -> None:
    """Print the board: for each stack its newest release, `main` and `dev`."""
    if as_json:
        return _json([_line(line) for line in lines])
    rows = [("STACK", "TAG", "RELEASE", "DIGEST")]
    for line in lines:
        for name in ("newest", *MovingTag):
            rows.append((line.stack.name, str(name), *_moved(getattr(line, name))))
    return _table(rows)


def releases(found: Sequence[tuple[Line, Sequence[Dated]]], as_json: bool) -> None:
    """Print every release, the newest first, with the day of its image and its digest."""
    rows = [
        (line.stack.name, str(d.release), str(d.day or _NOTHING), d.digest)
        for line, dated in found
        for d in dated
    ]
    if as_json:
        return _json(
            [dict(zip(("stack", "release", "day", "digest"), row, strict=True)) for row in rows]
        )
    return _table([("STACK", "RELEASE", "BUILT", "DIGEST"), *rows])


def unknown(line: Line) -> Iterator[str]:
    """Yield why a moving tag of a stack could not be read."""
    for moved in (line.newest, line.main, line.dev):
        if isinstance(moved, Unknown):
            yield moved.reason


def digest(reference: str, state: State, credentials: Credentials | None, as_json: bool) -> None:
    """Print what a reference names; raise CannotTell if the registry does not say."""
    if isinstance(state, Unknown):
        raise CannotTell(f"Nobody can tell what {reference} names: {state.reason}")
    found = state.digest if isinstance(state, Taken) else None
    if as_json:
        user = credentials.username if credentials else None
        return _json({"reference": reference, "digest": found, "user": user})
    return print(found or "nothing")


def version(stack: Stack, release: Release, as_json: bool) -> None:
    """Print a version, alone on its line."""
    if as_json:
        return _json({"stack": stack.name, "version": str(release)})
    return print(release)


def tag(ref: str, event: str, found: Tag | None, *, as_json: bool, as_output: bool) -> None:
    """Print the tag that a git reference writes.

    For people, for programs, or for a workflow's outputs.
    """
    if as_json:
        return _json({"ref": ref, "event": event, "tag": str(found) if found else None})
    return print(f"tag={found or ''}" if as_output else found or "none")


def written(done: Written, as_json: bool) -> None:
    """Print what stands in the registry now, as `reference@digest`."""
    if as_json:
        before = done.before.digest if isinstance(done.before, Taken) else None
        return _json({"reference": str(done.reference), "before": before, "digest": done.digest})
    return print(f"{done.reference}@{done.digest}")


def dry_run(change: Plan, as_json: bool) -> None:
    """Print what a change would write."""
    if as_json:
        before = change.before.digest if isinstance(change.before, Taken) else None
        return _json(
            {"reference": str(change.reference), "before": before, "writes": change.done is None}
        )
    told = "already names this: there is nothing to write" if change.done else "would be written"
    return print(f"{change.reference} {told}. Nothing was written.")


def plan(change: Plan) -> None:
    """Say what a change is about."""
    for note in change.notes:
        step(note)


def step(text: str) -> None:
    """Say one step, before it is taken."""
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def progress() -> Iterator["Progress"]:
    """Give what shows the layers of a push as they go; nothing where stderr is no terminal."""
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


def _line(line: Line) -> Mapping[str, object]:
    return {"stack": line.stack.name} | {
        str(name): _as_data(getattr(line, name)) for name in ("newest", *MovingTag)
    }


def _as_data(moved: Moved | Unknown | None) -> dict[str, str | None] | None:
    if isinstance(moved, Moved):
        return {"digest": moved.digest, "release": str(moved.release) if moved.release else None}
    return {"unknown": moved.reason} if moved else None


def _moved(moved: Moved | Unknown | None) -> tuple[str, str]:
    if isinstance(moved, Moved):
        return str(moved.release or _NOTHING), moved.digest
    return ("unknown", _NOTHING) if moved else (_NOTHING, _NOTHING)


def _table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(str(row[column])) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        cells = [str(cell).ljust(width) for cell, width in zip(row, widths, strict=False)]
        print("  ".join([*cells, row[-1]]))


def _json(data: object) -> None:
    print(json.dumps(data, indent=2))
