"""Requests to a registry over HTTPS: tokens by scope, safe retries, one time limit.

No secret gets into a message. Sources: OCI distribution specification 1.1; Distribution's token
authentication specification; GHCR's own messages.
"""

import base64
import contextlib
import json
import math
import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode, urljoin
from urllib.request import parse_http_list, parse_keqv_list

import requests

from megalotron_images.errors import CannotTell, RegistryFailed, RegistryRefused
from megalotron_images.registry.credentials import VARIABLES, Credentials
from megalotron_images.registry.hints import LOG_IN, explain

SECONDS = 60.0
"""Time limit of one question, with its tokens, retries and waits; MEGALOTRON_IMAGES_SECONDS."""
_SECONDS_SILENT = 15.0
_LARGEST = 64 * 1024 * 1024
_READS = ("GET", "HEAD")
_AGAIN = (500, 502, 503, 504)
_TOO_MANY = 429
_TRIES = 6
_FIRST_WAIT = 0.1
_REDIRECTS = (301, 302, 303, 307, 308)
_SHORTEST_LIFE = 60
_NOISE = re.compile(r"<[^>]*object at 0x[0-9a-f]+>:? ?|\[Errno -?\d+\] ")
_TOKEN = re.compile(r"[\x21-\x7e]+")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|μs|ms|s|m|h)")
_UNITS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}


@dataclass(frozen=True)
class Answer:
    """A registry's answer, and its question without the query."""

    question: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def said(self) -> str:
        """The registry's message, as docker prints it (`denied: …`), or its status without one."""
        with contextlib.suppress(ValueError, LookupError, TypeError, AttributeError):
            first = json.loads(self.body)["errors"][0]
            return (
                f"{str(first['code']).lower().replace('_', ' ')}:"
                f" {first.get('message') or first['code']}"
            )
        return f"status {self.status}"

    def failure(self, logged_in: bool = False) -> RegistryFailed:
        """Return the error for a refusal.

        After a login, a 401 means that the login lacks the right.
        """
        lacking = logged_in and self.status == requests.codes.unauthorized
        why = (
            f"{self.said}: your login does not allow it. {LOG_IN}."
            if lacking
            else explain(self.said)
        )
        refused = 400 <= self.status < 500 and not self.said.startswith("status")
        return (RegistryRefused if refused else RegistryFailed)(
            f"{self.question}: {why}", self.said
        )


def seconds() -> float:
    """Return the time limit of one question; raise CannotTell if the variable is no number."""
    said = os.environ.get("MEGALOTRON_IMAGES_SECONDS", str(SECONDS))
    with contextlib.suppress(ValueError):
        if 0 < (limit := float(said)) < math.inf:
            return limit
    raise CannotTell(f"MEGALOTRON_IMAGES_SECONDS is {said!r}: give it a number of seconds.")


