"""Process 1 of a room: starts its services, then its command, and reaps every process.

`init PROJECT PID COMMAND…`: PID is a kernel that was started before the services, whose first shell
cell waits for STARTED; with PID 0 the command is started once the services answer. Ends with the
command's exit status, and the whole room with it.
"""

import contextlib
import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType

from rehearsal.errors import CannotCheck, lacks_extra
from rehearsal.room import limits, linux
from rehearsal.room.engine import CONTAINERD, GRAPH, Engine, machine_architecture, read_engine
from rehearsal.room.paths import (
    BUNDLE,
    CERTIFICATE,
    DOCKER_SOCKET,
    ENGINE,
    KEY,
    LOGS,
    ROOM,
    last_line,
)
from rehearsal.room.ready import STARTED, can_run_containers
from rehearsal.settings import SECONDS_VARIABLE, Settings, load_settings, seconds_to_start

_SYSTEM_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_PAUSE = 0.01
_SECONDS_BETWEEN_LOOKS = 0.2
_Service = subprocess.Popen[bytes]


def main(arguments: list[str]) -> int:
    """Run one room to its end; return its command's exit status."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _noop)
    signal.signal(signal.SIGALRM, _end_if_too_many)
    signal.setitimer(signal.ITIMER_REAL, _SECONDS_BETWEEN_LOOKS)
    project, started_before, *command = arguments
    settings, kernel = load_settings(Path(project)), int(started_before)
    reason = _why_not_started(settings)
    new = STARTED.with_suffix(".new")
    new.write_text(reason)
    new.rename(STARTED)
    if kernel:
        return _outlive_kernel(kernel)
    if reason:
        print(reason, file=sys.stderr)
        return CannotCheck.status
    _show_credentials(settings)
    pid = _start(command)
    with contextlib.suppress(PermissionError):  # where it leads its session already
        os.setsid()  # the kernel shares out time by sessions: a full room must not starve this one
    return _reap_until(pid)


def _noop(number: int, frame: FrameType | None) -> None:
    """A handler, not SIG_IGN: exec resets handlers, so the command gets the default."""


def _end_if_too_many(number: int, frame: FrameType | None) -> None:
    if limits.are_too_many():
        os.write(2, f"{limits.TOO_MANY}\n".encode())
        os._exit(CannotCheck.status)
    signal.setitimer(signal.ITIMER_REAL, _SECONDS_BETWEEN_LOOKS)


def _outlive_kernel(pid: int) -> int:
    status = _reap_until(pid)
    if 0 < status < 128:  # that a signal ended it is reported by whoever talks to it
        last = last_line("kernel")
        print(f"The kernel in the room ended with status {status}: {last}", file=sys.stderr)
    return status


def _start(command: list[str]) -> int:
    """Start the room's command and return its PID.

    posix_spawn, as a Popen could take the status that _reap_until waits for.
    """
    try:
        return os.posix_spawnp(command[0], command, os.environ)
    except OSError as error:
        print(f"{command[0]} cannot be run in the room: {error.strerror}.", file=sys.stderr)
        sys.exit(127 if isinstance(error, FileNotFoundError) else 126)


def _why_not_started(settings: Settings) -> str:
    """Start the services, and return why that failed, or nothing once all of them answer."""
    try:
        started = _start_services(settings)
        _seed(settings)
        _wait_for_services(settings, started)
    except ModuleNotFoundError as error:
        return str(lacks_extra(error))
    except (CannotCheck, OSError) as error:
        ours = isinstance(error, CannotCheck)
        reason = str(error) if ours else f"The room could not be set up: {error}."
        if os.strerror(errno.ENOSPC).lower() in reason.lower():
            return f"{reason} The room is full: free memory, or set REHEARSAL_ROOM_SIZE."
        return reason
    return ""


def _start_services(settings: Settings) -> dict[str, _Service]:
    """Start engine, registries and token services, the slowest first."""
    started = {"engine": _start_engine(read_engine(ENGINE))}
    certificate = _make_certificate(settings)
    from rehearsal.room import registry, scripted, tokens

    for one in settings.registries:
        started[one.name] = _daemon(one.name, registry.prepare(one))
        if one.tokens:
            issuer = tokens.Issuer(one, KEY.read_bytes(), certificate)
            scripted.Server((one.address, tokens.PORT), issuer)

    def start_again(number: int, frame: FrameType | None) -> None:
        """Restart the registries that a scripted server replaced."""
        for one in settings.registries:
            if started[one.name].poll() is not None:
                started[one.name] = _daemon(one.name, registry.prepare(one))

    signal.signal(signal.SIGUSR1, start_again)
    return started


def _daemon(name: str, command: list[str], **more: str) -> _Service:
    """Start a service without a terminal; its output goes to a log of the room."""
    with open(LOGS / name, "ab") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=os.environ | more,
            start_new_session=True,
        )


def _start_engine(engine: Engine) -> subprocess.Popen[bytes]:
    """Start dockerd, with storage drivers that need nothing of the kernel: outputs do not vary."""
    folder = ROOM / "engine"
    has_two_stores = engine.major > 20
    features = {"containerd-snapshotter": engine.store == CONTAINERD} if has_two_stores else {}
    (folder / "daemon.json").write_text(json.dumps({"features": features}))
    if engine.plugins:
        (ROOM / "home/.docker").mkdir(mode=0o700)
        (ROOM / "home/.docker/cli-plugins").symlink_to(engine.plugins)
    places = {"data-root": "data", "exec-root": "exec", "pidfile": "pid"}
    places["config-file"] = "daemon.json"
    command = ["dockerd", *(f"--{option}={folder / name}" for option, name in places.items())]
    command += [f"--host=unix://{DOCKER_SOCKET}", "--group=0", "--iptables=false"]
    command += [f"--storage-driver={'vfs' if engine.store == GRAPH else 'native'}"]
    command += [] if can_run_containers() else ["--bridge=none"]
    # where `container` is set, dockerd leaves AppArmor alone: it could load no profile here
    return _daemon("engine", command, container="rehearsal")


def _make_certificate(settings: Settings) -> str:
    """Make a certificate authority that the whole room trusts, and one certificate.

    Return that in base64, for tokens' `x5c`.
    """
    import trustme

    authority = trustme.CA()
    hosts = [host for registry in settings.registries for host in registry.host_names]
    leaf = authority.issue_cert("localhost", *hosts)
    (certificate,) = (pem.bytes() for pem in leaf.cert_chain_pems)
    authority.cert_pem.write_to_path(str(BUNDLE))
    leaf.private_key_pem.write_to_path(str(KEY))
    CERTIFICATE.write_bytes(certificate)
    if os.path.exists(_SYSTEM_BUNDLE):
        linux.mount(str(BUNDLE), _SYSTEM_BUNDLE, flags=linux.MS_BIND)
    return "".join(certificate.decode().splitlines()[1:-1])  # without BEGIN and END


def _wait_for_services(settings: Settings, started: dict[str, _Service]) -> None:
    from rehearsal.room import registry

    answers: dict[str, Callable[[], bool]] = {"engine": _engine_answers}
    answers |= {one.name: partial(registry.answers, one) for one in settings.registries}
    end = time.monotonic() + (seconds := seconds_to_start())
    for name, service in started.items():
        while not answers[name]():
            late = time.monotonic() > end
            if late or service.poll() is not None:
                limit = f" in {seconds} s ({SECONDS_VARIABLE})" if late else ""
                raise CannotCheck(f"The room's {name} does not start{limit}: {last_line(name)}")
            time.sleep(_PAUSE)


def _engine_answers() -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(DOCKER_SOCKET))
        client.sendall(b"GET /_ping HTTP/1.0\r\nHost: engine\r\n\r\n")
        return b" 200 " in client.recv(64)
    return False


def _seed(settings: Settings) -> None:
    from rehearsal.room.images import Store, load_history

    architecture = settings.platform.rpartition("/")[2] or machine_architecture()
    for registry in settings.registries:
        history = load_history(settings.root / registry.history) if registry.history else {}
        store = Store(ROOM / "registries" / registry.name, architecture)
        store.seed(registry.images, history)


def _show_credentials(settings: Settings) -> None:
    for registry in settings.registries:
        for token, right in registry.tokens.items():
            user = f"user {registry.user}" if registry.user else "any user name"
            print(f"{registry.name}: {user}, token {token} ({right})", file=sys.stderr)


def _reap_until(pid: int) -> int:
    while True:
        ended, status = os.wait()
        if ended == pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
