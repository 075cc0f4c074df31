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
import sys
from functools import partial
from pathlib import Path
from types import FrameType

from rehearsal.errors import CannotCheck
from rehearsal.room import limits, linux
from rehearsal.room.engine import CONTAINERD, GRAPH, Engine, machine_architecture, read_engine
from rehearsal.room.paths import BUNDLE, CERTIFICATE, DOCKER_SOCKET, ENGINE, KEY, ROOM
from rehearsal.room.services import STARTED, can_run_containers, last_line, start_service, wait_for
from rehearsal.settings import Settings, load_settings

_SYSTEM_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_SECONDS_BETWEEN_LOOKS = 0.2


def main(arguments: list[str]) -> int:
    """Run one room to its end; return its command's exit status."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP):
        # not SIG_IGN: exec resets handlers, so the command gets the default
        signal.signal(number, lambda *_: None)
    signal.signal(signal.SIGALRM, _end_if_too_many)
    signal.setitimer(signal.ITIMER_REAL, _SECONDS_BETWEEN_LOOKS, _SECONDS_BETWEEN_LOOKS)
    project, started_before, *command = arguments
    settings, kernel = load_settings(Path(project)), int(started_before)
    reason = _why_not_started(settings)
    new = STARTED.with_suffix(".new")
    new.write_text(reason)
    new.rename(STARTED)
    if kernel:
        status = _reap_until(kernel)
        if 0 < status < 128:  # that a signal ended it is reported by whoever talks to it
            print(f"The kernel ended with status {status}: {last_line('kernel')}", file=sys.stderr)
        return status
    if reason:
        print(reason, file=sys.stderr)
        return CannotCheck.status
    _show_credentials(settings)
    pid = _start(command)
    with contextlib.suppress(PermissionError):  # where it leads its session already
        os.setsid()  # the kernel shares out time by sessions: a full room must not starve this one
    return _reap_until(pid)


def _end_if_too_many(number: int, frame: FrameType | None) -> None:
    if limits.are_too_many():
        os.write(2, f"{limits.TOO_MANY}\n".encode())
        os._exit(CannotCheck.status)


def _start(command: list[str]) -> int:
    """Start the room's command and return its PID."""
    try:
        return os.posix_spawnp(command[0], command, os.environ)
    except OSError as error:
        print(f"{command[0]} cannot be run in the room: {error.strerror}.", file=sys.stderr)
        sys.exit(127 if isinstance(error, FileNotFoundError) else 126)


def _why_not_started(settings: Settings) -> str:
    """Start the services, and return why that failed, or nothing once all of them answer."""
    try:
        _start_services(settings)
    except (CannotCheck, OSError) as error:
        reason = f"The room could not be set up. {error}"
        if os.strerror(errno.ENOSPC).lower() in reason.lower():
            return f"{reason} The room is full: free memory, or set REHEARSAL_ROOM_SIZE."
        return reason
    return ""


def _start_services(settings: Settings) -> None:
    """Start engine, registries and token services, the slowest first, and wait for them."""
    engine = _start_engine(read_engine(ENGINE))
    _make_certificate(settings)
    # meanwhile the engine starts
    from rehearsal.room import leftovers, registry, scripted, tokens

    started = [(one, registry.start_registry(one)) for one in settings.registries]
    for one in filter(lambda one: one.tokens, settings.registries):
        scripted.Server((one.address, tokens.PORT), partial(tokens.issue, one))
    _seed(settings)
    wait_for("engine", engine, lambda: leftovers.ask_engine("/networks"))
    for one, pid in started:
        registry.wait_for_registry(one, pid)


def _start_engine(engine: Engine) -> int:
    """Start dockerd, with storage drivers that need nothing of the kernel: outputs do not vary."""
    folder = ROOM / "engine"
    features = {"containerd-snapshotter": engine.store == CONTAINERD}
    (folder / "daemon.json").write_text(json.dumps({"features": features}))
    if engine.plugins:
        (ROOM / "home/.docker").mkdir(mode=0o700)
        (ROOM / "home/.docker/cli-plugins").symlink_to(engine.plugins)
    command = ["dockerd", f"--data-root={folder}/data", f"--exec-root={folder}/exec"]
    command += [f"--pidfile={folder}/pid", f"--config-file={folder}/daemon.json"]
    command += [f"--host=unix://{DOCKER_SOCKET}", "--group=0", "--iptables=false"]
    command += [f"--storage-driver={'vfs' if engine.store == GRAPH else 'native'}"]
    command += [] if can_run_containers() else ["--bridge=none"]
    # where `container` is set, dockerd leaves AppArmor alone: it could load no profile here
    return start_service("engine", command, os.environ | {"container": "rehearsal"})


def _make_certificate(settings: Settings) -> None:
    """Make a certificate authority that the whole room trusts, and one certificate."""
    import trustme

    authority = trustme.CA()
    hosts = [host for registry in settings.registries for host in registry.host_names]
    leaf = authority.issue_cert("localhost", *hosts)
    authority.cert_pem.write_to_path(str(BUNDLE))
    leaf.private_key_pem.write_to_path(str(KEY))
    leaf.cert_chain_pems[0].write_to_path(str(CERTIFICATE))
    if os.path.exists(_SYSTEM_BUNDLE):
        linux.mount(str(BUNDLE), _SYSTEM_BUNDLE, flags=linux.MS_BIND)


def _seed(settings: Settings) -> None:
    from rehearsal.room.images import Store, load_history

    architecture = settings.platform.rpartition("/")[2] or machine_architecture()
    for registry in settings.registries:
        history = load_history(settings.root / registry.history) if registry.history else {}
        Store(ROOM / "registries" / registry.name, architecture).seed(registry.images, history)


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
