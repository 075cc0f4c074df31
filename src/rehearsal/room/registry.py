"""The registries of a room, a Distribution process each, and their replacement by a script.

A scripted server replaces a registry for a while: the process is stopped, so nothing can reach it,
and started again with all its data afterwards.
"""

import contextlib
import json
import os
import select
import signal
import socket
from collections.abc import Iterator

from rehearsal.room.paths import BUNDLE, CERTIFICATE, KEY, ROOM
from rehearsal.room.scripted import Reply, Request, Script, Server
from rehearsal.room.services import start_service, wait_for
from rehearsal.room.tokens import PORT, log_denied_push
from rehearsal.settings import Registry


def start_registry(registry: Registry) -> int:
    """Start a registry; return its PID. Its configuration is JSON, which is YAML too."""
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
    file = ROOM / f"{registry.name}.json"
    file.write_text(json.dumps(configuration))
    command = ["docker-registry", "serve", str(file)]
    pid = start_service(registry.name, command, {"PATH": os.environ["PATH"]})
    (ROOM / f"{registry.name}.pid").write_text(str(pid))
    return pid


def wait_for_registry(registry: Registry, pid: int) -> None:
    """Wait until a registry listens; raise CannotCheck if it does not."""
    address = (registry.address, registry.port)
    wait_for(registry.name, pid, lambda: socket.create_connection(address, timeout=1).close())


@contextlib.contextmanager
def replaced_by(registry: Registry, script: Script | None) -> Iterator[list[Request]]:
    """Replace a registry by `script`, or by nothing; yield the list of the requests that come."""
    asked: list[Request] = []
    _stop(registry)
    with contextlib.ExitStack() as ending:
        ending.callback(lambda: wait_for_registry(registry, start_registry(registry)))
        if script:

            def noted(request: Request) -> Reply:
                asked.append(request)
                log_denied_push(registry, request)
                return script(request)

            ending.callback(Server((registry.address, registry.port), noted).stop)
        yield asked


def _stop(registry: Registry) -> None:
    with contextlib.suppress(ProcessLookupError):
        process = os.pidfd_open(int((ROOM / f"{registry.name}.pid").read_text()))
        signal.pidfd_send_signal(process, signal.SIGKILL)
        select.select([process], [], [])
        os.close(process)
