"""A scripted server in a registry's place.

For words and faults that the real one does not produce on demand.

While it stands, the registry itself is stopped, so nothing can reach it; afterwards it runs again
with all it had.
"""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator

import psutil

from rehearsal.errors import CannotCheck
from rehearsal.room.paths import REFUSED, ROOM
from rehearsal.room.server import Asked, Reply, Script, as_json, errors, start
from rehearsal.room.tokens import pushes
from rehearsal.settings import Registry

_SECONDS = 10.0
_PAUSE = 0.005
_STATUSES = {
    "unauthorized": 401,
    "denied": 403,
    "name_unknown": 404,
    "manifest_unknown": 404,
    "toomanyrequests": 429,
}


def words(said: str) -> Script:
    """Return a script by which a registry refuses in these words (`denied.

    Permission_denied: write_package`).

    A wrong token is refused where tokens are given, a missing right where an upload begins, all
    else at once.
    """
    code, _, message = said.partition(": ")
    kind = code.strip().replace(" ", "_")
    if kind not in _STATUSES:
        raise CannotCheck(f"{said!r} begins with none of: {', '.join(_STATUSES)}.")
    refusal = errors(_STATUSES[kind], kind.upper(), message or code)

    def script(asked: Asked) -> Reply:
        if asked.path.startswith("/token") and asked.method != "GET":
            return Reply(405)  # as GHCR: engines then ask in the older way
        if asked.path.startswith("/token"):
            return refusal if said == "denied: denied" else as_json(200, {"token": "practice"})
        if "Bearer" not in asked.headers.get("Authorization", ""):
            return challenge()
        if asked.path == "/v2/":
            return Reply(200)
        reads = asked.method in ("GET", "HEAD")
        return (
            errors(404, "NAME_UNKNOWN", "repository name not known")
            if kind == "denied" and reads
            else refusal
        )

    return script


def challenge(host: str = "ghcr.io") -> Reply:
    """Return what asks for a token, which the same server gives; like GHCR's it names no scope."""
    realm = f'Bearer realm="https://{host}/token",service="{host}"'
    return errors(401, "UNAUTHORIZED", "authentication required", **{"WWW-Authenticate": realm})


@contextlib.contextmanager
def in_place_of(registry: Registry, script: Script | None) -> Iterator[list[Asked]]:
    """Let `script` answer for a registry of this room, or nobody.

    Give the list to which each request is added.
    """
    asked: list[Asked] = []
    refused = ROOM / "log" / f"{registry.name}{REFUSED}"

    def noted(request: Asked) -> Reply:
        asked.append(request)
        with open(refused, "a") as log:
            log.writelines(f"{repository}\n" for repository in pushes(request.path))
        return script(request) if script else Reply(500)

    _stop(registry)
    try:
        with contextlib.ExitStack() as standing:
            if script:
                standing.callback(start(registry.address, 443, noted))
            yield asked
    finally:
        _start_again(registry)


def _stop(registry: Registry) -> None:
    wanted = str(ROOM / f"{registry.name}.json")
    for process in psutil.process_iter(["cmdline"]):
        if wanted in (process.info["cmdline"] or []):
            process.send_signal(signal.SIGKILL)
            with contextlib.suppress(psutil.NoSuchProcess):
                process.wait(_SECONDS)
            return
    raise CannotCheck(
        f"The room's {registry.name} does not run, so nothing can stand in its place."
    )


def _start_again(registry: Registry) -> None:
    """Ask the room's first process (services.py) to start again what does not run."""
    os.kill(1, signal.SIGUSR1)
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection((registry.address, 443), 1):
            return
        time.sleep(_PAUSE)
    raise CannotCheck(f"The room's {registry.name} does not start again.")
