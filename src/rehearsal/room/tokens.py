"""The token service of a room's registry (Distribution, "Token authentication")."""

import base64
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs, urlparse

import jwt

from rehearsal.room.paths import refused_log
from rehearsal.room.scripted import Reply, Request, as_json, errors
from rehearsal.settings import Registry, Right

PORT = 8443
_SECONDS_VALID = 300


@dataclass(frozen=True)
class Issuer:
    """Signs the tokens of one registry.

    Attributes:
        registry: whose tokens.
        key: of its certificate.
        certificate: for `x5c`.
    """

    registry: Registry
    key: bytes
    certificate: str

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
            log_denied_push(self.registry, request)
        if wrong:
            return errors(403, "DENIED", "denied")
        return as_json(200, {"token": self._token(right, request), "expires_in": _SECONDS_VALID})

    def _token(self, right: Right | None, request: Request) -> str:
        now, host = int(time.time()), self.registry.host_names[0]
        allowed = {"pull", "push", "delete"} if right == "push" else {"pull"}
        access = [
            {"type": kind, "name": name, "actions": sorted(allowed & actions)}
            for kind, name, actions in _scopes(request)
        ]
        claims: dict[str, object] = {"iss": host, "aud": host, "sub": "", "jti": uuid.uuid4().hex}
        claims |= {"access": access, "nbf": now - 10, "iat": now, "exp": now + _SECONDS_VALID}
        return jwt.encode(claims, self.key, algorithm="ES256", headers={"x5c": [self.certificate]})


def log_denied_push(registry: Registry, request: Request) -> None:
    """Log the repositories to which a token request asks to push, and may not."""
    with open(refused_log(registry.name), "a") as log:
        for kind, name, actions in _scopes(request):
            if kind == "repository" and "push" in actions:
                log.write(f"{name}\n")


def _scopes(request: Request) -> Iterator[tuple[str, str, set[str]]]:
    """Yield the kind, the name and the actions of each resource that a request asks for."""
    for scope in " ".join(parse_qs(urlparse(request.path).query).get("scope", [])).split():
        kind, _, rest = scope.partition(":")
        name, _, actions = rest.rpartition(":")
        yield kind, name, set(actions.split(","))


def _login(authorization: str) -> tuple[str, str] | None:
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    user, _, password = base64.b64decode(value).decode(errors="replace").partition(":")
    return user, password
