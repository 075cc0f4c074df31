"""The board: each stack's newest release, and what `main` and `dev` point to."""

import contextlib
from dataclasses import dataclass
from datetime import date
from functools import partial

from megalotron_images.concurrency import run_concurrently, start_in_thread
from megalotron_images.convention import MovingTag, Release, Stack, releases_among
from megalotron_images.errors import RegistryFailed
from megalotron_images.registry.client import Registry, State, Taken, Unknown


@dataclass(frozen=True)
class TagTarget:
    """What a moving tag points to: a digest, and the newest release that has it, if any."""

    digest: str
    release: Release | None

    def __str__(self) -> str:
        return str(self.release or self.digest[: len("sha256:") + 12])


@dataclass(frozen=True)
class StackStatus:
    """A stack's line on the board; `releases` are sorted, the newest first."""

    stack: Stack
    releases: tuple[Release, ...]
    newest: TagTarget | Unknown | None
    main: TagTarget | Unknown | None
    dev: TagTarget | Unknown | None

    @property
    def tags(self) -> dict[str, TagTarget | Unknown | None]:
        """What each tag on the board points to."""
        return {"newest": self.newest, "main": self.main, "dev": self.dev}

    @property
    def row(self) -> tuple[str, ...]:
        """The stack, and for each tag the release that it is, or else its short digest."""
        return (self.stack.name, *(_cells(moved)[0] for moved in self.tags.values()))

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """A row for each tag: stack, tag, release or short digest, whole digest."""
        return [(self.stack.name, name, *_cells(moved)) for name, moved in self.tags.items()]

    @property
    def data(self) -> dict[str, object]:
        """The same for programs."""
        return {"stack": self.stack.name} | {n: _data(moved) for n, moved in self.tags.items()}

    @property
    def unknown(self) -> list[str]:
        """Reasons why tags could not be read."""
        return [one.reason for one in self.tags.values() if isinstance(one, Unknown)]


def _cells(moved: TagTarget | Unknown | None) -> tuple[str, str]:
    if isinstance(moved, TagTarget):
        return str(moved), moved.digest
    return ("unknown" if moved else "-", "-")


def _data(moved: TagTarget | Unknown | None) -> dict[str, str | None] | None:
    if isinstance(moved, TagTarget):
        return {"digest": moved.digest, "release": str(moved.release) if moved.release else None}
    return {"unknown": moved.reason} if moved else None


def read_status(registry: Registry, stack: Stack) -> StackStatus:
    """Return a stack's line; raise RegistryFailed if its tags cannot be listed."""
    tags = registry.tags(stack.image)
    releases = tuple(releases_among(tags))
    moving = [tag for tag in MovingTag if tag in tags]
    asked = {tag: start_in_thread(partial(registry.state, stack.image, tag)) for tag in moving}
    newest = registry.state(stack.image, str(releases[0])) if releases else None
    states = {tag: wait() for tag, wait in asked.items()}
    sought = {state.digest for state in states.values() if state.digest}
    found = {newest.digest: releases[0]} if newest and newest.digest else {}
    older = registry.releases_of(stack.image, releases[1:], sought - set(found))
    main, dev = (_target(states.get(tag), older | found) for tag in (MovingTag.MAIN, MovingTag.DEV))
    return StackStatus(stack, releases, _target(newest, found), main, dev)


def _target(state: State | None, found: dict[str, Release]) -> TagTarget | Unknown | None:
    if isinstance(state, Taken):
        return TagTarget(state.digest, found.get(state.digest))
    return state if isinstance(state, Unknown) else None


@dataclass(frozen=True)
class DatedRelease:
    """A release, the day of its build if known, and its digest."""

    stack: Stack
    release: Release
    day: date | None
    digest: str | None
    unknown: str = ""

    @property
    def row(self) -> tuple[str, ...]:
        """Stack, release, day and digest."""
        return tuple(str(value or "-") for value in self.data.values())

    @property
    def data(self) -> dict[str, object]:
        """The same for programs."""
        day = str(self.day) if self.day else None
        names = {"stack": self.stack.name, "release": str(self.release)}
        return names | {"day": day, "digest": self.digest}


def read_releases(registry: Registry, line: StackStatus) -> list[DatedRelease]:
    """Return a stack's releases, the newest first, each with the day of its build if known."""
    return run_concurrently(partial(_dated, registry, line.stack, one) for one in line.releases)


def _dated(registry: Registry, stack: Stack, release: Release) -> DatedRelease:
    try:
        manifest = registry.manifest(stack.image, str(release))
        created = registry.created(stack.image, manifest)
    except RegistryFailed as error:
        return DatedRelease(stack, release, None, None, f"{release} cannot be read: {error}")
    with contextlib.suppress(ValueError):
        return DatedRelease(stack, release, date.fromisoformat(created[:10]), manifest.digest)
    return DatedRelease(stack, release, None, manifest.digest)
