"""Status of the stacks: the newest release of each, and what `main` and `dev` point to."""

import re
from dataclasses import dataclass
from functools import partial

from megalotron_images.concurrency import run_concurrently, start_in_thread
from megalotron_images.convention import MovingTag, Release, Stack, releases_among
from megalotron_images.errors import RegistryFailed
from megalotron_images.registry.client import Registry, State, Taken, Unknown

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True)
class TagTarget:
    """The image that a tag points to.

    Attributes:
        digest: its digest.
        release: the newest release that has the digest, if any.
    """

    digest: str
    release: Release | None

    def __str__(self) -> str:
        return str(self.release or self.digest[: len("sha256:") + 12])

    @property
    def data(self) -> dict[str, str | None]:
        """The same for programs."""
        return {"digest": self.digest, "release": str(self.release) if self.release else None}


Target = TagTarget | Unknown | None
"""What a tag points to; None if there is no such tag."""


def shown(target: Target) -> str:
    """Return a target for people: its release or a short digest, `unknown`, or `-`."""
    return str(target) if isinstance(target, TagTarget) else "unknown" if target else "-"


@dataclass(frozen=True)
class StackStatus:
    """A stack's tags.

    Attributes:
        releases: all of them, the newest first.
        targets: what `newest`, `main` and `dev` point to.
    """

    stack: Stack
    releases: tuple[Release, ...]
    targets: dict[str, Target]

    @property
    def row(self) -> tuple[str, ...]:
        """The stack, and for each tag the release that it points to, or else a short digest."""
        return (self.stack.name, *map(shown, self.targets.values()))

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """A row for each tag: stack, tag, release or short digest, whole digest."""
        found = self.targets.items()
        return [
            (self.stack.name, tag, shown(one), (one and one.digest) or "-") for tag, one in found
        ]

    @property
    def data(self) -> dict[str, object]:
        """The same for programs."""
        targets = {tag: target and target.data for tag, target in self.targets.items()}
        return {"stack": self.stack.name, **targets}

    @property
    def unknown(self) -> list[str]:
        """Reasons why tags could not be read."""
        return [one.reason for one in self.targets.values() if isinstance(one, Unknown)]


def read_status(registry: Registry, stack: Stack) -> StackStatus:
    """Return a stack's status; raise RegistryFailed if its tags cannot be listed."""
    tags = registry.tags(stack.image)
    releases = tuple(releases_among(tags))
    wanted = [tag for tag in MovingTag if tag in tags]
    states = {tag: start_in_thread(partial(registry.state, stack.image, tag)) for tag in wanted}
    newest = registry.state(stack.image, str(releases[0])) if releases else None
    moving = {tag: wait() for tag, wait in states.items()}
    found = {newest.digest: releases[0]} if newest and newest.digest else {}
    sought = {state.digest for state in moving.values() if state.digest} - found.keys()
    found |= registry.releases_of(stack.image, releases[1:], sought)
    targets = {str(tag): _target(moving.get(tag), found) for tag in MovingTag}
    return StackStatus(stack, releases, {"newest": _target(newest, found), **targets})


def _target(state: State | None, found: dict[str, Release]) -> Target:
    if isinstance(state, Taken):
        return TagTarget(state.digest, found.get(state.digest))
    return state if isinstance(state, Unknown) else None


@dataclass(frozen=True)
class DatedRelease:
    """A release with the day of its build.

    Attributes:
        day: empty if the image does not state it.
        unknown: why the release could not be read.
    """

    stack: Stack
    release: Release
    day: str = ""
    digest: str | None = None
    unknown: str = ""

    @property
    def row(self) -> tuple[str, ...]:
        """Stack, release, day and digest."""
        return tuple(str(value or "-") for value in self.data.values())

    @property
    def data(self) -> dict[str, object]:
        """The same for programs."""
        names = {"stack": self.stack.name, "release": str(self.release)}
        return {**names, "day": self.day or None, "digest": self.digest}


def read_releases(registry: Registry, status: StackStatus) -> list[DatedRelease]:
    """Return a stack's releases, the newest first, each with the day of its build if known."""
    stack = status.stack
    return run_concurrently(partial(_dated, registry, stack, one) for one in status.releases)


def _dated(registry: Registry, stack: Stack, release: Release) -> DatedRelease:
    try:
        manifest = registry.manifest(stack.image, str(release))
        day = _DAY.match(registry.created(stack.image, manifest))
    except RegistryFailed as error:
        return DatedRelease(stack, release, unknown=f"{release} cannot be read: {error}")
    return DatedRelease(stack, release, day[0] if day else "", manifest.digest)
