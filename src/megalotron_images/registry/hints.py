"""What a registry's refusal most likely means, and what to do next; its words are kept."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

_REFUSED_LOGIN = "unauthorized: authentication required"


@dataclass(frozen=True)
class Refusal:
    """A kind of refusal.

    Attributes:
        said: as registries write it.
        cause: the likely one.
        step: what to do next.
        words: a pattern that recognizes it; if empty, `said` itself does.
    """

    said: str
    cause: str
    step: str
    words: str = ""


_DATA = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
REFUSALS = tuple(Refusal(said, **data) for said, data in _DATA.items())
"""Tried in this order, the specific before the general."""


def hint_for(message: str) -> Refusal | None:
    """Return the kind of a refusal; None for an unknown one, about which nothing is advised."""
    fits = (one for one in REFUSALS if re.search(one.words or one.said, message, re.IGNORECASE))
    return next(fits, None)


def explain(message: str, refused_login: bool = False) -> str:
    """Return a registry's message with its likely cause and the next step, if known.

    Args:
        refused_login: the registry refuses a login, and gives no other reason than that.
    """
    message = " ".join(message.split()).removeprefix("errors: ").rstrip(".")
    hint = hint_for(message)
    if hint and refused_login and hint.said == _REFUSED_LOGIN:
        write = next(one for one in REFUSALS if one.said.startswith("requested access"))
        return f"{message}: your login does not allow it. {write.step}."
    return f"{message}: {hint.cause}. {hint.step}." if hint else f"{message}."
