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
Kinds = tuple[type[BaseException], ...]
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
    before = registry.state(repository, str(reference.tag))
    releases, needed = tuple(releases_among(tags())), frozenset[str]()
    if releases:
        newest = registry.manifest(repository, str(releases[0]))
        needed = registry.platforms(repository, newest)
    state = RepositoryState(before, releases, needed)
    if not (revision and before.manifest):
        return state
    own = registry.platforms(repository, before.manifest)
    return replace(state, platforms=own, revision=registry.revision(repository, before.manifest))


def publish_plan(
    registry: Registry, reference: Reference, image: LocalImage | None, asked: Overrides
) -> Plan:
    """Return the plan to put a local image at a tag."""
    state = gather(registry, reference, asked.revision)
    if image and image.is_for:
        more = filter(image.is_for, state.needed - image.platforms)
        image = replace(image, platforms=image.platforms.union(more))
    return plan_publish(reference, image, state, asked)


def promote_plan(
    registry: Registry, stack: Stack, release: Release, to: MovingTag, asked: Overrides
) -> tuple[Plan, Manifest]:
    """Return the plan to move a tag to a release, and the manifest to write.

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
    before, current, needed = state_now(), None, frozenset[str]()
    if before.manifest and before.digest != manifest.digest:
        there = start_in_thread(partial(registry.platforms, stack.image, before.manifest))
        others = (one for one in releases_among(tags()) if one != release)
        current = registry.releases_of(stack.image, others, {before.digest}).get(before.digest)
        needed = there()
    state = RepositoryState(before, (), needed, current, own())
    return plan_promote(Reference(stack, to), release, manifest.digest, state, asked), manifest


def publish(
    plan: Plan, image: LocalImage, registry: Registry, push: Push, say: Say, settle: float = SETTLE
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
    with _adding(f"{plan.reference} was not written; {staging} may hold what was pushed."):
        manifest = _stage(plan.reference.stack, image, registry, push, say)
    with _adding(f"What was pushed stays at {staging}."):
        with _adding(f"{plan.reference} was not written.", (Stopped,)):
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
    plan: Plan, manifest: Manifest, registry: Registry, say: Say, settle: float = SETTLE
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
    with _adding(f"{plan.reference} was not written."):
        say("check what it points to")
        must_write = _still_as_planned(plan, manifest, registry)
    look = f"Check: megalotron-images digest {plan.reference}"
    with _adding(f"{plan.reference} may have been written. {look}", (Stopped,)):
        if must_write:
            say(f"write {plan.reference}")
            _put(registry, plan.reference, manifest)
        say("read it back")
        time.sleep(settle)
        _read_back(registry, plan, manifest.digest)
    return Written(plan.reference, plan.before, manifest.digest)


@contextlib.contextmanager
def _adding(known: str, kinds: Kinds = (ImageError, Stopped)) -> Iterator[None]:
    """Say more of what is known when a step fails; for `Stopped`, when a person stops it."""
    try:
        yield
    except kinds as error:
        error.args += (known,)
        raise


def _still_as_planned(plan: Plan, manifest: Manifest, registry: Registry) -> bool:
    """Return whether the manifest is yet to be written; raise CannotTell or LostRace otherwise."""
    now = registry.state(plan.reference.stack.image, str(plan.reference.tag))
    if now == Taken(manifest.digest):
        return False
    replace(plan, before=now).check()
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
        refused = isinstance(error, RegistryRefused) and not isinstance(now, Unknown)
        later = f"currently points to {now}; what was sent may still arrive"
        error.args += (f"{reference} {'was not written' if refused else later}.",)
        raise


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
    points = f"it points to {now}, but yours is {digest}"
    then = "Agree on who moves it, or publish yours as a newer version"
    return f"Someone else wrote {reference} at the same moment: {points}. {then}."
