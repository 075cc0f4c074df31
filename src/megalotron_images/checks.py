"""Whether a reference may be published.

Its name, whether its tag is free, whether it is newer, whether it runs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from megalotron_images.convention import Reference, Release, parse_reference
from megalotron_images.errors import RegistryFailed, RuleBroken
from megalotron_images.plan import Asked, Facts, LocalImage, not_newer, platform_loss
from megalotron_images.registry.client import Free, Registry, Taken
from megalotron_images.release import gather

_YOURS = "names your image already"


class Verdict(StrEnum):
    """What came out of one question."""

    YES = "ok"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """One question, its verdict, and a line that says why."""

    about: str
    verdict: Verdict
    text: str


def status_of(findings: list[Finding]) -> int:
    """Return the exit status for findings.

    0 all is well, 1 something is not, 3 something could not be told.
    """
    verdicts = {finding.verdict for finding in findings}
    return 1 if Verdict.NO in verdicts else 3 if Verdict.UNKNOWN in verdicts else 0


def check(registry: Registry, text: str, image: LocalImage | None) -> list[Finding]:
    """Return what is found about publishing an image at the reference `text`.

    A broken name ends the questions.
    """
    try:
        reference = parse_reference(text)
    except RuleBroken as error:
        return [Finding("name", Verdict.NO, str(error))]
    found = [Finding("name", Verdict.YES, f"{reference} follows the convention")]
    try:
        facts = gather(registry, reference)
    except RegistryFailed as error:
        return [*found, Finding("registry", Verdict.UNKNOWN, str(error))]
    return [*found, *_about(reference, facts, image)]


def _about(reference: Reference, facts: Facts, image: LocalImage | None) -> Iterator[Finding]:
    tag = _tag(reference, facts, image)
    yield tag
    if tag.text.startswith(_YOURS):
        return
    newest = facts.releases[0] if facts.releases else None
    if isinstance(reference.tag, Release):
        told = f"newer than {newest}" if newest and newest < reference.tag else "the newest"
        yield _finding(
            "version",
            not_newer(reference.tag, facts, Asked()),
            told if newest else "the first release",
        )
    if image is not None:
        platforms = ", ".join(sorted(image.platforms))
        told = f"{platforms}, as {newest}" if newest else f"{platforms}, with no release to compare"
        yield _finding("platform", platform_loss(image.platforms, facts, Asked()), told)


def _tag(reference: Reference, facts: Facts, image: LocalImage | None) -> Finding:
    state = facts.before
    if isinstance(state, Free):
        return Finding("tag", Verdict.YES, "free")
    if not isinstance(state, Taken):
        return Finding("tag", Verdict.UNKNOWN, state.reason)
    if not isinstance(reference.tag, Release):
        return Finding("tag", Verdict.YES, f"a moving tag, now {state.digest}")
    if image is not None and facts.present is not None and image.is_in(facts.present):
        return Finding("tag", Verdict.YES, f"{_YOURS}, as {state.digest}")
    return Finding(
        "tag",
        Verdict.NO,
        f"taken by {state.digest}; a release is never replaced: take the next version",
    )


def _finding(about: str, problems: Iterator[str], well: str) -> Finding:
    why = next(problems, None)
    return Finding(about, Verdict.YES if why is None else Verdict.NO, why or well)