class Transport:
    """Requests to one registry with one login; each scope's token is kept until it expires."""

    def __init__(
        self, host: str, credentials: Credentials | None, seconds: float = SECONDS
    ) -> None:
        self._host = host
        self._credentials = credentials
        self._seconds = seconds
        self._session = _session(host)
        self._session.headers["User-Agent"] = "megalotron-images"
        self._challenge: tuple[str, dict[str, str]] | None = None
        self._tokens: dict[str, tuple[str, float]] = {}

    def ask(
        self,
        method: str,
        path: str,
        scope: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one question; return the answer, which may be a refusal.

        scope: what the token must allow, such as `repository:megalotron/backend:pull`. A write is
        sent once: a second one could replace what somebody else has put there since. Raises
        RegistryFailed without a reliable answer.
        """
        end = time.monotonic() + self._seconds
        url = urljoin(f"https://{self._host}/", path)
        answer = self._authorized(method, url, scope, dict(headers or {}), body, end)
        if answer.status == requests.codes.unauthorized:
            self._tokens.pop(scope, None)
            self._challenge = _challenge(answer)
            answer = self._authorized(method, url, scope, dict(headers or {}), body, end)
        if answer.status == requests.codes.unauthorized:
            raise self._refused(answer, logged_in=self._credentials is not None)
        return answer

    def _refused(self, answer: Answer, logged_in: bool = False) -> RegistryFailed:
        """Return the error for a refused login, with the place where it was found."""
        failure = answer.failure(logged_in)
        if self._credentials is None or self._credentials.source != VARIABLES:
            return failure
        return type(failure)(
            f"{failure} The login is that of {VARIABLES}: set or unset these.", failure.said
        )

    def _authorized(
        self,
        method: str,
        url: str,
        scope: str,
        headers: dict[str, str],
        body: bytes | None,
        end: float,
    ) -> Answer:
        if self._challenge and (authorization := self._authorization(scope, end)):
            headers["Authorization"] = authorization
        return self._patiently(method, url, headers, body, end)

    def _authorization(self, scope: str, end: float) -> str:
        scheme, parameters = self._challenge or ("", {})
        if scheme == "basic":
            return _basic(self._credentials)
        token, expires = self._tokens.get(scope, ("", 0.0))
        if time.monotonic() >= expires:
            token, life = self._fetch_token(parameters, scope, end)
            self._tokens[scope] = token, time.monotonic() + life
        return f"Bearer {token}"

    def _fetch_token(self, parameters: dict[str, str], scope: str, end: float) -> tuple[str, float]:
        """Return a token and its lifetime in seconds.

        The scope is built here: GHCR's challenge has none.
        """
        realm = parameters.get("realm", "")
        if not realm.startswith("https://"):
            raise RegistryFailed(
                f"{self._host} sends you to {realm!r} for a token: only an https address is safe."
            )
        url = f"{realm}?{urlencode({'service': parameters.get('service', ''), 'scope': scope})}"
        headers = {"Authorization": _basic(self._credentials)} if self._credentials else {}
        answer = self._patiently("GET", url, headers, None, end)
        if answer.status != requests.codes.ok:
            raise self._refused(answer)
        with contextlib.suppress(ValueError, TypeError, AttributeError):
            said = json.loads(answer.body)
            token = str(said.get("token") or said.get("access_token") or "")
            if _TOKEN.fullmatch(token):
                return token, max(float(said.get("expires_in") or 0), _SHORTEST_LIFE) - 10
        raise RegistryFailed(f"{answer.question}: the answer holds no token. Run it again later.")

    def _patiently(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, end: float
    ) -> Answer:
        """Send a request, again where that is safe: failed reads, and unaccepted writes."""
        wait, asked = _FIRST_WAIT, 0.0
        for left in reversed(range(_TRIES)):
            safe = method in _READS
            try:
                answer = _within(end, lambda: self._once(method, url, headers, body, end))
            except (requests.RequestException, OSError, ValueError) as error:
                failure = RegistryFailed(_unreachable(method, url, error))
            else:
                if answer.status == _TOO_MANY:
                    safe, asked = True, _asked_to_wait(answer)
                    wait = max(wait, asked)
                elif answer.status not in _AGAIN:
                    return answer
                failure = answer.failure()
            if not safe or not left or time.monotonic() + wait > end:
                asks = f" It asks you to wait {asked:.0f} s." if asked > self._seconds else ""
                raise RegistryFailed(f"{failure}{asks}", failure.said)
            time.sleep(wait)
            wait *= 2
        raise AssertionError("the last try returns or raises")

    def _once(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, end: float
    ) -> Answer:
        for _ in range(_TRIES):
            left = max(0.1, min(_SECONDS_SILENT, end - time.monotonic()))
            reply = self._session.request(
                method,
                url,
                headers=headers,
                data=body,
                timeout=left,
                stream=True,
                allow_redirects=False,
            )
            with reply:
                content = _read(reply, end)
            if reply.status_code not in _REDIRECTS or method not in _READS:
                return Answer(_question(method, url), reply.status_code, reply.headers, content)
            url, headers = urljoin(url, reply.headers.get("Location", "")), {}
        raise requests.TooManyRedirects(f"more than {_TRIES} redirections")


def _within(end: float, ask: Callable[[], Answer]) -> Answer:
    """Call `ask`, but no longer than until `end` (time.monotonic), however slowly bytes come.

    Raises Timeout.
    """
    found: list[Answer | BaseException] = []

    def run() -> None:
        try:
            found.append(ask())
        except BaseException as error:  # it is raised again where it was waited for
            found.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(max(0.1, end - time.monotonic()))
    if not found:
        raise requests.Timeout("the answer took too long")
    if isinstance(found[0], BaseException):
        raise found[0]
    return found[0]


def _session(host: str) -> requests.Session:
    """Return a session that reads certificates and proxies from the environment once.

    It never reads a ~/.netrc, whose password requests would use instead of the token.
    """
    session = requests.Session()
    session.trust_env = False
    session.verify = (
        os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
    )
    session.proxies = dict(requests.utils.get_environ_proxies(f"https://{host}"))
    return session


def _read(reply: requests.Response, end: float) -> bytes:
    content = bytearray()
    for part in reply.iter_content(65536):
        content += part
        if len(content) > _LARGEST:
            raise requests.RequestException(f"the answer is larger than {_LARGEST} bytes")
        if time.monotonic() > end:
            raise requests.Timeout("the answer took too long")
    return bytes(content)


def _basic(credentials: Credentials | None) -> str:
    if credentials is None:
        return ""
    both = f"{credentials.username}:{credentials.password}".encode()
    return f"Basic {base64.b64encode(both).decode()}"


def _challenge(answer: Answer) -> tuple[str, dict[str, str]]:
    scheme, _, rest = answer.headers.get("WWW-Authenticate", "").partition(" ")
    if scheme.lower() not in ("bearer", "basic"):
        raise answer.failure()
    try:
        return scheme.lower(), parse_keqv_list(parse_http_list(rest))
    except (ValueError, IndexError):
        raise RegistryFailed(
            f"{answer.question}: asks for a login in a way that is not understood."
        ) from None


def _asked_to_wait(answer: Answer) -> float:
    """Return the seconds to wait that a registry asks for: in its header, or in GHCR's message."""
    header = answer.headers.get("Retry-After", "")
    if header.isascii() and header.isdigit():
        return float(header)
    _, found, rest = answer.said.lower().partition("retry-after:")
    span = rest.strip().partition(",")[0] if found else ""
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(span))


def _question(method: str, url: str) -> str:
    return f"{method} {url.partition('?')[0]}"


def _unreachable(method: str, url: str, error: Exception) -> str:
    """Return why a question has no answer: the innermost reason, without object addresses."""
    inner: BaseException = error
    while (deeper := inner.__cause__ or inner.__context__) is not None:
        inner = deeper
    if isinstance(error, requests.exceptions.InvalidHeader | requests.exceptions.InvalidURL):
        # its own words repeat it, a secret in it too
        inner = ValueError("a header or an address cannot be used")
    said = _NOISE.sub("", str(inner)).strip("() ") or type(inner).__name__
    advice = "Check your network and https://www.githubstatus.com, then run the same command again."
    return f"{_question(method, url)} has no answer ({said}). {advice}"
