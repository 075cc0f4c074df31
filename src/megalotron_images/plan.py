"""What a change of the registry will write, and why it may not.

Decided before anything is sent, from facts alone.

Pure: no clock, no network, no environment. The rules are the seed's ("a new release shall have a
newer version than the previous one"), and those that keep one person from overwriting what another
has released.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from megalotron_images.convention import MovingTag, Reference, Release
from megalotron_images.errors import CannotTell, Refused
from megalotron_images.registry.client import Manifest, State, Taken, Unknown


@dataclass(frozen=True)
class LocalImage:
    """An image in the engine.

    Attributes:
        name: how it was asked for.
        id: the engine's. With the graph driver the digest of its configuration, else that of its
        manifest or index.
        platforms: those whose content is in the engine.
        absent: those that its index lists, and whose content is not.
        parts: digests of the manifests that the engine may push in place of an index that is not
        all there.
    """

    name: str
    id: str
    platforms: frozenset[str]
    absent: frozenset[str] = frozenset()
    parts: frozenset[str] = frozenset()

    def is_in(self, manifest: Manifest) -> bool:
        """Whether a registry's manifest is what this engine pushes of the image."""
        return self.id in (manifest.digest, manifest.configuration) or manifest.digest in self.parts


@dataclass(frozen=True)
class Facts:
    """What is known of a repository before a change.

    before: what the tag to write names now. present: the manifest there, if any. releases: the
    newest first. newest_platforms: those of the newest release; empty where there is none. main:
    what production's tag names. current: the release that a moving tag names now, if it is one.
    """

    before: State
    present: Manifest | None
    releases: tuple[Release, ...]
    newest_platforms: frozenset[str]
    main: State
    current: Release | None = None


@dataclass(frozen=True)
class Asked:
    """What a person asks for in spite of a rule.

    An older version, fewer platforms, a pre-release in production.

    expect: the digest that a person says the tag names now, or nothing.
    """

    backport: bool = False
    fewer_platforms: bool = False
    prerelease: bool = False
    expect: str = ""


@dataclass(frozen=True)
class Plan:
    """One change of one tag.

    Attributes:
        before: what the tag points to before.
        done: the digest that it points to already, if nothing is left to do.
        needs: the platforms that what is written must have.
    """

    reference: Reference
    before: State
    done: str | None
    refusals: tuple[str, ...]
    notes: tuple[str, ...]
    needs: frozenset[str] = frozenset()

    def check(self) -> None:
        """Raise Refused, with every reason, if this must not happen.

        CannotTell if nobody knows what is there.
        """
        if isinstance(self.before, Unknown):
            raise CannotTell(
                f"Nobody can tell what {self.reference} names now: {self.before.reason}"
            )
        if self.refusals:
            raise Refused(" ".join(self.refusals))


def plan_publish(reference: Reference, image: LocalImage, facts: Facts, asked: Asked) -> Plan:
    """Return the plan to put a local image at a tag."""
    if facts.present is not None and image.is_in(facts.present):
        return Plan(
            reference,
            facts.before,
            facts.present.digest,
            (),
            (f"{reference} is this image already.",),
        )
    refusals = [*platform_loss(image.platforms, facts, asked)]
    notes = [_was(reference, facts.before), *_absent(image)]
    if isinstance(reference.tag, Release):
        refusals += [*_taken(reference, image, facts), *not_newer(reference.tag, facts, asked)]
        notes += _backport(reference.tag, facts, asked)
    needs = frozenset() if asked.fewer_platforms else facts.newest_platforms
    return Plan(reference, facts.before, None, tuple(refusals), tuple(notes), needs)


def plan_promote(
    reference: Reference, release: Release, digest: str, facts: Facts, asked: Asked
) -> Plan:
    """Return the plan to put what `release` names, with this digest, at a moving tag."""
    refusals = [*_not_expected(reference, facts.before, asked.expect)]
    if facts.before == Taken(digest):
        return Plan(
            reference,
            facts.before,
            digest,
            tuple(refusals),
            (f"{reference} is {release} already.",),
        )
    if release.is_prerelease and reference.tag is MovingTag.MAIN and not asked.prerelease:
        refusals.append(
            f"{release} is a pre-release, and {MovingTag.MAIN} is production: ask for it"
            " (--prerelease)."
        )
    notes = [_was(reference, facts.before)]
    if facts.current is not None:
        way = "goes back" if release < facts.current else "goes forward"
        notes.append(f"This {way} from {facts.current} to {release}.")
    elif isinstance(facts.before, Taken):
        notes.append(f"What {reference} names now is no release.")
    return Plan(reference, facts.before, None, tuple(refusals), tuple(notes))


def not_newer(release: Release, facts: Facts, asked: Asked) -> Iterator[str]:
    """Yield why a release is too old: it must be newer than every other (the seed's convention)."""
    newer = [other for other in facts.releases if other > release]
    if newer and not asked.backport:
        yield (
            f"{release} is older than {newer[0]}, and a new release is newer than those before: "
            "take the next version, or ask for it (--backport)."
        )


def platform_loss(platforms: frozenset[str], facts: Facts, asked: Asked) -> Iterator[str]:
    """Yield which platforms of the newest release an image does not have."""
    lost = sorted(facts.newest_platforms - platforms)
    if lost and not asked.fewer_platforms:
        yield (
            f"{facts.releases[0]} runs on {', '.join(lost)}, and your image only on"
            f" {', '.join(sorted(platforms))}: build it for that too, or ask for it"
            " (--fewer-platforms)."
        )


def _absent(image: LocalImage) -> Iterator[str]:
    if image.absent:
        yield (
            f"{image.name} is for {', '.join(sorted(image.absent))} too, and your engine does not"
            f" hold that: only {', '.join(sorted(image.platforms))} is published."
        )


def _taken(reference: Reference, image: LocalImage, facts: Facts) -> Iterator[str]:
    if isinstance(facts.before, Taken):
        yield (
            f"{reference} is taken by {facts.before.digest}, and your image is {image.id}. A"
            " release is never replaced: publish yours as a newer version."
        )


def _backport(release: Release, facts: Facts, asked: Asked) -> Iterator[str]:
    if asked.backport and any(other > release for other in facts.releases):
        names = facts.main.digest if isinstance(facts.main, Taken) else "nothing"
        yield f"{release} is a backport: {MovingTag.MAIN} stays as it is ({names})."


def _not_expected(reference: Reference, before: State, expect: str) -> Iterator[str]:
    names = before.digest if isinstance(before, Taken) else "nothing"
    if expect and names != expect:
        yield f"{reference} names {names}, and not {expect}, as you expect: somebody has moved it."


def _was(reference: Reference, before: State) -> str:
    if isinstance(before, Unknown):
        return f"Nobody can tell what {reference} names now."
    return f"{reference} names {before.digest if isinstance(before, Taken) else 'nothing'} now."
