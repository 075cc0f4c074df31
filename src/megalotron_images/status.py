"""The board: each stack's newest release, and what `main` and `dev` point to."""

import contextlib
from dataclasses import dataclass
from datetime import date

from megalotron_images.convention import MovingTag, Release, Stack, releases_among
from megalotron_images.registry.client import Registry, State, Taken, Unknown


@dataclass(frozen=True)
class Moved:
    """What a moving tag names: a digest, and the newest release with the same, if there is one."""

    digest: str
    release: Release | None


@dataclass(frozen=True)
class Line:
    """One stack on the board; `releases` newest first."""

    stack: Stack
    releases: tuple[Release, ...]
    newest: Moved | Unknown | None
    main: Moved | Unknown | None
    dev: Moved | Unknown | None


def read_line(registry: Registry, stack: Stack, most: int = 100) -> Line:
    """Return a stack's line; raise RegistryFailed if its tags cannot be listed.

    most: how many of the newest releases are looked at to find those that `main` and `dev` are.
    """
    tags = registry.tags(stack.image)
    releases = tuple(releases_among(tags))
    states = {tag: registry.state(stack.image, tag) for tag in MovingTag if tag in tags}
    sought = {state.digest for state in states.values() if isinstance(state, Taken)}
    found: dict[str, Release] = {}
    newest = registry.state(stack.image, str(releases[0])) if releases else None
    for release in releases[:most]:
        if sought <= set(found):
            break
        named = newest if release is releases[0] else registry.state(stack.image, str(release))
        if isinstance(named, Taken):
            found.setdefault(named.digest, release)
    shown = (
        Moved(newest.digest, releases[0]) if isinstance(newest, Taken) else _moved(newest, found)
    )
    return Line(
        stack,
        releases,
        shown,
        *(_moved(states.get(tag), found) for tag in (MovingTag.MAIN, MovingTag.DEV)),
    )


def _moved(state: State | None, found: dict[str, Release]) -> Moved | Unknown | None:
    if isinstance(state, Taken):
        return Moved(state.digest, found.get(state.digest))
    return state if isinstance(state, Unknown) else None


@dataclass(frozen=True)
class Dated:
    """A release, the day on which its image was built if it says so, and its digest."""

    release: Release
    day: date | None
    digest: str


def read_days(registry: Registry, line: Line) -> list[Dated]:
    """Return a stack's releases, the newest first, each with the day of its build if known."""
    found = []
    for release in line.releases:
        manifest = registry.manifest(line.stack.image, str(release))
        day = None
        with contextlib.suppress(ValueError):
            day = date.fromisoformat(registry.created(line.stack.image, manifest)[:10])
        found.append(Dated(release, day, manifest.digest))
    return found
