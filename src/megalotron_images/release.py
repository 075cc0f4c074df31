"""Carry out a plan: write the tag last, and read it back.

A registry takes every write and compares none with what was there. So everything possible is
checked before the tag is written, and the result is read, not assumed.
"""

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from megalotron_images.concurrency import start_in_thread
from megalotron_images.convention import (
    REGISTRY,
    STAGING,
    MovingTag,
    Reference,
    Release,
    Stack,
    releases_among,
)
from megalotron_images.errors import (
    CannotTell,
    EngineFailed,
    ImageError,
    LostRace,
    NameTaken,
    NotThere,
    Refused,
    RegistryFailed,
    RegistryRefused,
    Stopped,
)
from megalotron_images.plan import (
    LocalImage,
    Overrides,
    Plan,
    RepositoryState,
    plan_promote,
    plan_publish,
)
from megalotron_images.registry.client import Manifest, Registry, State, Taken, Unknown

SETTLE = 1.0
"""Seconds between writing a tag and reading it back.

Without a pause, 30 of 200 races had two winners; with 0.05 s none.
"""
_SECONDS_TO_READ_BACK = 15.0
_PAUSE = 0.2
_TRIES_TO_PUSH = 8

Say = Callable[[str], None]
"""Called with each step before it is taken."""
Push = Callable[[LocalImage, str, str], None]
"""Pushes an image to a repository and tag."""


@dataclass(frozen=True)
class Written:
    """A written tag: what it pointed to before, and the digest read back."""

    reference: Reference
    before: State
    digest: str

    def __str__(self) -> str:
        return f"{self.reference}@{self.digest}"

    @property
    def data(self) -> dict[str, str | None]:
        """The same for programs."""
        before, now = self.before.digest, self.digest
        return {"reference": str(self.reference), "before": before, "digest": now}


def gather(registry: Registry, reference: Reference, revision: str = "") -> RepositoryState:
    """Return the facts about a tag and its repository.

    Args:
        revision: if given, facts about the image that the tag points to are read too.

    Raises:
        CannotTell: the registry does not say.
    """
    repository = reference.stack.image
    tags = start_in_thread(partial(registry.tags, repository))
    main = start_in_thread(partial(registry.state, repository, MovingTag.MAIN))
    before = registry.state(repository, str(reference.tag))
    present = start_in_thread(partial(_manifest_of, registry, repository, before.digest))
    releases = tuple(releases_among(tags()))
    newest = _manifest_of(registry, repository, str(releases[0]) if releases else None)
    platforms = registry.platforms(repository, newest) if newest else frozenset[str]()
    state = RepositoryState(before, present(), releases, platforms, main())
    if not (revision and state.present):
        return state
    own = registry.platforms(repository, state.present)
    return replace(state, platforms=own, revision=registry.revision(repository, state.present))


def _manifest_of(registry: Registry, repository: str, reference: str | None) -> Manifest | None:
    return registry.manifest(repository, reference) if reference else None


def publish_plan(
    registry: Registry, reference: Reference, image: LocalImage | None, asked: Overrides
) -> Plan:
    """Return the plan to put a local image at a tag."""
    state = gather(registry, reference, asked.revision)
    if image and image.is_for:
        more = filter(image.is_for, state.newest_platforms - image.platforms)
        image = replace(image, platforms=image.platforms.union(more))
    return plan_publish(reference, image, state, asked)


@dataclass(frozen=True)
class Promotion:
    """A promotion: the release's manifest, and the plan."""

    manifest: Manifest
    plan: Plan


