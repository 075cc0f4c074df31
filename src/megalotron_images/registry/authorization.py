"""The middle layer: the registry's challenge, and a token for each scope, kept while it lasts.

Source: Distribution's token authentication specification.
"""

import contextlib
import re
import time
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlencode

from megalotron_images.errors import RegistryFailed
from megalotron_images.json_text import parsed
from megalotron_images.registry.credentials import VARIABLES, Credentials
from megalotron_images.registry.grammar import challenges
from megalotron_images.registry.https import CLIENT, Transient
from megalotron_images.registry.response import Request, Response, prepare

_SHORTEST_LIFE, _MARGIN = 60, 10
"""Seconds; the first one is the specification's."""
_SECONDS_TO_COUNT = 1.0
"""Some services issue a token that the registry refuses in its first second."""
_TOKEN = re.compile(r"[\x21-\x7e]+")


class Authorization:
    """A login at one registry.

    Args:
        send: the layer below.
    """

    def __init__(
        self, send: Callable[[Request], Response], credentials: Credentials | None
    ) -> None:
        self._send = send
        self._credentials = credentials
        self._challenge: tuple[str, dict[str, str]] | None = None
        self._tokens: dict[str, tuple[str, float]] = {}

    def send(self, request: Request) -> Response:
        """Return the response to a request with its authorization.

        Raises:
            RegistryFailed: the login is refused.
            Transient: the layer below failed.
        """
        response = self._send_authorized(request)
        if response.status == 401:
            self._accept_challenge(response)
            response = self._send_authorized(request)
            if response.status == 401:
                time.sleep(min(_SECONDS_TO_COUNT, request.left))
                response = self._send_authorized(request)
        if response.status == 401:
            raise self._refused(response, logged_in=self._credentials is not None)
        return response

    def _accept_challenge(self, response: Response) -> None:
        """Choose a challenge, a token before a password."""
        self._tokens.pop(response.request.scope, None)
        offered = challenges(response.headers.get("WWW-Authenticate", ""))
        if parameters := offered.get("bearer"):
            realm = response.address(parameters.get("realm", ""))
            self._challenge = "bearer", parameters | {"realm": realm}
        elif "basic" in offered and self._credentials:
            self._challenge = "basic", {}
        else:
            raise response.failure()

    def _refused(self, response: Response, logged_in: bool = False) -> RegistryFailed:
        """Return the error for a refused login, with the place where it was found."""
        failure = response.failure(logged_in)
        if self._credentials and self._credentials.source == VARIABLES:
            failure.args += (f"The login is from {VARIABLES}: set or unset them.",)
        return failure

    def _send_authorized(self, request: Request) -> Response:
        if authorization := self._authorization(request):
            headers = {**request.headers, "Authorization": authorization}
            request = replace(request, headers=headers)
        return self._send(request)

    def _authorization(self, request: Request) -> str:
        """Return the header `Authorization`, asking for a token; empty if unchallenged."""
        if self._challenge is None:
            return ""
        login, (scheme, parameters) = self._credentials, self._challenge
        if scheme == "basic":
            return f"Basic {login.encoded}" if login else ""
        if login and login.kind == "registrytoken":
            return f"Bearer {login.password}"
        token, expires = self._tokens.get(request.scope, ("", 0.0))
        if time.monotonic() >= expires:
            try:
                token, life = self._fetch_token(parameters, request)
            except Transient as transient:
                transient.unsent = True
                raise
            self._tokens[request.scope] = token, time.monotonic() + life
        return f"Bearer {token}"

    def _fetch_token(self, parameters: dict[str, str], request: Request) -> tuple[str, float]:
        """Return a token and its lifetime in seconds.

        The scope is built here: GHCR's challenge has none.
        """
        response = self._send(self._token_request(parameters, request))
        if response.request.method == "POST" and response.status in (404, 405):
            why = "identity tokens are not accepted, and your login is one"
            raise response.request.failed(f"{why}. Log in with another token: docker login ghcr.io")
        if response.status != 200:
            raise self._refused(response)
        with contextlib.suppress(ValueError, TypeError, AttributeError):
            answer = parsed(response.body)
            token = str(answer.get("token") or answer.get("access_token") or "")
            if _TOKEN.fullmatch(token):
                return token, max(float(answer.get("expires_in") or 0), _SHORTEST_LIFE) - _MARGIN
        raise response.request.failed("the response holds no token. Try again later.")

    def _token_request(self, parameters: dict[str, str], request: Request) -> Request:
        """Return the request for a token; an identity token is exchanged (Distribution, OAuth2)."""
        login, realm, service = self._credentials, parameters["realm"], parameters.get("service")
        asked = {"scope": request.scope} | ({"service": service} if service else {})
        if login and login.kind == "identitytoken":
            asked |= {"grant_type": "refresh_token", "refresh_token": login.password}
            body = urlencode(asked | {"client_id": CLIENT}).encode()
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            return Request("POST", realm, request.scope, request.end, headers, body)
        headers = {"Authorization": f"Basic {login.encoded}"} if login else {}
        address = prepare(f"{realm}{'&' if '?' in realm else '?'}{urlencode(asked)}", realm)
        return Request("GET", address, request.scope, request.end, headers)
