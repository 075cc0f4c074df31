"""Megalotron's image convention: stacks, names, tags and the order of versions. Pure: no I/O.

An image is `ghcr.io/megalotron/<stack>:<tag>`. A tag is a release, `vX.Y.Z` with an optional
pre-release (Semantic Versioning 2.0.0), or a moving tag: `main` is what runs in production, `dev`
what is in development.
"""

import difflib
import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from megalotron_images.errors import RuleBroken
from semver import Version as SemVer

REGISTRY = "ghcr.io"
ORGANISATION = "megalotron"
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_NAME = re.compile(
    rf"{re.escape(REGISTRY)}/([a-z0-9]+(?:(?:\.|_|__|-+|/)[a-z0-9]+)*)"
    rf"(?::([A-Za-z0-9_][A-Za-z0-9._-]{{0,127}})?)?(?:@({DIGEST.pattern}))?"
)
"""A name in the registry: repository, tag and digest (OCI distribution specification)."""
_BEFORE = re.compile(rf"([a-z-]+://)?({re.escape(REGISTRY)}(:443)?/+)?", re.IGNORECASE)
"""What browsers and other tools write before an image: a scheme, the registry as they spell it."""
_LONGEST_TAG = 128
"""Characters in a tag (OCI distribution specification, "Pulling manifests")."""
WRITING_EVENTS = ("push", "workflow_dispatch")
"""GitHub's events that may write: a pull request's code is not the repository's yet."""


@dataclass(frozen=True)
class Stack:
    """A stack: its title for people, and the last part of its image's name."""

    title: str
    name: str

    @property
    def image(self) -> str:
        """The image below the registry, as in the table of stacks."""
        return f"{ORGANISATION}/{self.name}"


STACKS = (
    Stack("Dashboard", "dashboard"),
    Stack("Backend", "backend"),
    Stack("Sniffer", "sniffer"),
    Stack("Go FlowMeter", "go-flow-meter"),
)
"""The stacks. A new one is one more line; the documentation's table is made from this."""


Bump = Literal["patch", "minor", "major"]
"""The part of a version to increase."""
STAGING = "staging"
"""The tag under which an engine hands an image over; it does not follow the convention."""


class MovingTag(StrEnum):
    """A tag that people move from image to image."""

    MAIN = "main"
    DEV = "dev"


RELEASE = (
    rf"(?=.{{1,{_LONGEST_TAG}}}$)"
    r"v(?:0|[1-9][0-9]*)\.(?:0|[1-9][0-9]*)\.(?:0|[1-9][0-9]*)"
    r"(?:-(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*)?"
)
"""A release as a pattern for Python and browsers: semver.org's own, without a build part."""


@dataclass(frozen=True, order=True)
class Release:
    """A release, ordered by Semantic Versioning."""

    version: SemVer

    def __str__(self) -> str:
        return f"v{self.version}"

    @property
    def is_prerelease(self) -> bool:
        """Whether this is a pre-release, which becomes `main` only on request."""
        return self.version.prerelease is not None


Tag = Release | MovingTag


@dataclass(frozen=True)
class Reference:
    """The full name of an image of a stack."""

    stack: Stack
    tag: Tag

    def __str__(self) -> str:
        return f"{REGISTRY}/{self.stack.image}:{self.tag}"


