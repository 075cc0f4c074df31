"""The token service of a room's registry (Distribution, "Token authentication")."""

import base64
import time
import uuid
from collections.abc import Iterator
from urllib.parse import parse_qs, urlparse

import jwt

from rehearsal.room.paths import CERTIFICATE, KEY, refused_log
from rehearsal.room.scripted import Reply, Request, as_json, errors
from rehearsal.settings import Registry, Right

PORT = 8443
_SECONDS_VALID = 300


def issue(registry: Registry, request: Request) -> Reply:
    """Reply with a token for what a login may do at a registry, or with 403 to a wrong login."""
    if request.method != "GET":
        return Reply(405)
    user, password = _login(request.headers.get("Authorization", ""))
    right, stranger = registry.tokens.get(password), registry.user not in ("", user)
    wrong = bool(user or password) and (stranger or right in (None, "expired"))
    if wrong or right != "push":
        log_denied_push(registry, request)
    if wrong:
        return errors(403, "DENIED", "denied")
    token = _token(registry.host_names[0], right, request)
    return as_json(200, {"token": token, "expires_in": _SECONDS_VALID})


def _token(host: str, right: Right | None, request: Request) -> str:
    now, allowed = int(time.time()), {"pull", "push", "delete"} if right == "push" else {"pull"}
    access = [
        {"type": kind, "name": name, "actions": sorted(allowed & actions)}
        for kind, name, actions in _scopes(request)
    ]
    claims: dict[str, object] = {"iss": host, "aud": host, "sub": "", "jti": uuid.uuid4().hex}
    claims |= {"access": access, "nbf": now - 10, "iat": now, "exp": now + _SECONDS_VALID}
    certificate = "".join(CERTIFICATE.read_text().splitlines()[1:-1])  # without BEGIN and END
    return jwt.encode(claims, KEY.read_bytes(), algorithm="ES256", headers={"x5c": [certificate]})


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


def _login(authorization: str) -> tuple[str, str]:
    """Return the user and the password; empty ones for anybody."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    user, _, password = base64.b64decode(value).decode(errors="replace").partition(":")
    return user, password
