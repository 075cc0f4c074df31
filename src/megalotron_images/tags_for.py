"""Which tag a git reference writes: the rule by which a stack's repository publishes its images.

A branch that is a moving tag's name moves it; a git tag that is a release publishes that release;
all else is built, and writes nothing. A git tag that is no release is a mistake, and refused.
"""

from megalotron_images.convention import MovingTag, Tag, parse_release
from megalotron_images.errors import RuleBroken

WRITING_EVENTS = ("push", "workflow_dispatch")
"""GitHub's events that may write; a pull request's code is not yet the repository's."""


def tags_for(ref: str, event: str = "push") -> Tag | None:
    """Return the tag that an event on a git reference (`refs/heads/main`) writes, or None.

    Raises RuleBroken for a git tag that is no release, and for what is no full reference.
    """
    kind, _, name = ref.removeprefix("refs/").partition("/")
    if not ref.startswith("refs/") or not name:
        raise RuleBroken(
            f"{ref!r} is no full git reference: write it as refs/heads/main or refs/tags/v1.0.0."
        )
    if event not in WRITING_EVENTS or kind not in ("heads", "tags"):
        return None
    if kind == "tags":
        return parse_release(name)
    return MovingTag(name) if name in set(MovingTag) else None
