"""One question over HTTPS: certificates, proxies, redirects, and why there is no answer."""

import contextlib
import os
import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import truststore

from megalotron_images.errors import innermost
from megalotron_images.registry.answer import Answer

CLIENT = "megalotron-images"
READS = ("GET", "HEAD")
_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_SECONDS_SILENT = 15.0
_LARGEST = 64 * 1024 * 1024
_MOST_REDIRECTIONS = 6
_REDIRECTS = (301, 302, 303, 307, 308)
_SAME_METHOD = (307, 308)
_NOISE = re.compile(r"<[^>]*object at 0x[0-9a-f]+>:? ?|\[Errno -?\d+\] ")


@dataclass(frozen=True)
class Question:
    """A request, and the moment until which an answer is waited for."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None
    end: float

    def __str__(self) -> str:
        return f"{self.method} {self.url.partition('?')[0]}"

    @property
    def left(self) -> float:
        """The seconds that are left."""
        return max(0.1, self.end - time.monotonic())


class _SystemTrust(requests.adapters.HTTPAdapter):
    """Trusts what the machine trusts, in place of the authorities that a library brings along."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        options["ssl_context"] = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        super().init_poolmanager(*arguments, **options)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        options["ssl_context"] = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        return super().proxy_manager_for(proxy, **options)


def session() -> requests.Session:
    """Return a session that reads certificates from the environment once.

    It never reads a ~/.netrc, whose password requests would use instead of the token.
    """
    found = requests.Session()
    found.headers["User-Agent"] = CLIENT
    found.trust_env = False
    bundle = next((os.environ[name] for name in _BUNDLES if os.environ.get(name)), "")
    if bundle:
        found.verify = bundle
    else:
        found.mount("https://", _SystemTrust())
    return found


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
    with contextlib.suppress(ValueError):  # of a port that is none
        place = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        if place.scheme.startswith(("http", "socks")) and place.hostname and place.port != 0:
            return {"https": place.geturl()}
    raise requests.exceptions.InvalidProxyURL


def once(session: requests.Session, question: Question, secrets: tuple[str, ...]) -> Answer:
    """Send a question, and again where a redirect leads; return the answer.

    Raises requests.RequestException, OSError or ValueError without one.
    """
    for _ in range(_MOST_REDIRECTIONS):
        with session.request(
            question.method,
            question.url,
            headers=question.headers,
            data=question.body,
            proxies=_proxies(question.url),
            timeout=min(_SECONDS_SILENT, question.left),
            stream=True,
            allow_redirects=False,
        ) as reply:
            content = _read(reply, question.end)
        followed = _REDIRECTS if question.method in READS else _SAME_METHOD
        if reply.status_code not in followed:
            used = question.headers.get("Authorization", "").split()[1:]
            told = (*used, *secrets)
            return Answer(str(question), reply.status_code, reply.headers, content, told)
        there = urljoin(question.url, location := reply.headers.get("Location", ""))
        if not location or not there.lower().startswith("https://"):
            raise requests.exceptions.InvalidURL(there)
        headers = dict(question.headers)
        if session.should_strip_auth(question.url, there):  # type: ignore[no-untyped-call]  # theirs
            headers.pop("Authorization", None)
            if question.body:
                raise requests.TooManyRedirects("what you write may not go to another host")
        question = replace(question, url=there, headers=headers)
    raise requests.TooManyRedirects(f"more than {_MOST_REDIRECTIONS} redirections")


def _read(reply: requests.Response, end: float) -> bytes:
    content = bytearray()
    for part in reply.iter_content(65536):
        content += part
        if len(content) > _LARGEST:
            raise requests.RequestException(f"the answer is larger than {_LARGEST} bytes")
        if time.monotonic() > end:
            raise requests.Timeout("the answer took too long")
    return bytes(content)


def unreachable(question: Question, error: Exception) -> str:
    """Return why a question has no answer: the innermost reason, without object addresses."""
    inner = innermost(error)
    said = _NOISE.sub("", str(inner)).strip("() ") or type(inner).__name__
    advice = "Check your network and https://www.githubstatus.com, then run the same command again."
    url = getattr(getattr(error, "request", None), "url", None) or question.url  # after a redirect
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
    return f"{question} has no answer ({said}). {advice}"