def promote_plan(
    registry: Registry, stack: Stack, release: Release, to: MovingTag, asked: Overrides
) -> Promotion:
    """Return the plan to move a tag to a release, with the manifest to write.

    Raises:
        Refused: there is no such release.
    """
    tags = start_in_thread(partial(registry.tags, stack.image))
    state_now = start_in_thread(partial(registry.state, stack.image, to))
    try:
        manifest = registry.manifest(stack.image, str(release))
    except NotThere:
        listed = f"megalotron-images status {stack.name} --releases"
        raise Refused(f"There is no release {release} of {stack.name}. List: {listed}") from None
    own = start_in_thread(partial(registry.platforms, stack.image, manifest))
    before = state_now()
    current, there = None, frozenset[str]()
    if before.digest and before.digest != manifest.digest:
        platforms = start_in_thread(partial(_platforms_at, registry, stack, before.digest))
        current = _release_of(registry, stack, tags(), before.digest, release)
        there = platforms()
    state = RepositoryState(before, None, (), frozenset(), before, current, there)
    plan = plan_promote(Reference(stack, to), release, manifest.digest, own(), state, asked)
    return Promotion(manifest, plan)


def _platforms_at(registry: Registry, stack: Stack, digest: str) -> frozenset[str]:
    return registry.platforms(stack.image, registry.manifest(stack.image, digest))


def _release_of(
    registry: Registry, stack: Stack, tags: list[str], digest: str, other: Release
) -> Release | None:
    """Return the newest release with a digest, or None; `other` is known not to have it."""
    others = (one for one in releases_among(tags) if one != other)
    return registry.releases_of(stack.image, others, {digest}).get(digest)


def publish(
    plan: Plan,
    image: LocalImage,
    registry: Registry,
    push: Push,
    *,
    say: Say,
    settle: float = SETTLE,
) -> Written:
    """Push a local image, and put it at the plan's tag.

    An engine can push to a tag only, so it pushes to the stack's `staging`. That must then be the
    local image in the registry; from there on everything goes by digest, so others may push there
    too.

    Raises:
        LostRace: somebody else wrote the tag at the same moment.
        Refused: a rule forbids it.
        CannotTell: the registry or the engine did not answer reliably.
    """
    plan.check()
    if plan.done:
        return Written(plan.reference, plan.before, plan.done)
    staging = f"{plan.reference.stack.image}:{STAGING}"
    known = f"{plan.reference} was not written; {staging} may hold what was pushed."
    with _stoppable(known), _adding(known):
        manifest = _stage(plan.reference.stack, image, registry, push, say)
    with _adding(f"What was pushed stays at {staging}."):
        with _stoppable(f"{plan.reference} was not written."):
            _check_what_was_pushed(plan, image, registry, manifest)
        return put(plan, manifest, registry, say=say, settle=settle)


def _check_what_was_pushed(
    plan: Plan, image: LocalImage, registry: Registry, manifest: Manifest
) -> None:
    """Raise Refused for fewer platforms than needed: an engine may not hold all of an image."""
    has = registry.platforms(plan.reference.stack.image, manifest)
    if lost := plan.needs - has:
        only = f"The engine pushed only {', '.join(sorted(has)) or 'no platform'} of {image.name}"
        lack = f"{plan.reference} would lose {', '.join(sorted(lost))}. It was not written."
        raise Refused(f"{only}, and {lack}")


def put(
    plan: Plan, manifest: Manifest, registry: Registry, *, say: Say, settle: float = SETTLE
) -> Written:
    """Put a manifest at the plan's tag, if the tag has not moved since.

    Raises:
        LostRace: somebody else wrote the tag at the same moment.
        Refused: a rule forbids it.
        CannotTell: the registry or the engine did not answer reliably.
    """
    plan.check()
    if plan.done:
        return Written(plan.reference, plan.before, plan.done)
    with _stoppable(f"{plan.reference} was not written."):
        say("check what it points to")
        must_write = _still_as_planned(plan, manifest, registry)
    look = f"Check: megalotron-images digest {plan.reference}"
    with _stoppable(f"{plan.reference} may have been written. {look}"):
        if must_write:
            say(f"write {plan.reference}")
            _put(registry, plan.reference, manifest)
        say("read it back")
        time.sleep(settle)
        _read_back(registry, plan, manifest.digest)
    return Written(plan.reference, plan.before, manifest.digest)


