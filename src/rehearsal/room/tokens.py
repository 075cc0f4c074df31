"""The token service of a room's registry (Distribution, "Token authentication")."""

import base64
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, urlparse

import jwt

from rehearsal.room.scripted import Reply, Request, as_json, errors
from rehearsal.settings import Registry, Right

PORT = 8443
_SECONDS_VALID = 300
_ALLOWED: Mapping[Right | None, frozenset[str]] = {
    "push": frozenset({"pull", "push", "delete"}),
    "pull": frozenset({"pull"}),
    None: frozenset({"pull"}),
}


@dataclass(frozen=True)
class Issuer:
    """Signs the tokens of one registry.

    Attributes:
        registry: whose tokens.
        key: of its certificate.
        chain: that certificate's, for `x5c`.
        note_refused: called with the registry and the repository of each refused push.
    """

    registry: Registry
    key: bytes
    chain: tuple[str, ...]
    note_refused: Callable[[Registry, str], None]

    def __call__(self, request: Request) -> Reply:
        """Reply with a token for what this login may do, or 403 for a wrong login."""
        if request.method != "GET":
            return Reply(405)
        login = _login(request.headers.get("Authorization", ""))
        user, password = login or ("", "")
        right = self.registry.tokens.get(password) if login else None
        stranger = self.registry.user not in ("", user)
        wrong = login is not None and (stranger or right in (None, "expired"))
        if wrong or right != "push":
            for repository in pushes(request.path):
                self.note_refused(self.registry, repository)
        if wrong:
            return errors(403, "DENIED", "denied")
        scopes = _scopes(request.path)
        return as_json(200, {"token": self._token(right, scopes), "expires_in": _SECONDS_VALID})

    def _token(self, right: Right | None, scopes: list[str]) -> str:
        now, host = int(time.time()), self.registry.hosts[0]
        claims: dict[str, object] = {"iss": host, "aud": host, "sub": "", "jti": uuid.uuid4().hex}
        claims |= {"nbf": now - 10, "iat": now, "exp": now + _SECONDS_VALID}
        claims["access"] = [_access(scope, _ALLOWED[right]) for scope in scopes]
        return jwt.encode(claims, self.key, algorithm="ES256", headers={"x5c": list(self.chain)})


def _scopes(path: str) -> list[str]:
    return [
        part for scope in parse_qs(urlparse(path).query).get("scope", []) for part in scope.split()
    ]


def pushes(path: str) -> list[str]:
    """Return the repositories to which a token request asks to push."""
    parts = [scope.split(":") for scope in _scopes(path)]
    return [
        ":".join(name)
        for kind, *name, actions in parts
        if kind == "repository" and "push" in actions.split(",")
    ]


def _access(scope: str, allowed: frozenset[str]) -> dict[str, object]:
    kind, _, rest = scope.partition(":")
    name, _, actions = rest.rpartition(":")
    return {"type": kind, "name": name, "actions": sorted(allowed.intersection(actions.split(",")))}


def _login(authorization: str) -> tuple[str, str] | None:
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    user, _, password = base64.b64decode(value).decode(errors="replace").partition(":")
    return user, password
