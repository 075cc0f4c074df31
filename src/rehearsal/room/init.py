"""Process 1 of a room: starts its services, then its command, and reaps every process.

`init PROJECT PID COMMAND…`: PID is a kernel that was started before the services, whose first shell
cell waits for READY; with PID 0 the command is started once the services answer. Ends with the
command's exit status, and the whole room with it.
"""

import base64
import errno
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from rehearsal.errors import CannotCheck
from rehearsal.room import linux
from rehearsal.room.engine import CONTAINERD, GRAPH, Engine, read_engine
from rehearsal.room.paths import BUNDLE, CERTIFICATE, DOCKER_SOCKET, ENGINE, KEY, ROOM, STATE
from rehearsal.settings import Registry, Settings, load_settings

READY, FAILED = STATE / "ready", STATE / "failed"
_LOG = ROOM / "log"
_SYSTEM_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_SECONDS_TO_START = 30.0
_PAUSE = 0.01


def wait_until_ready() -> None:
    """Wait until the room's engine and registries answer.

    Raises CannotCheck, with the reason, if they failed to start.
    """
    while not READY.exists():
        if FAILED.exists():
            raise CannotCheck(FAILED.read_text())
        time.sleep(_PAUSE)


def main(arguments: list[str]) -> int:
    """Run one room to its end; return its command's exit status."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _let_the_command_decide)
    project, started_before, *command = arguments
    kernel = int(started_before)
    try:
        settings = load_settings(Path(project))
        started = _start_services(settings)
        _seed(settings)
        _wait_for_services(settings, started)
    except (CannotCheck, OSError) as error:
        FAILED.with_suffix(".new").write_text(_reason(error))
        FAILED.with_suffix(".new").rename(FAILED)
        if not kernel:
            print(_reason(error), file=sys.stderr)
            return CannotCheck.status
    else:
        READY.touch()
    if not kernel:
        _show_credentials(settings)
    status = _reap_until(kernel or _start(command))
    if kernel and status:
        said = _last_line("kernel")
        print(f"The kernel in the room ended with status {status}: {said}", file=sys.stderr)
    return status


def _let_the_command_decide(number: int, frame: FrameType | None) -> None:
    """A handler, not SIG_IGN: exec resets handlers, so the child gets the default."""


def _start(command: list[str]) -> int:
    """Start the room's command and return its PID.

    posix_spawn, as a Popen could take the status that _reap_until waits for.
    """
    try:
        return os.posix_spawnp(command[0], command, os.environ)
    except OSError as error:
        print(f"{command[0]} cannot be run in the room: {error.strerror}.", file=sys.stderr)
        sys.exit(127 if isinstance(error, FileNotFoundError) else 126)


def _reason(error: Exception) -> str:
    ours = isinstance(error, CannotCheck)
    said = str(error) if ours else f"The room could not be set up: {error}."
    full = os.strerror(errno.ENOSPC).lower() in said.lower()
    return f"{said} The room is full: free memory, or set REHEARSAL_ROOM_SIZE." if full else said


def _start_services(settings: Settings) -> dict[str, subprocess.Popen[bytes]]:
    """Start engine, registries and token services, the slowest first."""
    started = {"engine": _start_engine(read_engine(ENGINE))}
    chain = _make_certificates(settings)
    from rehearsal.room import registry, scripted, tokens

    for one in settings.registries:
        registry.write_configuration(one)
        started[one.name] = _serve(one)
        if one.tokens:
            issuer = tokens.Issuer(one, KEY.read_bytes(), chain, registry.note_refused)
            scripted.start(one.address, tokens.PORT, issuer)

    def start_again(number: int, frame: FrameType | None) -> None:
        """Restart the registries that a scripted server replaced."""
        for one in settings.registries:
            if started[one.name].poll() is not None:
                started[one.name] = _serve(one)

    signal.signal(signal.SIGUSR1, start_again)
    return started


def _serve(one: Registry) -> subprocess.Popen[bytes]:
    from rehearsal.room.registry import configuration_file

    return _daemon(one.name, ["docker-registry", "serve", str(configuration_file(one))])


def _daemon(name: str, command: list[str], **more: str) -> subprocess.Popen[bytes]:
    """Start a service without a terminal; its output goes to a log of the room."""
    with open(_LOG / name, "ab") as log:
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
    old = engine.series.startswith("20.")
    features = {} if old else {"containerd-snapshotter": engine.store == CONTAINERD}
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
    return _daemon("engine", command, container="rehearsal")


def can_run_containers() -> bool:
    """Whether this room has a cgroup tree of its own, which containers need."""
    return os.path.isdir("/sys/fs/cgroup/room")


def _make_certificates(settings: Settings) -> tuple[str, ...]:
    """Make a certificate authority that the whole room trusts, and one certificate.

    Return its chain, for tokens' `x5c`.
    """
    import trustme

    authority = trustme.CA()
    leaf = authority.issue_cert(
        *(host for registry in settings.registries for host in registry.hosts)
    )
    authority.cert_pem.write_to_path(str(BUNDLE))
    leaf.private_key_pem.write_to_path(str(KEY))
    CERTIFICATE.write_bytes(b"".join(part.bytes() for part in leaf.cert_chain_pems))
    if os.path.exists(_SYSTEM_BUNDLE):
        linux.mount(str(BUNDLE), _SYSTEM_BUNDLE, flags=linux.MS_BIND)
    chain = (ssl.PEM_cert_to_DER_cert(part.bytes().decode()) for part in leaf.cert_chain_pems)
    return tuple(base64.b64encode(certificate).decode() for certificate in chain)


def _wait_for_services(settings: Settings, started: dict[str, subprocess.Popen[bytes]]) -> None:
    end = time.monotonic() + _SECONDS_TO_START
    addresses = {registry.name: (registry.address, 443) for registry in settings.registries}
    waiting = set(started)
    while waiting := {
        name for name in waiting if not _answers(addresses.get(name, str(DOCKER_SOCKET)))
    }:
        for name in waiting:
            if started[name].poll() is not None or time.monotonic() > end:
                raise CannotCheck(f"The room's {name} does not start: {_last_line(name)}")
        time.sleep(_PAUSE)


def _answers(address: str | tuple[str, int]) -> bool:
    kind = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(kind, socket.SOCK_STREAM) as client:
        try:
            client.connect(address)
            if isinstance(address, str):
                client.sendall(b"GET /_ping HTTP/1.0\r\nHost: engine\r\n\r\n")
                return b" 200 " in client.recv(64)
        except OSError:
            return False
    return True


def _last_line(name: str) -> str:
    lines = (_LOG / name).read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def _seed(settings: Settings) -> None:
    from rehearsal.room.images import Store, load_history

    for registry in settings.registries:
        history = load_history(settings.root / registry.history) if registry.history else {}
        Store(ROOM / "registries" / registry.name).seed(registry.images, history)


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
