"""The lowest layer: one request over HTTPS, with certificates, proxies and redirects."""

import contextlib
import os
import re
import ssl
import time
from dataclasses import replace
from functools import partial
from typing import Any

import requests
import truststore
from requests.structures import CaseInsensitiveDict
from urllib3.util import Url, parse_url

from megalotron_images.concurrency import start_in_thread
from megalotron_images.errors import RegistryFailed, innermost
from megalotron_images.registry.grammar import seconds_to_wait
from megalotron_images.registry.hints import explain, hint_for
from megalotron_images.registry.response import VISIBLE, Request, Response, origin

CLIENT = "megalotron-images"
READS = ("GET", "HEAD")
_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_SECONDS_SILENT = 15.0
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


class _SystemTrust(requests.adapters.HTTPAdapter):
    """Trusts what the machine trusts, in place of the authorities that a library brings along."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        options["ssl_context"] = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        super().init_poolmanager(*arguments, **options)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        options["ssl_context"] = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        return super().proxy_manager_for(proxy, **options)


class Https:
    """Sends requests, each once, and follows redirects.

    It never reads a ~/.netrc, whose password requests would use instead of the token.
    """

    def __init__(self, secrets: tuple[str, ...]) -> None:
        self._secrets = secrets
        self._session = requests.Session()
        self._session.headers["User-Agent"] = CLIENT
        self._session.trust_env = False
        self._bundle = next((os.environ[name] for name in _BUNDLES if os.environ.get(name)), "")
        if not self._bundle:
            self._session.mount("https://", _SystemTrust())

    def send(self, request: Request) -> Response:
        """Return the response, which may be a refusal.

        Raises:
            Transient: the next try may end otherwise.
            RegistryFailed: no other try would.
        """
        try:
            # in a thread: no time limit of requests is one for the whole answer
            wait = start_in_thread(partial(self._follow, request))
            response: Response = wait(request.left)
        except (requests.RequestException, OSError, ValueError) as error:
            raise Transient(RegistryFailed(describe_failure(request, error))) from None
        if response.status in _TRANSIENT or response.status >= 500:
            asked = seconds_to_wait(response.headers.get("Retry-After", ""), response.message)
            raise Transient(response.failure(), asked, unsent=response.status == _TOO_MANY)
        return response

    def _follow(self, request: Request) -> Response:
        """Send a request, and again where a redirect leads."""
        followed = _REDIRECTS if request.method in READS else _SAME_METHOD
        for _ in range(_MOST_REDIRECTIONS):
            response = self._send_once(request)
            if response.status not in followed:
                return response
            request = _redirected(response)
        raise RegistryFailed(f"{request}: more than {_MOST_REDIRECTIONS} redirections. Try later.")

    def _send_once(self, request: Request) -> Response:
        asked = requests.Request(
            request.method, request.url, headers=dict(request.headers), data=request.body
        )
        prepared = self._session.prepare_request(asked)
        prepared.url = request.url  # the very address that was compared
        # not the session's send(): that reads a redirect's address in its own way
        with self._session.get_adapter(request.url).send(
            prepared,
            stream=True,
            timeout=min(_SECONDS_SILENT, request.left),
            verify=self._bundle or True,
            proxies=_proxies(request.url),
        ) as reply:
            content = _read(reply, request)
        lines = reply.raw.headers  # a header that comes twice with the same value is one
        headers = {name: ", ".join(dict.fromkeys(lines.getlist(name))) for name in lines}
        used = request.headers.get("Authorization", "").split()[1:]
        secrets = (*used, *self._secrets)
        return Response(request, reply.status_code, CaseInsensitiveDict(headers), content, secrets)


def _redirected(response: Response) -> Request:
    """Return the request to send where a redirect leads; another host gets no login."""
    request, headers = response.request, dict(response.request.headers)
    there = response.address(response.headers.get("Location", ""))
    if origin(there) != origin(request.url):
        headers.pop("Authorization", None)
        if request.body:
            raise RegistryFailed(
                f"{request}: sends you to another host: what you write may not go to another host."
                " Nothing was sent there."
            )
    return replace(request, url=there, headers=headers)


def _read(reply: requests.Response, request: Request) -> bytes:
    content = bytearray()
    for part in reply.iter_content(65536):
        content += part
        if len(content) > _LARGEST:
            raise RegistryFailed(f"{request}: the answer is larger than {_LARGEST} bytes.")
        if time.monotonic() > request.end:
            raise requests.Timeout("the answer took too long")
    return bytes(content)


def _proxy(url: str) -> Url | None:
    """Return the proxy for an address; None if NO_PROXY excepts it.

    NO_PROXY is read as Go's programs read it: with ports, `*` and `*.example` in its list.
    """
    host, port = origin(url)
    no = (os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or "").replace("*.", "")
    if "*" in no.replace(",", " ").split():
        return None
    found = requests.utils.get_environ_proxies(f"https://{host}:{port}", no_proxy=no or None)
    proxy = found.get("https") or found.get("all")
    if not proxy:
        return None
    with contextlib.suppress(ValueError):  # of a port that is none
        place = parse_url(proxy if "://" in proxy else f"http://{proxy}")
        known = (place.scheme or "").startswith(("http", "socks"))
        if VISIBLE.fullmatch(proxy) and known and place.host and place.port != 0:
            return place
    raise requests.exceptions.InvalidProxyURL


def _proxies(url: str) -> dict[str, str]:
    place = _proxy(url)
    return {"https": place.url} if place else {}


def describe_failure(request: Request, error: Exception) -> str:
    """Return why a request has no answer: the innermost reason, without object addresses."""
    inner = innermost(error)
    said = _NOISE.sub("", str(inner)).strip("() ") or type(inner).__name__
    advice = "Check your network and https://www.githubstatus.com, then run the same command again."
    url = getattr(getattr(error, "request", None), "url", None) or request.url  # after a redirect
    if isinstance(error, requests.exceptions.InvalidProxyURL):
        said = "the address of the proxy, in HTTPS_PROXY or ALL_PROXY, cannot be used"
        advice = "Write it as http://host:port; in a password, %-encode all but letters and digits."
    elif isinstance(error, requests.exceptions.InvalidSchema):
        said, advice = "SOCKS proxies are not supported", "Use an HTTP proxy, or unset ALL_PROXY."
    elif isinstance(error, ValueError):  # its own words repeat a header, and a secret in it
        said, advice = "the login holds what no header may", "Log in again with a new token."
    elif hint_for(said):
        return f"{request} has no answer: {explain(said)}"
    elif isinstance(error, requests.exceptions.SSLError) or "CA certificate" in said:
        name = next((name for name in _BUNDLES if os.environ.get(name)), _BUNDLES[0])
        names = f"{name} to your company's certificates"
        advice = f"If your network has an authority of its own, install it, or set {names}."
    elif proxy := _proxy(url):
        said += f", through the proxy {proxy.host}:{proxy.port or 80}"
        advice = "Check HTTPS_PROXY and NO_PROXY, then run the same command again."
    return f"{request} has no answer ({said}). {advice}"