@contextlib.contextmanager
def _stoppable(known: str) -> Iterator[None]:
    """Say what is known of the tag when a person stops a step."""
    try:
        yield
    except Stopped:
        raise Stopped(f"Stopped: {known}") from None


@contextlib.contextmanager
def _adding(known: str) -> Iterator[None]:
    """Say more of what is known when a step fails."""
    try:
        yield
    except ImageError as error:
        error.args = (f"{error} {known}", *error.args[1:])
        raise


def _still_as_planned(plan: Plan, manifest: Manifest, registry: Registry) -> bool:
    """Return whether the manifest is yet to be written; raise CannotTell or LostRace otherwise."""
    now = registry.state(plan.reference.stack.image, str(plan.reference.tag))
    if now == Taken(manifest.digest):
        return False
    if isinstance(now, Unknown):
        why = f"Cannot tell what {plan.reference} points to, so it was not written"
        raise CannotTell(f"{why}: {now.reason}")
    if now != plan.before:
        raise LostRace(_lost(plan.reference, now, manifest.digest))
    return True


def _stage(stack: Stack, image: LocalImage, registry: Registry, push: Push, say: Say) -> Manifest:
    """Push an image to `staging`; return its manifest, checked to be that image's.

    Somebody else may push there at the same time, from this engine or another: then this pushes
    again. The engine's own report is not used: with some stores it has no digest.
    """
    seen = set[str]()
    for _ in range(_TRIES_TO_PUSH):
        say(f"push {image.name} to {stack.image}:{STAGING}")
        with contextlib.suppress(NameTaken, NotThere):  # on GHCR a new tag is not yet readable
            push(image, f"{REGISTRY}/{stack.image}", STAGING)
            say("read its manifest")
            manifest = registry.manifest(stack.image, STAGING)
            if image.is_in(manifest):
                return manifest
            seen.add(manifest.digest)
        time.sleep(_PAUSE * (1 + random.random()))  # noqa: S311 - two that collide must not do so again
    staging = f"{stack.image}:{STAGING}"
    if len(seen) == 1:
        other = f"your engine knows {image.name} by another digest ({image.id})"
        advice = "Nothing else was written. Pull the image again or rebuild it, and try that."
        raise EngineFailed(f"{staging} is {seen.pop()} after the push, and {other}. {advice}")
    why = "someone else is pushing there" if seen else "it cannot be read after the push"
    raise EngineFailed(f"{staging}: {why}. Run the command again: it continues.")


def _put(registry: Registry, reference: Reference, manifest: Manifest) -> None:
    """Put a manifest at a tag; without an answer, look whether it arrived."""
    try:
        registry.put(reference.stack.image, str(reference.tag), manifest)
    except RegistryFailed as error:
        now = registry.state(reference.stack.image, str(reference.tag))
        if now == Taken(manifest.digest):
            return
        if isinstance(error, RegistryRefused) and not isinstance(now, Unknown):
            raise RegistryFailed(f"{error} {reference} was not written.", error.message) from None
        later = f"It currently points to {now}; what was sent may still arrive."
        raise RegistryFailed(f"{error} {later}") from None


def _read_back(registry: Registry, plan: Plan, digest: str) -> None:
    """Wait until the registry shows `digest` at the tag; the former one may show for a moment."""
    end = time.monotonic() + _SECONDS_TO_READ_BACK
    while True:
        state = registry.state(plan.reference.stack.image, str(plan.reference.tag))
        if state == Taken(digest):
            return
        if isinstance(state, Taken) and state != plan.before:
            raise LostRace(_lost(plan.reference, state, digest))
        if time.monotonic() > end:
            said = f"{plan.reference} was written, but still points to {state}"
            raise CannotTell(f"{said}. Check: megalotron-images digest {plan.reference}")
        time.sleep(_PAUSE)


def _lost(reference: Reference, now: State, digest: str) -> str:
    release = isinstance(reference.tag, Release)
    then = "Publish yours as a newer version" if release else "Agree on who moves it"
    points = f"it points to {now}, but yours is {digest}"
    return f"Someone else wrote {reference} at the same moment: {points}. {then}."
