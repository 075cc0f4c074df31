"""Requests to a registry over HTTPS: tokens by scope, safe retries, one time limit.

No secret gets into a message. Sources: OCI distribution specification 1.1; Distribution's token
authentication specification; GHCR's own messages.
"""

import contextlib
import os
import re
import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import requests
import truststore

from megalotron_images.errors import NotThere, RegistryFailed, RegistryRefused, innermost
from megalotron_images.registry.credentials import VARIABLES, Credentials
from megalotron_images.registry.grammar import challenges, parsed, seconds_to_wait
from megalotron_images.waiting import SECONDS, announced, beside

_NOT_THERE = ("manifest unknown", "name unknown")
"""Beginnings of a registry's message for an unknown tag or repository."""
_CLIENT = "megalotron-images"
_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_SECONDS_SILENT = 15.0
_LARGEST = 64 * 1024 * 1024
_READS = ("GET", "HEAD")
_AGAIN = (500, 502, 503, 504)
_TOO_MANY = 429
_TRIES = 6
_FIRST_WAIT = 0.1
_REDIRECTS = (301, 302, 303, 307, 308)
_SAME_METHOD = (307, 308)
_SHORTEST_LIFE = 60
_SHORTEST_SECRET = 6
_MARKUP = re.compile(r"<(script|style).*?(?:</\1>|\Z)|<[^>]*(?:>|\Z)", re.IGNORECASE | re.DOTALL)
_MOST_OF_A_MESSAGE, _MOST_WORDS = 400, 80
_NOISE = re.compile(r"<[^>]*object at 0x[0-9a-f]+>:? ?|\[Errno -?\d+\] ")
_TOKEN = re.compile(r"[\x21-\x7e]+")


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
        if logged_in and self.status == requests.codes.unauthorized:
            why = f"{self.said}: your login does not allow it. {LOG_IN}."
        refused = 400 <= self.status < 500 and not self.said.startswith("status")
        kind = RegistryRefused if refused else RegistryFailed
        return (NotThere if self.is_absence else kind)(f"{self.question}: {why}", self.said)


class Transport:
    """Requests to one registry with one login; each scope's token is kept until it expires."""

    def __init__(
        self, host: str, credentials: Credentials | None, seconds: float = SECONDS
    ) -> None:
        self._host = host
        self._credentials = credentials
        self._secrets = credentials.secrets if credentials else ()
        self._seconds = seconds
        self._session = _session()
        self._session.headers["User-Agent"] = _CLIENT
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
            self._challenge = self._best_challenge(answer)
            answer = self._authorized(method, url, scope, dict(headers or {}), body, end)
        if answer.status == requests.codes.unauthorized:
            raise self._refused(answer, logged_in=self._credentials is not None)
        return answer

    def _best_challenge(self, answer: Answer) -> tuple[str, dict[str, str]]:
        """Return the one to answer of those that a registry offers: a token before a password."""
        offered = challenges(answer.headers.get("WWW-Authenticate", ""))
        known = ("bearer", "basic") if self._credentials else ("bearer",)
        for scheme in known:
            if scheme in offered:
                return scheme, offered[scheme]
        raise answer.failure()

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
        with announced(self._host):  # with its pauses and its token
            if self._challenge and (authorization := self._authorization(scope, end)):
                headers["Authorization"] = authorization
            return self._patiently(method, url, headers, body, end)

    def _authorization(self, scope: str, end: float) -> str:
        login, (scheme, parameters) = self._credentials, self._challenge or ("", {})
        if scheme == "basic":
            return f"Basic {login.encoded}" if login else ""
        if login and login.kind == "registrytoken":
            return f"Bearer {login.password}"
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
        if not realm.lower().startswith("https://"):
            raise RegistryFailed(
                f"{self._host} sends you to {realm[:_MOST_WORDS]!r} for a token: only an https"
                " address is safe."
            )
        service = parameters.get("service")
        asked = {"scope": scope} | ({"service": service} if service else {})
        login = self._credentials
        if login and login.kind == "identitytoken":
            answer = self._exchange(realm, asked, login.password, end)
        else:
            headers = {"Authorization": f"Basic {login.encoded}"} if login else {}
            url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(asked)}"
            answer = self._patiently("GET", url, headers, None, end)
        if answer.status != requests.codes.ok:
            raise self._refused(answer)
        with contextlib.suppress(ValueError, TypeError, AttributeError):
            said = parsed(answer.body)
            token = str(said.get("token") or said.get("access_token") or "")
            if _TOKEN.fullmatch(token):
                return token, max(float(said.get("expires_in") or 0), _SHORTEST_LIFE) - 10
        raise RegistryFailed(f"{answer.question}: the answer holds no token. Run it again later.")

    def _exchange(self, realm: str, asked: Mapping[str, str], token: str, end: float) -> Answer:
        """Return the answer to an identity token (Distribution, "OAuth2 token authentication")."""
        form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": _CLIENT}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        body = urlencode({**form, **asked}).encode()
        answer = self._patiently("POST", realm, headers, body, end)
        if answer.status in (404, 405):
            raise RegistryFailed(
                f"{self._host} takes no identity token, and your login is one. Log in with a token"
                f" of your own: docker login {self._host}"
            )
        return answer

    def _patiently(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, end: float
    ) -> Answer:
        """Send a request, again where that is safe: failed reads, and unaccepted writes."""
        wait, asked = _FIRST_WAIT, 0.0
        for left in reversed(range(_TRIES)):
            safe = method in _READS
            try:
                answer = beside(partial(self._once, method, url, headers, body, end))(
                    max(0.1, end - time.monotonic())
                )
            except (requests.RequestException, OSError, ValueError) as error:
                failure = RegistryFailed(_unreachable(method, url, error))
            else:
                if answer.status not in (_TOO_MANY, *_AGAIN):
                    return answer
                safe = safe or answer.status == _TOO_MANY
                asked = seconds_to_wait(answer.headers.get("Retry-After", ""), answer.said)
                wait, failure = max(wait, asked), answer.failure()
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
            with self._session.request(
                method,
                url,
                headers=headers,
                data=body,
                proxies=_proxies(url),
                timeout=left,
                stream=True,
                allow_redirects=False,
            ) as reply:
                content = _read(reply, end)
            if reply.status_code not in (_REDIRECTS if method in _READS else _SAME_METHOD):
                secrets = (*headers.get("Authorization", "").split()[1:], *self._secrets)
                question = _question(method, url)
                return Answer(question, reply.status_code, reply.headers, content, secrets)
            there = urljoin(url, location := reply.headers.get("Location", ""))
            if not location or not there.lower().startswith("https://"):
                raise requests.exceptions.InvalidURL(there)
            if self._session.should_strip_auth(url, there):  # type: ignore[no-untyped-call]  # theirs
                headers = {name: headers[name] for name in headers if name != "Authorization"}
                if body:
                    raise requests.TooManyRedirects("what you write may not go to another host")
            url = there
        raise requests.TooManyRedirects(f"more than {_TRIES} redirections")


