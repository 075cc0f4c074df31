"""The token service of a rehearsed registry, as in Distribution's token authentication specification."""

import base64
import json
import ssl
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import jwt

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
    """Signs tokens for one registry with the key of its certificate, whose chain goes along as `x5c`."""

    registry: Registry
    key: bytes
    chain: tuple[str, ...]

    def answer(self, login: tuple[str, str] | None, scopes: list[str]) -> tuple[int, dict[str, object]]:
        """Return status and body for a request: a token with what this login may do, or 403 for a wrong one."""
        user, password = login or ("", "")
        right = self.registry.tokens.get(password) if login else None
        stranger = self.registry.user not in ("", user)
        if login and (stranger or right in (None, "expired")):
            return 403, {"errors": [{"code": "DENIED", "message": "denied"}]}
        now = int(time.time())
        claims = {
            "iss": self.registry.hosts[0],
            "aud": self.registry.hosts[0],
            "sub": "",
            "nbf": now - 10,
            "iat": now,
            "exp": now + _SECONDS_VALID,
            "jti": uuid.uuid4().hex,
            "access": [_access(scope, _ALLOWED[right]) for scope in scopes],
        }
        token = jwt.encode(claims, self.key, algorithm="ES256", headers={"x5c": list(self.chain)})
        return 200, {"token": token, "expires_in": _SECONDS_VALID}


def _access(scope: str, allowed: frozenset[str]) -> dict[str, object]:
    kind, _, rest = scope.partition(":")
    name, _, actions = rest.rpartition(":")
    return {"type": kind, "name": name, "actions": sorted(allowed.intersection(actions.split(",")))}


def serve_tokens(issuer: Issuer, certificate: Path, key: Path) -> None:
    """Answer token requests at the registry's address, in a thread of this process, until it ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # headers and body are two packets: a client would wait 40 ms for the second

        def do_GET(self) -> None:
            scopes = [part for scope in parse_qs(urlparse(self.path).query).get("scope", []) for part in scope.split()]
            status, body = issuer.answer(_login(self.headers.get("Authorization", "")), scopes)
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            """Log nothing: a request line may hold what a person typed."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *arguments: object) -> None:
            """Say nothing: who speaks no TLS to this port gets no answer, and the room's terminal is not for it."""

    server = Server((issuer.registry.address, PORT), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def _login(authorization: str) -> tuple[str, str] | None:
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    user, _, password = base64.b64decode(value).decode(errors="replace").partition(":")
    return user, password
