"""What a registry's refusal most likely means, and what to do next; its words are kept.

Sources: GitHub's documentation of the container registry, and the messages of GHCR and of CNCF
Distribution.
"""

import re
from dataclasses import dataclass

_AGAIN = "Log in again with a classic personal access token (docker login ghcr.io)"
_WANTED = (
    "a classic personal access token with the scope write:packages, authorised for the organisation"
    " (SSO)"
)
LOG_IN = f"Log in with {_WANTED}"


@dataclass(frozen=True)
class Refusal:
    """A kind of refusal.

    Attributes:
        said: as registries write it.
        words: a pattern that recognises it.
        cause: the likely one.
        step: what to do next.
    """

    said: str
    words: re.Pattern[str]
    cause: str
    step: str


def _refusal(said: str, cause: str, step: str, words: str = "") -> Refusal:
    return Refusal(said, re.compile(words or re.escape(said), re.IGNORECASE), cause, step)


REFUSALS = (
    _refusal(
        "permission_denied: create_package",
        "your account may not create packages in this organisation",
        "Ask one of its owners to create the package, or to let members do it",
    ),
    _refusal(
        "installation not allowed to Create organization package",
        "the workflow's token may not create packages in this organisation",
        "Publish the first image by hand, or use a token of a person who may",
        "installation not allowed to create",
    ),
    _refusal(
        "installation not allowed to Write organization package",
        "the package does not let this repository's workflow write",
        "Add the repository under the package's settings, Manage Actions access, with Write",
        "installation not allowed to write",
    ),
    _refusal(
        "permission_denied: write_package",
        "your account may not write to this package",
        "Ask one of the package's admins for the role Write, or link the package to your"
        " repository",
    ),
    _refusal(
        "token provided does not match expected scopes",
        "the token lacks the scope write:packages",
        f"Make {_WANTED}, and log in with it",
    ),
    _refusal(
        "denied: denied",
        "the token is wrong, expired or revoked, or lacks SSO authorisation",
        _AGAIN,
    ),
    _refusal(
        "requested access to the resource is denied",
        "the token only reads, or you are not logged in",
        LOG_IN,
        "requested access to the resource is denied|push access denied|insufficient_scope",
    ),
    _refusal("no basic auth credentials", "the engine has no login for this registry", _AGAIN),
    _refusal(
        "unauthorized: authentication required",
        "you are not logged in to this registry",
        _AGAIN,
        "unauthori[sz]ed|authentication required",
    ),
    _refusal(
        "name unknown",
        "there is no such package, or you may not see it",
        "Check the stack's name, and that your token reads packages",
        "name[ _]unknown|repository name not known",
    ),
    _refusal(
        "manifest unknown",
        "there is no such tag or digest",
        "See what is there: megalotron-images status",
        "manifest[ _]unknown",
    ),
    _refusal(
        "toomanyrequests",
        "the registry limits your requests",
        "Wait, then run it again",
        "toomanyrequests|too many requests",
    ),
    _refusal(
        "403 Forbidden",
        "the registry refused, and this engine does not pass on its reason",
        "megalotron-images doctor asks for it",
    ),
    _refusal(
        "no space left on device",
        "the disk is full",
        "Free space (docker system df shows what takes it)",
    ),
    _refusal("denied", "the registry does not let you do this", _AGAIN),
)
"""Tried in this order, the narrower before the broader."""


def explain(said: str) -> str:
    """Return a registry's message with its likely cause and the next step, if known."""
    said = " ".join(said.split()).removeprefix("errors: ").rstrip(".")
    for refusal in REFUSALS:
        if refusal.words.search(said):
            return f"{said}: {refusal.cause}. {refusal.step}."
    return f"{said}."
