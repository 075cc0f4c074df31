"""A registry's answer: its own words, what they mean, and no secret in them."""

import contextlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from megalotron_images.errors import NotThere, RegistryFailed, RegistryRefused
from megalotron_images.registry.grammar import parsed

_NOT_THERE = ("manifest unknown", "name unknown")
"""Beginnings of a registry's message for an unknown tag or repository."""
_SHORTEST_SECRET = 6
_MARKUP = re.compile(r"<(script|style).*?(?:</\1>|\Z)|<[^>]*(?:>|\Z)", re.IGNORECASE | re.DOTALL)
_MOST_OF_A_MESSAGE, _MOST_WORDS = 400, 80


def without(secrets: Iterable[str], text: str) -> str:
    """Return a registry's words without what logs in, which it may repeat."""
    for secret in sorted(secrets, key=len, reverse=True):  # one may be a part of another
        if len(secret) >= _SHORTEST_SECRET:
            text = re.sub(re.escape(secret), "*****", text, flags=re.IGNORECASE)
    return text


@dataclass(frozen=True)
class Answer:
    """A registry's answer, its question without the query, and what its words must not show."""

    question: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def said(self) -> str:
        """The registry's message, as docker prints it (`denied: …`), or else its status.

        A page of HTML, such as a proxy's, is quoted in its first words.
        """
        with contextlib.suppress(ValueError, LookupError, TypeError, AttributeError):
            first = parsed(self.body)["errors"][0]
            code = str(first["code"]).lower().replace("_", " ")
            said = without(self.secrets, f"{code}: {first.get('message') or first['code']}")
            printable = "".join(one if one.isprintable() else " " for one in said)
            return " ".join(printable.split())[:_MOST_OF_A_MESSAGE]
        text = without(self.secrets, _MARKUP.sub(" ", self.body.decode(errors="replace")))
        quoted = " ".join(text.split())[:_MOST_WORDS]
        return f"status {self.status}" + (f" ({quoted})" if quoted.isprintable() and quoted else "")

    @property
    def is_absence(self) -> bool:
        """Whether the registry itself says that there is no such tag or repository.

        Distribution uses the same code for "OCI manifest found, but accept header does not …".
        """
        there = re.search(r"\bfound, but\b|\baccept\b", self.said)
        return self.status == 404 and self.said.startswith(_NOT_THERE) and not there

    def failure(self, logged_in: bool = False) -> RegistryFailed:
        """Return the error for a refusal.

        After a login, a 401 means that the login lacks the right.
        """
        from megalotron_images.registry.hints import LOG_IN, explain

        why = explain(self.said)
        if logged_in and self.status == 401:
            why = f"{self.said}: your login does not allow it. {LOG_IN}."
        refused = 400 <= self.status < 500 and not self.said.startswith("status")
        kind = RegistryRefused if refused else RegistryFailed
        return (NotThere if self.is_absence else kind)(f"{self.question}: {why}", self.said)
