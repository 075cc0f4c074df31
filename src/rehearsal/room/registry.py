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
from rehearsal.room.paths import BUNDLE, CERTIFICATE, KEY, ROOM, last_line
from rehearsal.room.scripted import Reply, Request, Script, Server
from rehearsal.room.tokens import PORT, log_denied_push
from rehearsal.settings import Registry

_SECONDS = 10
_PAUSE = 0.05


def prepare(registry: Registry) -> list[str]:
    """Write Distribution's configuration, and return the command that serves it.

    The configuration is JSON, which is YAML too.
    """
    storage = {"rootdirectory": str(ROOM / "registries" / registry.name)}
    tls = {"certificate": str(CERTIFICATE), "key": str(KEY)}
    configuration: dict[str, object] = {
        "version": "0.1",
        "log": {"level": "info", "formatter": "json"},
        "storage": {"filesystem": storage, "delete": {"enabled": True}},
        "http": {"addr": f"{registry.address}:{registry.port}", "tls": tls},
    }
    if registry.tokens:
        host = registry.host_names[0]
        token = {"realm": f"https://{host}:{PORT}/token", "service": host, "issuer": host}
        configuration["auth"] = {"token": token | {"rootcertbundle": str(BUNDLE)}}
    file = _configuration(registry)
    file.write_text(json.dumps(configuration))
    return ["docker-registry", "serve", str(file)]


def _configuration(registry: Registry) -> Path:
    return ROOM / f"{registry.name}.json"


def answers(registry: Registry) -> bool:
    """Whether something listens at a registry's address."""
    with contextlib.suppress(OSError):
        socket.create_connection((registry.address, registry.port), timeout=1).close()
        return True
    return False


@contextlib.contextmanager
def replaced_by(registry: Registry, script: Script | None) -> Iterator[list[Request]]:
    """Replace a registry by `script`, or by nothing; yield the list of the requests that come."""
    asked: list[Request] = []
    _stop(registry)
    with contextlib.ExitStack() as ending:
        ending.callback(_start_again, registry)
        if script:

            def noted(request: Request) -> Reply:
                asked.append(request)
                log_denied_push(registry, request)
                return script(request)

            ending.callback(Server((registry.address, registry.port), noted).stop)
        yield asked


def _stop(registry: Registry) -> None:
    import psutil

    configuration = str(_configuration(registry))
    processes = [
        process
        for process in psutil.process_iter(["cmdline"])
        if configuration in (process.info["cmdline"] or [])
    ]
    if not processes:
        raise CannotCheck(f"The room's {registry.name} does not run: nothing can replace it.")
    for process in processes:
        process.kill()
    psutil.wait_procs(processes, _SECONDS)


def _start_again(registry: Registry) -> None:
    """Have init.py restart what is stopped, again each second until it answers."""
    for _ in range(_SECONDS):
        os.kill(1, signal.SIGUSR1)
        end = time.monotonic() + 1
        while time.monotonic() < end:
            if answers(registry):
                return
            time.sleep(_PAUSE)
    reason = last_line(registry.name)
    raise CannotCheck(f"The room's {registry.name} does not start again: {reason}")
