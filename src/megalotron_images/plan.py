"""Plans: what a change will write to the registry, and why it may not.

Made before anything is sent, from facts alone: no clock, no network, no environment. The rules are
the seed's ("a new release shall have a newer version than the previous one"), and those that keep
people from overwriting each other's releases.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from megalotron_images.convention import MovingTag, Reference, Release
from megalotron_images.errors import CannotTell, Refused
from megalotron_images.registry.client import Free, Manifest, State, Taken, Unknown


@dataclass(frozen=True)
class LocalImage:
    """An image in the engine.

    Attributes:
        name: how it was asked for.
        id: the digest of its configuration with the graph driver, else of its manifest or index.
        platforms: those that the engine can push, as far as it states them.
        parts: digests of the manifests that the engine may push in place of an index that is not
        all there.
        is_for: asks the engine about one more platform, if it lists only one.
        created: the time of its build (ISO 8601), or nothing.
    """

    name: str
    id: str
    platforms: frozenset[str]
    parts: frozenset[str] = frozenset()
    is_for: Callable[[str], bool] | None = None
    created: str = ""

    def is_in(self, manifest: Manifest) -> bool:
        """Whether a registry's manifest is what this engine pushes for the image."""
        return self.id in (manifest.digest, manifest.configuration) or manifest.digest in self.parts


@dataclass(frozen=True)
class RepositoryState:
    """Facts about a repository before a change.

    Attributes:
        before: what the tag points to now.
        releases: the newest first.
        needed: platforms of the newest release, or, for a promotion, of what the tag points to now.
        current: the release that a moving tag points to now, if it is one.
        platforms: of what the tag points to now, with `revision`; of the release to promote.
        revision: the commit of what the tag points to now, where one is given.
    """

    before: State
    releases: tuple[Release, ...] = ()
    needed: frozenset[str] = frozenset()
    current: Release | None = None
    platforms: frozenset[str] = frozenset()
    revision: str = ""


@dataclass(frozen=True)
class Overrides:
    """Rules that a person overrides.

    Attributes:
        backport: publish an older version than the newest.
        fewer_platforms: publish for fewer platforms than the newest release.
        prerelease: put one into production.
        expect: the digest that the tag must point to now, or nothing.
        revision: the commit that is built; a release of the same commit is done, not taken.
    """

    backport: bool = False
    fewer_platforms: bool = False
    prerelease: bool = False
    expect: str = ""
    revision: str = ""


class Verdict(StrEnum):
    """The answer to a question."""

    YES = "ok"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """A question about a change, its answer, and the reason."""

    about: str
    verdict: Verdict
    text: str


@dataclass(frozen=True)
class Plan:
    """A change of one tag.

    Attributes:
        reference: the tag.
        before: what it points to now.
        done: the digest, if it already points to what was asked for.
        findings: the questions about the change, with answers.
        notes: other facts for people.
        needs: platforms that the written image must have; they are checked once it is pushed.
    """

    reference: Reference
    before: State
    done: str | None
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    needs: frozenset[str] = frozenset()

    def check(self) -> None:
        """Raise Refused, with every reason, or CannotTell, if the plan must not be carried out."""
        if refusals := [one.text for one in self.findings if one.verdict is Verdict.NO]:
            raise Refused(" ".join(refusals))
        if isinstance(self.before, Unknown):
            what = f"what {self.reference} points to"
            raise CannotTell(f"Cannot tell {what}: {self.before.reason}")
        if unknown := [one.text for one in self.findings if one.verdict is Verdict.UNKNOWN]:
            raise CannotTell(" ".join(unknown))


def plan_publish(
    reference: Reference, image: LocalImage | None, state: RepositoryState, asked: Overrides
) -> Plan:
    """Return the plan to publish a local image, or one not known yet, at a tag."""
    there = state.before.manifest
    if image and there and (image.is_in(there) or _is_done(reference, image, state, asked)):
        other = f"an image of the same commit: {image.id} is not published"
        note = f"already points to {'this image' if image.is_in(there) else other}"
        same = _yes("tag", f"{note} ({there.digest})")
        return Plan(reference, state.before, there.digest, (same,), (f"{reference} {note}.",))
    findings = [_tag(reference, image, state.before)]
    notes = [f"{reference} currently points to {state.before}."]
    if isinstance(reference.tag, Release):
        findings.append(_version(reference.tag, state, asked))
        if asked.backport:
            notes.append(f"{MovingTag.MAIN} stays where it is.")
    if image:
        newest = str(state.releases[0]) if state.releases else ""
        findings.append(_platform("your image", image.platforms, newest, state.needed, asked))
    needs = frozenset() if asked.fewer_platforms else state.needed
    return Plan(reference, state.before, None, tuple(findings), tuple(notes), needs)


