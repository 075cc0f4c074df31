"""The lowest layer: one request over HTTPS, with certificates, proxies and redirects."""

import os
import re
import ssl
from dataclasses import replace
from functools import cache, partial
from typing import Any
from urllib.parse import unquote
from urllib.request import getproxies, proxy_bypass

import truststore
import urllib3
from urllib3.exceptions import HTTPError, LocationValueError, SSLError
from urllib3.util import Url, parse_url

from megalotron_images.concurrency import start_in_thread
from megalotron_images.errors import RegistryFailed, innermost
from megalotron_images.registry.grammar import seconds_to_wait
from megalotron_images.registry.hints import explain, hint_for
from megalotron_images.registry.response import Request, Response, origin

CLIENT = "megalotron-images"
READS = ("GET", "HEAD")
_BUNDLE = "REQUESTS_CA_BUNDLE"
_SECONDS_SILENT = 15.0
_CONNECTIONS = 10
_LARGEST = 64 * 1024 * 1024
_MOST_REDIRECTIONS = 6
_REDIRECTS = (301, 302, 303, 307, 308)
_SAME_METHOD = (307, 308)
_TOO_MANY = 429
_TRANSIENT = (408, 425, _TOO_MANY)
_NOISE = re.compile(r"<[^>]*object at 0x[0-9a-f]+>:? ?|\[Errno -?\d+\] ")


class Transient(Exception):
    """A failure that may pass.

    Attributes:
        failure: the error for a person.
        wait: seconds that the registry asks to wait.
        unsent: whether the registry cannot have carried the request out.
    """

    def __init__(self, failure: RegistryFailed, wait: float = 0.0, unsent: bool = False) -> None:
        super().__init__(str(failure))
        self.failure, self.wait, self.unsent = failure, wait, unsent


class Https:
    """Sends requests, each once, and follows redirects; a ~/.netrc is never read."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        self._secrets, self._pool = secrets, cache(_pool)

    def send(self, request: Request) -> Response:
        """Return the response, which may be a refusal.

        Raises:
            Transient: the next try may end otherwise.
            RegistryFailed: no other try would.
        """
        try:
            # in a thread: no time limit of urllib3 is one for the whole response
            response = start_in_thread(partial(self._follow, request))(request.left)
        except TimeoutError:
            raise no_response(request, TimeoutError("the response took too long")) from None
        if response.status in _TRANSIENT or response.status >= 500:
            asked = seconds_to_wait(response.headers.get("Retry-After", ""), response.message)
            raise Transient(response.failure(), asked, unsent=response.status == _TOO_MANY)
        return response

    def _follow(self, request: Request) -> Response:
        """Send a request, and again where a redirect leads."""
        followed = _REDIRECTS if request.method in READS else _SAME_METHOD
        for _ in range(_MOST_REDIRECTIONS):
            try:
                response = self._send_once(request)
            except (HTTPError, OSError, ValueError) as error:
                raise no_response(request, error) from None
            if response.status not in followed:
                return response
            request = _redirected(response)
        raise request.failed(f"more than {_MOST_REDIRECTIONS} redirections. Try again later.")

    def _send_once(self, request: Request) -> Response:
        with self._pool(_proxy(request.url)).urlopen(
            request.method,
            request.url,  # the very address that was compared
            body=request.body or None,
            headers={"User-Agent": CLIENT, **request.headers},
            timeout=min(_SECONDS_SILENT, request.left),
            redirect=False,
            retries=False,
            preload_content=False,
        ) as reply:
            content = _read(reply, request)
        used = request.headers.get("Authorization", "").split()[1:]
        return Response(request, reply.status, reply.headers, content, (*used, *self._secrets))


def _pool(proxy: Url | None) -> urllib3.PoolManager:
    """Return connections that trust what the machine trusts, or a variable's certificates."""
    trust: dict[str, Any] = {"ssl_context": truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)}
    if bundle := os.environ.get(_BUNDLE):
        trust = {"ca_cert_dir" if os.path.isdir(bundle) else "ca_certs": bundle}
    if proxy is None:
        return urllib3.PoolManager(maxsize=_CONNECTIONS, **trust)
    login = urllib3.make_headers(proxy_basic_auth=unquote(proxy.auth)) if proxy.auth else None
    return urllib3.ProxyManager(proxy.url, proxy_headers=login, maxsize=_CONNECTIONS, **trust)


def _redirected(response: Response) -> Request:
    """Return the request to send where a redirect leads; another host gets no login."""
    request, headers = response.request, dict(response.request.headers)
    there = response.address(response.headers.get("Location", ""))
    if origin(there) != origin(request.url):
        headers.pop("Authorization", None)
        if request.body:
            raise request.failed("redirects a write to another host. Nothing was sent there.")
    return replace(request, url=there, headers=headers)


def _read(reply: urllib3.BaseHTTPResponse, request: Request) -> bytes:
    content = bytearray()
    for part in reply.stream(65536):
        content += part
        if len(content) > _LARGEST:
            raise request.failed(f"the response is larger than {_LARGEST} bytes.")
    return bytes(content)


def _proxy(url: str) -> Url | None:
    """Return the proxy for an address; None if NO_PROXY excepts it.

    Raises:
        LocationParseError: the proxy's address cannot be read.
    """
    proxies, (host, port) = getproxies(), origin(url)
    proxy = proxies.get("https") or proxies.get("all")
    if not proxy or proxy_bypass(f"{host}:{port}"):
        return None
    return parse_url(proxy if "://" in proxy else f"http://{proxy}")


def no_response(request: Request, error: Exception) -> Transient:
    """Return why a request has no response: the innermost reason, without object addresses."""
    inner = innermost(error)
    said = _NOISE.sub("", str(inner)).strip("() ") or type(inner).__name__
    advice = "Check your network and https://www.githubstatus.com, then run the same command again."
    if isinstance(error, LocationValueError):
        said = "the proxy in HTTPS_PROXY or ALL_PROXY cannot be used"
        advice = (
            "Write it as http://host:port (not SOCKS), and %-encode a password's special signs."
        )
    elif isinstance(error, ValueError):  # its own words repeat a header, and a secret in it
        said, advice = "the login contains invalid characters", "Log in again with a new token."
    elif hint_for(said):
        return Transient(RegistryFailed(f"{request} got no response: {explain(said)}"))
    elif isinstance(error, SSLError):
        advice = (
            f"If your network has a certificate authority of its own, set {_BUNDLE} to its file."
        )
    elif proxy := _proxy(request.url):
        said += f", through the proxy {proxy.host}:{proxy.port or 80}"
        advice = "Check HTTPS_PROXY and NO_PROXY, then run the same command again."
    return Transient(RegistryFailed(f"{request} got no response ({said}). {advice}"))
