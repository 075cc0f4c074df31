"""The registries of a room, a Distribution process each, and their replacement by a script.

A scripted server replaces a registry for a while: the process is stopped, so nothing can reach it,
and restarted with all its data afterwards.
"""

import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from rehearsal.errors import CannotCheck
from rehearsal.room.paths import BUNDLE, CERTIFICATE, KEY, ROOM, refused_log
from rehearsal.room.scripted import Reply, Request, Script, start
from rehearsal.room.tokens import PORT, pushes
from rehearsal.settings import Registry

_SECONDS = 10.0
_PAUSE = 0.005


def configuration_file(registry: Registry) -> Path:
    """Return the path of a registry's configuration."""
    return ROOM / f"{registry.name}.json"


def write_configuration(registry: Registry) -> None:
    """Write Distribution's configuration; JSON is YAML, which it reads."""
    storage = {"rootdirectory": str(ROOM / "registries" / registry.name)}
    tls = {"certificate": str(CERTIFICATE), "key": str(KEY)}
    configuration: dict[str, object] = {
        "version": "0.1",
        "log": {"level": "info", "formatter": "json"},
        "storage": {"filesystem": storage, "delete": {"enabled": True}},
        "http": {"addr": f"{registry.address}:443", "tls": tls},
    }
    if registry.tokens:
        host = registry.hosts[0]
        token = {"realm": f"https://{host}:{PORT}/token", "service": host, "issuer": host}
        configuration["auth"] = {"token": token | {"rootcertbundle": str(BUNDLE)}}
    configuration_file(registry).write_text(json.dumps(configuration))


def note_refused(registry: Registry, repository: str) -> None:
    """Log a refused push."""
    with open(refused_log(registry.name), "a") as log:
        log.write(f"{repository}\n")


@contextlib.contextmanager
def in_place_of(registry: Registry, script: Script | None) -> Iterator[list[Request]]:
    """Replace a registry by `script`, or by nothing; yield the list of the requests that come."""
    asked: list[Request] = []

    def noted(request: Request) -> Reply:
        asked.append(request)
        for repository in pushes(request.path):
            note_refused(registry, repository)
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
    import psutil

    wanted = str(configuration_file(registry))
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
    """Have init.py restart what is stopped."""
    os.kill(1, signal.SIGUSR1)
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection((registry.address, 443), 1):
            return
        time.sleep(_PAUSE)
    raise CannotCheck(f"The room's {registry.name} does not start again.")