def _is_done(
    reference: Reference, image: LocalImage, state: RepositoryState, asked: Overrides
) -> bool:
    """Whether a release is of the commit that is built, and runs wherever the build does.

    Builds of one commit seldom have one digest, so a workflow that runs again after its last step
    failed would find its own release taken.
    """
    same = bool(asked.revision) and state.revision == asked.revision
    return same and isinstance(reference.tag, Release) and image.platforms <= state.platforms


def plan_promote(
    reference: Reference, release: Release, digest: str, state: RepositoryState, asked: Overrides
) -> Plan:
    """Return the plan to move a tag to `release`, which has that digest."""
    before, findings = state.before, list[Finding]()
    known = not isinstance(before, Unknown)
    if known and asked.expect and before.digest != asked.expect:
        why = f"not to {asked.expect} as you expect: someone has moved it."
        findings.append(_no("tag", f"{reference} points to {before}, {why}"))
    if before == Taken(digest):
        notes = [f"{reference} already points to {release}."]
        return Plan(reference, before, digest, tuple(findings), tuple(notes))
    if release.is_prerelease and reference.tag is MovingTag.MAIN and not asked.prerelease:
        why = f"and {MovingTag.MAIN} is production: to allow it, add --prerelease."
        findings.append(_no("version", f"{release} is a pre-release, {why}"))
    if not state.platforms:
        findings.append(_no("platform", f"{release} has no platform, so it cannot run."))
    elif isinstance(before, Taken):
        own, other = state.platforms, f"The current {reference}"
        findings.append(_platform(str(release), own, other, state.needed, asked))
    notes = [f"{reference} currently points to {before}."]
    if state.current is not None:
        way = "goes back" if release < state.current else "goes forward"
        notes.append(f"This {way} from {state.current} to {release}.")
    elif isinstance(before, Taken):
        notes.append(f"The current {reference} is not a release.")
    return Plan(reference, before, None, tuple(findings), tuple(notes))


def _yes(about: str, text: str) -> Finding:
    return Finding(about, Verdict.YES, text)


def _no(about: str, text: str) -> Finding:
    return Finding(about, Verdict.NO, text)


def _tag(reference: Reference, image: LocalImage | None, before: State) -> Finding:
    """A release's tag must be free; a moving tag may be taken."""
    if isinstance(before, Unknown):
        return Finding("tag", Verdict.UNKNOWN, before.reason)
    if isinstance(before, Free):
        return _yes("tag", "free")
    if not isinstance(reference.tag, Release):
        return _yes("tag", f"a moving tag, now {before}")
    yours = f", and your image is {image.id}" if image else ""
    never = "A release is never replaced: publish yours as a newer version."
    return _no("tag", f"{reference} is taken by {before}{yours}. {never}")


def _version(release: Release, state: RepositoryState, asked: Overrides) -> Finding:
    """A release must be newer than every other (the seed's convention)."""
    if not state.releases:
        return _yes("version", "the first release")
    newest = state.releases[0]
    if release < newest and not asked.backport:
        rule = "a new release must be newer"
        what = "take the next version, or add --backport."
        return _no("version", f"{release} is older than {newest}, and {rule}: {what}")
    return _yes("version", f"newer than {newest}" if newest < release else "the newest")


def _platform(
    name: str, platforms: frozenset[str], other: str, needed: frozenset[str], asked: Overrides
) -> Finding:
    """A finding whether an image runs wherever the `other` one does.

    It is unknown if that one states no platform.
    """
    own, lost = ", ".join(sorted(platforms)) or "no platform", sorted(needed - platforms)
    if asked.fewer_platforms or not other:
        return _yes("platform", own if other else f"{own}, with no release to compare")
    if lost:
        runs = f"{other} runs on {', '.join(lost)}, but {name} only on {own}"
        step = "build it for that too, or add --fewer-platforms."
        return _no("platform", f"{runs}: {step}")
    if not needed:
        why = f"{other} has no platform, so {name} cannot be compared with it"
        return Finding("platform", Verdict.UNKNOWN, f"{why}: check it, then add --fewer-platforms.")
    return _yes("platform", f"{own}, as {other}")
