"""A request and its response: the registry's own words, without secrets, and what they mean."""

import contextlib
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urljoin

from urllib3.util import parse_url

from megalotron_images.errors import NotThere, RegistryFailed, RegistryRefused
from megalotron_images.json_text import parsed
from megalotron_images.registry.grammar import NEXT
from megalotron_images.registry.hints import explain

_NOT_THERE = ("manifest unknown", "name unknown")
"""Beginnings of a registry's message for an unknown tag or repository."""
_SHORTEST_SECRET = 6
_MARKUP = re.compile(r"<(script|style).*?(?:</\1>|\Z)|<[^>]*(?:>|\Z)", re.IGNORECASE | re.DOTALL)
_MOST_OF_A_MESSAGE, _MOST_WORDS = 400, 80
Headers = Mapping[str, str]
NO_HEADERS: Headers = {}
VISIBLE = re.compile(r"[!-\[\]-~]+")
"""Characters of an address that all parsers read alike: neither white space nor a backslash."""
_HTTPS = re.compile(r"https://([a-z0-9._-]+|\[[0-9a-f:]+\])(:[0-9]+)?([/?#].*)?", re.IGNORECASE)


def prepare(given: str, base: str) -> str:
    """Return an https address, relative to another, as it is compared and then sent.

    It is parsed once, by the library that connects.

    Raises:
        ValueError: it has another scheme, a user name, or characters that parsers read differently.
    """
    if not VISIBLE.fullmatch(given) or not _HTTPS.fullmatch(address := urljoin(base, given)):
        raise ValueError("the address is not plain https")
    return parse_url(address).url


def origin(prepared: str) -> tuple[str, int]:
    """Return host and port of a prepared address."""
    place = parse_url(prepared)
    return str(place.host), place.port or 443


def redact(secrets: Iterable[str], text: str) -> str:
    """Return a registry's words without what logs in, which it may repeat."""
    for secret in sorted(secrets, key=len, reverse=True):  # one may be a part of another
        if len(secret) >= _SHORTEST_SECRET:
            text = re.sub(re.escape(secret), "*****", text, flags=re.IGNORECASE)
    return text


@dataclass(frozen=True)
class Request:
    """A request to a registry.

    Attributes:
        url: a prepared address.
        scope: what its token must allow, such as `repository:megalotron/backend:pull`.
        end: until when a response is waited for (monotonic clock).
    """

    method: str
    url: str
    scope: str
    end: float
    headers: Headers = field(default_factory=dict)
    body: bytes = b""

    def __str__(self) -> str:
        return f"{self.method} {self.url.partition('?')[0]}"

    def failed(self, why: str) -> RegistryFailed:
        """Return the error for a response that is of no use."""
        return RegistryFailed(f"{self}: {why}")

    @property
    def left(self) -> float:
        """The seconds that are left."""
        return max(0.1, self.end - time.monotonic())


@dataclass(frozen=True)
class Response:
    """A registry's response, and the secrets that its words must not show."""

    request: Request
    status: int
    headers: Headers
    body: bytes
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def message(self) -> str:
        """The registry's message, as docker prints it (`denied: …`), or else its status.

        A page of HTML, such as a proxy's, is quoted in its first words.
        """
        with contextlib.suppress(ValueError, LookupError, TypeError, AttributeError):
            first = parsed(self.body)["errors"][0]
            code = str(first["code"]).lower().replace("_", " ")
            text = redact(self.secrets, f"{code}: {first.get('message') or first['code']}")
            return " ".join(text.split())[:_MOST_OF_A_MESSAGE]
        text = redact(self.secrets, _MARKUP.sub(" ", self.body.decode(errors="replace")))
        quoted = " ".join(text.split())[:_MOST_WORDS]
        return f"status {self.status}" + (f" ({quoted})" if quoted.isprintable() and quoted else "")

    @property
    def is_absence(self) -> bool:
        """Whether the registry itself says that there is no such tag or repository.

        Distribution uses the same code for "OCI manifest found, but accept header does not …".
        """
        there = re.search(r"\bfound, but\b|\baccept\b", self.message)
        return self.status == 404 and self.message.startswith(_NOT_THERE) and not there

    def failure(self, logged_in: bool = False) -> RegistryFailed:
        """Return the error for a refusal.

        After a login, a 401 without a reason means that the login lacks the right.
        """
        why = explain(self.message, refused_login=logged_in and self.status == 401)
        refused = 400 <= self.status < 500 and not self.message.startswith("status")
        kind = RegistryRefused if refused else RegistryFailed
        return (NotThere if self.is_absence else kind)(f"{self.request}: {why}", self.message)

    def address(self, given: str) -> str:
        """Return the address that a header gives (Location, realm, Link), prepared.

        Raises:
            RegistryFailed: it is not plain https.
        """
        try:
            return prepare(given, self.request.url)
        except ValueError:
            shown = redact(self.secrets, given.partition("?")[0])[:_MOST_WORDS]
            safe = "Only https addresses are safe, so nothing was sent there."
            ask = "Report it to whoever runs the registry, or your proxy."
            raise self.request.failed(f"redirects to {shown!a}. {safe} {ask}") from None

    @property
    def next_page(self) -> str | None:
        """Path and query of a list's next page; the registry itself is asked, on any host.

        Raises:
            RegistryFailed: the header `Link` is written in another way, so the rest is unknown.
        """
        if not (header := self.headers.get("Link", "").strip()):
            return None
        if found := NEXT.fullmatch(header):
            return parse_url(self.address(found[1])).request_uri
        raise self.request.failed("the link to the rest of the list is not understood.")
