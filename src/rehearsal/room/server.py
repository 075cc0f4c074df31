"""A small HTTPS server of a room, which answers as a script says.

A token service, or what stands in for a registry.
"""

import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from rehearsal.room.paths import CERTIFICATE, KEY

_SECONDS_TO_BIND = 10.0
_PAUSE = 0.005
_PAUSE_TO_STOP = 0.05


@dataclass(frozen=True)
class Asked:
    """One request: method, path with query, headers (their names in any case)."""

    method: str
    path: str
    headers: Message


@dataclass(frozen=True)
class Reply:
    """One answer. cut: how many bytes of the body are sent before the connection breaks.

    All if it is None.

    drip: seconds between one byte of the body and the next.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    drip: float = 0.0


Script = Callable[[Asked], Reply]


def as_json(status: int, data: object, **headers: str) -> Reply:
    """Return an answer that is JSON."""
    return Reply(status, json.dumps(data).encode(), {"Content-Type": "application/json", **headers})


def errors(status: int, code: str, message: str, **headers: str) -> Reply:
    """Return an error in the form of the OCI distribution specification."""
    return as_json(status, {"errors": [{"code": code, "message": message}]}, **headers)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    script: Script

    def handle_error(self, *arguments: object) -> None:
        """Say nothing: a broken connection is the client's affair."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = (
        True  # headers and body are two packets: a client would wait 40 ms for the second
    )
    server: _Server

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        reply = self.server.script(Asked(self.command, self.path, self.headers))
        self.send_response(reply.status)
        for name, value in {**reply.headers, "Content-Length": str(len(reply.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self._send(reply)
        if reply.cut is not None:
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 - http.server names them so

    def _send(self, reply: Reply) -> None:
        body = reply.body[: reply.cut]
        for part in [body[n : n + 1] for n in range(len(body))] if reply.drip else [body]:
            self.wfile.write(part)
            time.sleep(reply.drip)

    def log_message(self, *arguments: object) -> None:
        """Log nothing: a request may hold what a person typed."""


def start(address: str, port: int, script: Script) -> Callable[[], None]:
    """Answer at an address of the room, in threads of this process; return what ends that.

    The address may be taken for a moment yet, when a registry there has just ended.
    """
    end = time.monotonic() + _SECONDS_TO_BIND
    while True:
        try:
            server = _Server((address, port), _Handler)
            break
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(_PAUSE)
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
