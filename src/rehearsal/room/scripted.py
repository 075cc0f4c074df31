"""An HTTPS server whose answers a script decides.

It is a registry's token service, or replaces a registry: for words and faults that the real one
does not produce on demand.
"""

import contextlib
import json
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase

from rehearsal.errors import CannotCheck
from rehearsal.room.paths import CERTIFICATE, KEY

_SECONDS_TO_BIND = 10.0
_PAUSE = 0.005
_PAUSE_TO_STOP = 0.05
_STATUSES = {"unauthorized": 401, "denied": 403, "name_unknown": 404, "manifest_unknown": 404}
_STATUSES |= {"toomanyrequests": 429}


@dataclass(frozen=True)
class Request:
    """One request: method, path with query, headers (their names in any case)."""

    method: str
    path: str
    headers: Message


@dataclass(frozen=True)
class Reply:
    """One answer."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    def send(self, file: BufferedIOBase) -> None:
        """Write the body."""
        file.write(self.body)


Script = Callable[[Request], Reply]


def as_json(status: int, data: object, **headers: str) -> Reply:
    """Return an answer that is JSON."""
    body = json.dumps(data).encode()
    return Reply(status, body, {"Content-Type": "application/json", **headers})


def errors(status: int, code: str, message: str, **headers: str) -> Reply:
    """Return an error in the form of the OCI distribution specification."""
    return as_json(status, {"errors": [{"code": code, "message": message}]}, **headers)


def challenge(host: str = "ghcr.io") -> Reply:
    """Return a 401 that demands a token of the same server; like GHCR's it names no scope."""
    realm = f'Bearer realm="https://{host}/token",service="{host}"'
    asked = {"WWW-Authenticate": realm}
    return errors(401, "UNAUTHORIZED", "authentication required", **asked)


def words(said: str, host: str = "ghcr.io") -> Script:
    """Return a script that refuses with a registry's words (`denied: permission_denied`).

    A wrong token is refused where tokens are issued, a missing right where an upload begins,
    everything else at once. Raises CannotCheck for an unknown error code.
    """
    code, _, message = said.partition(": ")
    kind = code.strip().replace(" ", "_")
    if kind not in _STATUSES:
        raise CannotCheck(f"{said!r} begins with none of: {', '.join(_STATUSES)}.")
    refusal = errors(_STATUSES[kind], kind.upper(), message or code)

    def script(request: Request) -> Reply:
        if request.path.startswith("/token") and request.method != "GET":
            return Reply(405)  # as GHCR: engines then ask in the older way
        if request.path.startswith("/token"):
            return refusal if said == "denied: denied" else as_json(200, {"token": "practice"})
        if "Bearer" not in request.headers.get("Authorization", ""):
            return challenge(host)
        if request.path == "/v2/":
            return Reply(200)
        reads = request.method in ("GET", "HEAD")
        unknown = errors(404, "NAME_UNKNOWN", "repository name not known")
        return unknown if kind == "denied" and reads else refusal

    return script


class Server(ThreadingHTTPServer):
    """The server at one address; requests run in threads."""

    daemon_threads = True
    script: Script

    def handle_error(self, *arguments: object) -> None:
        """Stay silent: a broken connection is the client's affair."""


class Handler(BaseHTTPRequestHandler):
    """Handles one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two packets: a client would wait 40 ms
    server: Server

    def answer(self) -> None:
        """Read one request completely, and send the script's reply."""
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        reply = self.server.script(Request(self.command, self.path, self.headers))
        self.send_response(reply.status)
        for name, value in {**reply.headers, "Content-Length": str(len(reply.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            reply.send(self.wfile)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815 - http.server's names

    def log_message(self, *arguments: object) -> None:
        """Log nothing: a request may hold what a person typed."""


def start(address: str, port: int, script: Script) -> Callable[[], None]:
    """Serve a script at an address of the room; return a function that stops it."""
    server = _bound(address, port)
    server.script = script
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, KEY)
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    thread = threading.Thread(target=server.serve_forever, args=(_PAUSE_TO_STOP,), daemon=True)
    thread.start()

    def stop() -> None:
        server.shutdown()
        thread.join()
        server.server_close()

    return stop


def _bound(address: str, port: int) -> Server:
    """Bind, waiting for a registry that has just ended to release the address."""
    end = time.monotonic() + _SECONDS_TO_BIND
    while True:
        with contextlib.suppress(OSError):
            return Server((address, port), Handler)
        if time.monotonic() > end:
            raise CannotCheck(f"{address}:{port} does not become free in the room.")
        time.sleep(_PAUSE)
