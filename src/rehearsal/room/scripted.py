"""An HTTPS server whose answers a script decides.

It is a registry's token service, or replaces a registry: for words and faults that the real one
does not produce on demand.
"""

import json
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase

from rehearsal.errors import CannotCheck
from rehearsal.room.paths import CERTIFICATE, KEY

_PAUSE_TO_STOP = 0.05
_STATUSES = {"unauthorized": 401, "denied": 403, "name_unknown": 404, "manifest_unknown": 404}


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
    scheme = f'Bearer realm="https://{host}/token",service="{host}"'
    return errors(401, "UNAUTHORIZED", "authentication required", **{"WWW-Authenticate": scheme})


def words(text: str, host: str = "ghcr.io") -> Script:
    """Return a script that refuses with a registry's words (`denied: permission_denied`).

    A wrong token is refused where tokens are issued, a missing right where an upload begins,
    everything else at once. Raises CannotCheck for an unknown error code.
    """
    code, _, message = text.partition(": ")
    kind = code.strip().replace(" ", "_")
    if kind not in _STATUSES:
        raise CannotCheck(f"{text!r} must begin with one of: {', '.join(_STATUSES)}.")
    refusal = errors(_STATUSES[kind], kind.upper(), message or code)

    def script(request: Request) -> Reply:
        if request.path.startswith("/token"):
            if request.method != "GET":
                return Reply(405)  # as GHCR: engines then ask in the older way
            return refusal if text == "denied: denied" else as_json(200, {"token": "practice"})
        if "Bearer" not in request.headers.get("Authorization", ""):
            return challenge(host)
        if request.path == "/v2/":
            return Reply(200)
        if kind == "denied" and request.method in ("GET", "HEAD"):
            return errors(404, "NAME_UNKNOWN", "repository name not known")
        return refusal

    return script


class Handler(BaseHTTPRequestHandler):
    """Handles one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two packets: a client would wait 40 ms
    server: "Server"

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


class Server(ThreadingHTTPServer):
    """The server at one address; requests run in threads."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], script: Script) -> None:
        super().__init__(address, Handler)
        self.script = script
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(CERTIFICATE, KEY)
        self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.serve_forever, args=(_PAUSE_TO_STOP,), daemon=True).start()

    def stop(self) -> None:
        """End it, and release its address."""
        self.shutdown()
        self.server_close()

    def handle_error(self, *arguments: object) -> None:
        """Stay silent: a broken connection is the client's affair."""
