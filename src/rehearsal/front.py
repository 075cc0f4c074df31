"""A scripted server in a registry's place: for words and faults that the real one does not produce on demand.

While it stands, the registry itself is stopped, so nothing can reach it; afterwards it runs again with all it had.
"""

import contextlib
import json
import os
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psutil

from rehearsal.errors import CannotCheck
from rehearsal.sealing import ROOM
from rehearsal.settings import Registry

_SECONDS = 10.0
_PAUSE = 0.005
_STATUSES = {"unauthorized": 401, "denied": 403, "name_unknown": 404, "manifest_unknown": 404, "toomanyrequests": 429}


@dataclass(frozen=True)
class Asked:
    """One request: method, path with query, headers."""

    method: str
    path: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Reply:
    """One answer. cut: how many bytes of the body are sent before the connection breaks; all if it is None.

    drip: seconds between one byte of the body and the next.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    drip: float = 0.0


Script = Callable[[Asked], Reply]


def words(said: str) -> Script:
    """Return a script by which a registry refuses in these words (`denied: permission_denied: write_package`).

    A wrong token is refused where tokens are given, a missing right where an upload begins, all else at once.
    """
    code, _, message = said.partition(": ")
    kind = code.strip().replace(" ", "_")
    if kind not in _STATUSES:
        raise CannotCheck(f"{said!r} begins with none of: {', '.join(_STATUSES)}.")
    refusal = errors(_STATUSES[kind], kind.upper(), message or code)

    def script(asked: Asked) -> Reply:
        if asked.path.startswith("/token"):
            return refusal if said == "denied: denied" else _json(200, {"token": "practice"})
        if "Bearer" not in asked.headers.get("Authorization", ""):
            return challenge()
        if asked.path == "/v2/":
            return Reply(200)
        reads = asked.method in ("GET", "HEAD")
        return errors(404, "NAME_UNKNOWN", "repository name not known") if kind == "denied" and reads else refusal

    return script


def errors(status: int, code: str, message: str, **headers: str) -> Reply:
    """Return an error in the form of the OCI distribution specification."""
    return _json(status, {"errors": [{"code": code, "message": message}]}, **headers)


def challenge(host: str = "ghcr.io") -> Reply:
    """Return what asks for a token, which the same server gives; like GHCR's it names no scope."""
    realm = f'Bearer realm="https://{host}/token",service="{host}"'
    return errors(401, "UNAUTHORIZED", "authentication required", **{"WWW-Authenticate": realm})


def _json(status: int, data: object, **headers: str) -> Reply:
    return Reply(status, json.dumps(data).encode(), {"Content-Type": "application/json", **headers})


@contextlib.contextmanager
def in_place_of(registry: Registry, script: Script | None) -> Iterator[list[Asked]]:
    """Let `script` answer for a registry of this room, or nobody; give the list to which each request is added."""
    _stop(registry)
    asked: list[Asked] = []
    try:
        with _serve(registry, script, asked) if script else contextlib.nullcontext():
            yield asked
    finally:
        _start(registry)


def _stop(registry: Registry) -> None:
    wanted = str(ROOM / f"{registry.name}.json")
    for process in psutil.process_iter(["cmdline"]):
        if wanted in (process.info["cmdline"] or []):
            process.send_signal(signal.SIGKILL)
            with contextlib.suppress(psutil.NoSuchProcess):
                process.wait(_SECONDS)
            return
    raise CannotCheck(f"The room's {registry.name} does not run, so nothing can stand in its place.")


def _start(registry: Registry) -> None:
    """Ask the room's first process (services.py) to start again what does not run."""
    os.kill(1, signal.SIGUSR1)
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection((registry.address, 443), 1):
            return
        time.sleep(_PAUSE)
    raise CannotCheck(f"The room's {registry.name} does not start again.")


@contextlib.contextmanager
def _serve(registry: Registry, script: Script, asked: list[Asked]) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            self.rfile.read(length)
            request = Asked(self.command, self.path, dict(self.headers.items()))
            asked.append(request)
            _send(self, script(request))

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 - http.server names them so

        def log_message(self, *arguments: object) -> None:
            """Log nothing: a request may hold what a person typed."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *arguments: object) -> None:
            """Say nothing of a client that goes away."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ROOM / "leaf.pem", ROOM / "leaf.key")
    with _bound(lambda: Server((registry.address, 443), Handler)) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def _bound(make: Callable[[], ThreadingHTTPServer]) -> ThreadingHTTPServer:
    """Return the server as soon as the address is free: the kernel may need a moment after the registry's end."""
    end = time.monotonic() + _SECONDS
    while True:
        try:
            return make()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(_PAUSE)


def _parts(reply: Reply) -> list[bytes]:
    body = reply.body[: reply.cut]
    return [body[n : n + 1] for n in range(len(body))] if reply.drip else [body]


def _send(handler: BaseHTTPRequestHandler, reply: Reply) -> None:
    handler.send_response(reply.status)
    for name, value in reply.headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(reply.body)))
    handler.end_headers()
    if handler.command != "HEAD":
        for part in _parts(reply):
            handler.wfile.write(part)
            time.sleep(reply.drip)
    if reply.cut is not None:
        handler.close_connection = True
        with contextlib.suppress(OSError):
            os.set_blocking(handler.connection.fileno(), True)
            handler.connection.shutdown(socket.SHUT_RDWR)