def parse_stack(name: str) -> Stack:
    """Return a stack by name; raise RuleBroken, with the nearest one, for an unknown name."""
    for stack in STACKS:
        if stack.name == name:
            return stack
    known = [stack.name for stack in STACKS]
    near = difflib.get_close_matches(re.sub(r"[\s_]+", "-", name.lower()), known, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"The stacks are: {', '.join(known)}."
    raise RuleBroken(f"There is no stack {name!r}. {hint}")


def parse_release(text: str) -> Release:
    """Return a tag's release.

    Raises:
        RuleBroken: the tag is not a release; the error has the nearest correct spelling.
    """
    if re.fullmatch(RELEASE, text):
        return Release(SemVer.parse(text[1:]))
    near = text.strip().removeprefix("v").removeprefix("V").partition("+")[0]
    if re.fullmatch(r"[0-9]{1,18}(\.[0-9]{1,18}){0,2}", near):
        near = ".".join([*(str(int(part)) for part in near.split(".")), "0", "0"][:3])
    if re.fullmatch(RELEASE, f"v{near}"):
        raise RuleBroken(f"{text!r} is not a release. Did you mean v{near}?")
    rule = f"write it as v1.2.3 or v1.2.3-rc.1, in at most {_LONGEST_TAG} characters"
    raise RuleBroken(f"{text!r} is not a release: {rule}.")


def releases_among(tags: Iterable[str]) -> Iterator[Release]:
    """Yield the releases among a repository's tags, the newest first; others are skipped.

    Only tags with the same numbers are compared in full, and only once they are asked for: finding
    the newest of 10,000 costs as much as reading them.
    """
    found = sorted(filter(re.compile(RELEASE).fullmatch, tags), key=_numbers, reverse=True)
    for _, same in itertools.groupby(found, _numbers):
        yield from sorted((Release(SemVer.parse(tag[1:])) for tag in same), reverse=True)


def _numbers(tag: str) -> list[int]:
    return [int(part) for part in tag[1:].partition("-")[0].split(".")]


def next_release(newest: Release | None, bump: Bump) -> Release:
    """Return the release after the newest one; v1.0.0 if there is none.

    After a pre-release that is its own release, if `bump` leads there (SemVer, rule 11).
    """
    return Release(newest.version.next_version(bump)) if newest else Release(SemVer(1))


def parse_tag(text: str) -> Tag:
    """Return a tag, moving or a release; raise RuleBroken for anything else."""
    if text in set(MovingTag):
        return MovingTag(text)
    if text.lower() in {"main", "dev", "master", "production", "develop", "latest"}:
        right = MovingTag.DEV if text.lower().startswith("dev") else MovingTag.MAIN
        raise RuleBroken(f"{text!r} is not a tag of the convention. Did you mean {right}?")
    return parse_release(text)


@dataclass(frozen=True)
class ImageName:
    """An image's name in the registry, which need not follow the convention.

    Attributes:
        tag: empty if the name has a digest alone.
        digest: what the name must point to; empty if any digest will do.
    """

    repository: str
    tag: str
    digest: str

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{REGISTRY}/{self.repository}{tag}" + (f"@{self.digest}" if self.digest else "")


def parse_name(text: str) -> ImageName:
    """Return the name of any image in the registry: NAME:TAG, NAME@DIGEST, or NAME:TAG@DIGEST.

    Raises:
        RuleBroken: it is anything else; the error has the name that was meant, if one is near.
    """
    found = _NAME.fullmatch(text)
    if found and (found[2] or found[3]):
        return ImageName(found[1], found[2] or "", found[3] or "")
    if (near := _normalized(text)) not in ("", text) and _NAME.fullmatch(near):
        raise RuleBroken(f"{text!r} is not how a name is written. Did you mean {near}?")
    if found:
        raise RuleBroken(f"{text!r} has no tag. Add a release, such as :v1.0.0, or :main, or :dev.")
    right = f"{REGISTRY}/{ORGANISATION}/<image>:<tag>"
    raise RuleBroken(f"{text!r} is not an image in {REGISTRY}: write {right}.")


def _normalized(text: str) -> str:
    """Return a name as it is written here, from how browsers and other tools write it.

    Empty for an image of another registry.
    """
    name, at, digest = _BEFORE.sub("", text.strip(), count=1).partition("@")
    image, colon, tag = name.partition(":")
    image = image.lower()
    if image in {stack.name for stack in STACKS}:
        image = f"{ORGANISATION}/{image}"
    if "." in image.partition("/")[0]:
        return ""
    return f"{REGISTRY}/{image}{colon}{tag}{at}{digest.lower()}"


def parse_reference(text: str) -> Reference:
    """Return the reference in a name, `ghcr.io/megalotron/<stack>:<tag>`, digest or not.

    Raises:
        RuleBroken: a part breaks a rule; the error says which.
    """
    name = parse_name(text)
    organisation, _, image = name.repository.partition("/")
    if organisation != ORGANISATION or not name.tag:
        near = _normalized(text)
        right = near if near != text else f"{REGISTRY}/{ORGANISATION}/<stack>:<tag>"
        raise RuleBroken(f"{text!r} is not one of Megalotron's tags. Did you mean {right}?")
    return Reference(parse_stack(image), parse_tag(name.tag))


def tags_for(ref: str, event: str = "push") -> Tag | None:
    """Return the tag that an event on a git reference (`refs/heads/main`) writes, or None.

    Raises:
        RuleBroken: a git tag is not a release, or the reference is not a full one.
    """
    kind, _, name = ref.removeprefix("refs/").partition("/")
    if not ref.startswith("refs/") or not name:
        right = "refs/heads/main or refs/tags/v1.0.0"
        raise RuleBroken(f"{ref!r} is not a full git reference: write it as {right}.")
    if event not in WRITING_EVENTS or kind not in ("heads", "tags"):
        return None
    if kind == "tags":
        return parse_release(name)
    return MovingTag(name) if name in set(MovingTag) else None