class _SystemTrust(requests.adapters.HTTPAdapter):
    """Trusts what the machine trusts, in place of the authorities that a library brings along."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        options["ssl_context"] = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        super().init_poolmanager(*arguments, **options)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        options["ssl_context"] = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        return super().proxy_manager_for(proxy, **options)


def _session() -> requests.Session:
    """Return a session that reads certificates from the environment once.

    It never reads a ~/.netrc, whose password requests would use instead of the token.
    """
    session = requests.Session()
    session.trust_env = False
    bundle = next((os.environ[name] for name in _BUNDLES if os.environ.get(name)), "")
    if bundle:
        session.verify = bundle
    else:
        session.mount("https://", _SystemTrust())
    return session


def _proxies(url: str) -> dict[str, str]:
    """Return the proxy for an address, with its scheme, as `https`; none if NO_PROXY excepts it.

    NO_PROXY is read as Go's programs read it: with ports, `*` and `*.example` in its list.
    """
    place = urlsplit(url)
    no = (os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or "").replace("*.", "")
    if "*" in no.replace(",", " ").split():
        return {}
    address = f"https://{place.hostname}:{place.port or 443}"
    found = requests.utils.get_environ_proxies(address, no_proxy=no or None)
    proxy = found.get("https") or found.get("all")
    if not proxy:
        return {}
    with contextlib.suppress(ValueError):
        place = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        if place.scheme.startswith(("http", "socks")) and place.hostname and place.port != 0:
            return {"https": place.geturl()}
    raise requests.exceptions.InvalidProxyURL


def _read(reply: requests.Response, end: float) -> bytes:
    content = bytearray()
    for part in reply.iter_content(65536):
        content += part
        if len(content) > _LARGEST:
            raise requests.RequestException(f"the answer is larger than {_LARGEST} bytes")
        if time.monotonic() > end:
            raise requests.Timeout("the answer took too long")
    return bytes(content)


def _question(method: str, url: str) -> str:
    return f"{method} {url.partition('?')[0]}"


def _unreachable(method: str, url: str, error: Exception) -> str:
    """Return why a question has no answer: the innermost reason, without object addresses."""
    inner = innermost(error)
    said = _NOISE.sub("", str(inner)).strip("() ") or type(inner).__name__
    advice = "Check your network and https://www.githubstatus.com, then run the same command again."
    url = getattr(getattr(error, "request", None), "url", None) or url  # after a redirect
    if isinstance(error, requests.exceptions.InvalidProxyURL):
        said = "the address of the proxy, in HTTPS_PROXY or ALL_PROXY, cannot be used"
        advice = "Write it as http://host:port; in a password, %-encode all but letters and digits."
    elif isinstance(error, requests.exceptions.InvalidSchema):
        said, advice = "SOCKS proxies are not supported", "Use an HTTP proxy, or unset ALL_PROXY."
    elif isinstance(error, ValueError):  # an address, a header
        # its own words repeat it, a secret in it too
        said, advice = "a header or an address cannot be used", "Only https addresses are safe."
    elif isinstance(error, requests.exceptions.SSLError) or "CA certificate" in said:
        name = next((name for name in _BUNDLES if os.environ.get(name)), _BUNDLES[0])
        names = f"{name} to your company's certificates"
        advice = f"If your network has an authority of its own, install it, or set {names}."
    elif (proxy := urlsplit(_proxies(url).get("https", ""))).hostname:
        said += f", through the proxy {proxy.hostname}:{proxy.port or 80}"
        advice = "Check HTTPS_PROXY and NO_PROXY, then run the same command again."
    return f"{_question(method, url)} has no answer ({said}). {advice}"
