"""Authorization: the registry's challenge, and a token for each scope, kept while it lasts."""

import contextlib
import re
import time
from collections.abc import Callable, Mapping
from urllib.parse import urlencode

import requests

from megalotron_images.errors import RegistryFailed
from megalotron_images.registry.answer import Answer
from megalotron_images.registry.credentials import VARIABLES, Credentials
from megalotron_images.registry.grammar import challenges, parsed
from megalotron_images.registry.https import CLIENT, Question

_SHORTEST_LIFE, _MARGIN = 60, 10
"""Seconds; the first one is the specification's."""
_MOST_WORDS = 80
_TOKEN = re.compile(r"[\x21-\x7e]+")


class Tokens:
    """A login at one registry; each scope's token is kept until it expires.

    send: sends a request, with retries (Transport).
    """

    def __init__(
        self, host: str, credentials: Credentials | None, send: Callable[[Question], Answer]
    ) -> None:
        self._host = host
        self._credentials = credentials
        self._send = send
        self._challenge: tuple[str, dict[str, str]] | None = None
        self._tokens: dict[str, tuple[str, float]] = {}

    def challenged(self, answer: Answer, scope: str) -> None:
        """Forget a scope's token, and choose the challenge: a token before a password."""
        self._tokens.pop(scope, None)
        offered = challenges(answer.headers.get("WWW-Authenticate", ""))
        known = ("bearer", "basic") if self._credentials else ("bearer",)
        scheme = next((one for one in known if one in offered), None)
        if scheme is None:
            raise answer.failure()
        self._challenge = scheme, offered[scheme]

    def refused(self, answer: Answer, after_login: bool = False) -> RegistryFailed:
        """Return the error for a refused login, with the place where it was found."""
        failure = answer.failure(logged_in=after_login and self._credentials is not None)
        if self._credentials is None or self._credentials.source != VARIABLES:
            return failure
        return type(failure)(
            f"{failure} The login is that of {VARIABLES}: set or unset these.", failure.said
        )

    def authorization(self, scope: str, end: float) -> str:
        """Return the header `Authorization` for a scope, asking for a token; empty unchallenged."""
        if self._challenge is None:
            return ""
        login, (scheme, parameters) = self._credentials, self._challenge
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
            answer = self._send(Question("GET", url, headers, None, end))
        if answer.status != requests.codes.ok:
            raise self.refused(answer)
        with contextlib.suppress(ValueError, TypeError, AttributeError):
            said = parsed(answer.body)
            token = str(said.get("token") or said.get("access_token") or "")
            if _TOKEN.fullmatch(token):
                return token, max(float(said.get("expires_in") or 0), _SHORTEST_LIFE) - _MARGIN
        raise RegistryFailed(f"{answer.question}: the answer holds no token. Run it again later.")

    def _exchange(self, realm: str, asked: Mapping[str, str], token: str, end: float) -> Answer:
        """Return the answer to an identity token (Distribution, "OAuth2 token authentication")."""
        form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": CLIENT}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        body = urlencode({**form, **asked}).encode()
        answer = self._send(Question("POST", realm, headers, body, end))
        if answer.status in (404, 405):
            raise RegistryFailed(
                f"{self._host} takes no identity token, and your login is one. Log in with a token"
                f" of your own: docker login {self._host}"
            )
        return answer
