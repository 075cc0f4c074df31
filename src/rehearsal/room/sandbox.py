"""Open a room: a sealed process tree with its own engine, registries, network and file system.

The runner (this process) forks a keeper; the keeper makes the namespaces and forks the room's first
process, which seals itself in (sealing.py) and then runs services.py with nothing of this process
but its standard streams.
"""

import contextlib
import errno
import json
import os
import shutil
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import rehearsal
from rehearsal.errors import CannotCheck
from rehearsal.room.engine import SYSTEM_PATH, Engine, as_file, choose_engine
from rehearsal.room.paths import BUNDLE, DOCKER_SOCKET, ENGINE, ROOM
from rehearsal.room.supervisor import keep
from rehearsal.room.walls import Inside, seal
from rehearsal.settings import Settings

PROGRAMS = {
    "dockerd": "docker.io",
    "docker": "docker.io",
    "containerd": "containerd",
    "runc": "runc",
    "docker-registry": "docker-registry",
}
"""What a room runs, each with the Debian package that has it; an engine's own set may have it
too.
"""
_USERS = 65536
_FIRST_USER = 2_100_000_000
"""Who root's rooms run as on the machine: nobody there has these numbers, so nothing there is
theirs.
"""
_LARGE = (".venv", "node_modules")
_MARKS_OF_CONTAINERS = ("/.dockerenv", "/run/.containerenv")
"""Files by which Docker and Podman mark what they start."""


@dataclass(frozen=True)
class Room:
    """A room that runs.

    `pid` is its first process as the machine outside sees it; `path` leads into its files.
    """

    keeper: int
    pid: int
    alive: int

    @property
    def path(self) -> Path:
        """The room's root folder, seen from outside; gone with the room."""
        return Path(f"/proc/{self.pid}/root")

    def wait(self) -> int:
        """Return the exit status of the room's command once all of the room has ended."""
        return os.waitstatus_to_exitcode(os.waitpid(self.keeper, 0)[1])

    def close(self) -> None:
        """End the room and all in it, and wait until nothing of it is left."""
        os.close(self.alive)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.keeper, 0)


def open_room(
    settings: Settings,
    command: list[str],
    *,
    files: dict[str, bytes],
    in_terminal: bool = False,
    at_once: bool = False,
) -> Room:
    """Start a room that runs `command` and ends with it.

    Raises CannotCheck where the machine cannot make one.

    files: small files the command finds in /run/room. in_terminal: leave the room its place in this
    terminal. at_once: start the command beside the services, and let it wait for them (see
    services.py), its output in a log.
    """
    engine = choose_engine(settings)
    check_machine(engine)
    inside = _inside(settings, engine, files | {ENGINE.name: as_file(engine)})

    def enter(containers: bool) -> NoReturn:
        seal(inside, containers)
        for number in os.listdir("/proc/self/fd")[3:]:
            with contextlib.suppress(OSError):
                os.set_inheritable(int(number), False)
        environment = _environment(engine)
        started = _start_beside(command, environment) if at_once else 0
        services = [
            sys.executable,
            "-m",
            "rehearsal.room.init",
            str(settings.root),
            str(started),
            *command,
        ]
        os.execve(sys.executable, services, environment)

    return _fork(enter, _first_user(inside), in_terminal)


def _start_beside(command: list[str], environment: dict[str, str]) -> int:
    log = os.open(ROOM / "log/kernel", os.O_CREAT | os.O_WRONLY)
    streams = [(os.POSIX_SPAWN_DUP2, log, number) for number in (1, 2)]
    return os.posix_spawn(command[0], command, environment, file_actions=streams, setsid=True)


def probe(settings: Settings) -> None:
    """Make the walls of a room and run nothing in it.

    Raises CannotCheck where this machine cannot.
    """
    engine = choose_engine(settings)
    check_machine(engine)
    inside = _inside(settings, engine, {})

    def enter(containers: bool) -> NoReturn:
        seal(inside, containers)
        os._exit(0)

    _fork(enter, _first_user(inside), in_terminal=False).wait()


def _first_user(inside: Inside) -> int:
    """Return who the room's root is on the machine: this user.

    For root nobody, if all may read what the room needs.
    """
    if os.geteuid() != 0:
        return os.geteuid()
    needed = [*inside.visible, inside.visible[0] / "pyproject.toml", Path(sys.executable)]
    needed += Path(rehearsal.__file__).parent.rglob("*.*")
    if inside.work:
        needed += [inside.work, *inside.work.glob("**/*")]
    return (
        _FIRST_USER
        if _is_free("uid") and _is_free("gid") and all(map(_all_may_read, needed))
        else 0
    )


def _is_free(kind: str) -> bool:
    """Return whether this process may map the numbers.

    Not in a container that has only some of its own.
    """
    ranges = [
        map(int, line.split()) for line in Path(f"/proc/self/{kind}_map").read_text().splitlines()
    ]
    return any(
        first <= _FIRST_USER and first + count >= _FIRST_USER + _USERS for first, _, count in ranges
    )


def _all_may_read(path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        mode = path.stat().st_mode
        return bool(mode & stat.S_IROTH) and (not stat.S_ISDIR(mode) or bool(mode & stat.S_IXOTH))
    return True


def _fork(enter: Callable[[bool], NoReturn], first_user: int, in_terminal: bool) -> Room:
    alive, kept_alive = os.pipe()
    report, told = os.pipe()
    mapped, say_mapped = os.pipe()
    keeper = os.fork()
    if not keeper:
        for ours in (kept_alive, report, say_mapped):
            os.close(ours)
        if not in_terminal:
            os.setsid()
        keep(enter, first_user, alive, told, mapped)
    for theirs in (alive, told, mapped):
        os.close(theirs)
    try:
        return Room(keeper, _first_process(first_user, report, say_mapped), kept_alive)
    except CannotCheck:
        os.close(kept_alive)
        os.waitpid(keeper, 0)
        raise


def check_machine(engine: Engine) -> None:
    """Raise CannotCheck where what a room is made of is missing."""
    if sys.platform != "linux":
        raise CannotCheck(
            "A room needs Linux: its walls are the Linux kernel's namespaces. Use a Linux machine"
            " or VM."
        )
    for program, package in PROGRAMS.items():
        if not shutil.which(program, path=_path(engine)):
            raise CannotCheck(
                f"{program} is missing, so no room can be made: install the Debian package"
                f" {package}."
            )


def _path(engine: Engine) -> str:
    """Return the person's PATH between this Python's and the engine's folders and the system's."""
    folders = [
        str(Path(sys.executable).parent),
        *engine.programs,
        *os.environ.get("PATH", "").split(os.pathsep),
        *SYSTEM_PATH.split(":"),
    ]
    return os.pathsep.join(dict.fromkeys(folders))


def _inside(settings: Settings, engine: Engine, files: dict[str, bytes]) -> Inside:
    seen = [
        settings.root,
        Path(sys.prefix),
        Path(sys.base_prefix),
        Path(rehearsal.__file__).parents[1],
    ]
    seen += [Path(engine.folder)] if engine.folder else []
    found = (
        shutil.which(program, path=_path(engine)) for program in PROGRAMS
    )  # a home may hold the machine's Docker
    seen += [Path(program).parent for program in found if program]
    here = Path.cwd()
    work = here if settings.root in here.parents else settings.notebooks
    names = "\n".join(
        f"{registry.address} {' '.join(registry.hosts)}" for registry in settings.registries
    )
    return Inside(
        visible=tuple(form for path in seen for form in (path, path.resolve())),
        work=work if work.is_dir() else None,
        sockets=_doors(settings.root),
        addresses=tuple(registry.address for registry in settings.registries),
        hosts=f"127.0.0.1 localhost rehearsal\n{names}\n",
        size=_size(),
        files=files,
    )


def _doors(project: Path) -> tuple[str, ...]:
    """Return the machine's unix sockets, and the sockets and pipes in the project.

    A room sees them, and could talk.
    """
    with open("/proc/net/unix") as table:
        paths = {line.rstrip("\n").split(" ", 7)[-1].strip() for line in table}
    for folder, folders, names in os.walk(project):
        folders[:] = [name for name in folders if name not in _LARGE]
        for name in names:
            path = os.path.join(folder, name)
            with contextlib.suppress(OSError):
                mode = os.lstat(path).st_mode
                if stat.S_ISSOCK(mode) or stat.S_ISFIFO(mode):
                    paths.add(path)
    return tuple(sorted(path for path in paths if path.startswith("/")))


def _size() -> str:
    size = os.environ.get("REHEARSAL_ROOM_SIZE", "50%")
    if not size.strip("0kmgKMG%"):
        raise CannotCheck(
            f"REHEARSAL_ROOM_SIZE is {size!r}, which is no limit: set a size or a part of memory."
        )
    return size


def _environment(engine: Engine) -> dict[str, str]:
    """The whole environment of a room.

    An allow-list, so that no token of the person's can be in it.
    """
    kept = {name: os.environ[name] for name in ("TERM",) if name in os.environ}
    return kept | {
        "PATH": _path(engine),
        "HOME": str(ROOM / "home"),
        "DOCKER_CONFIG": str(ROOM / "home/.docker"),
        "DOCKER_HOST": f"unix://{DOCKER_SOCKET}",
        "SSL_CERT_FILE": str(BUNDLE),
        "REQUESTS_CA_BUNDLE": str(BUNDLE),
        "TMPDIR": "/tmp",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
    }


def _first_process(first_user: int, report: int, say_mapped: int) -> int:
    """Follow the keeper's report to its end and return the PID of the room's first process."""
    pid = 0
    with open(report) as lines:
        for line in lines:
            message = json.loads(line)
            if "error" in message:
                raise CannotCheck(_advice(message["error"], message["number"]))
            if "unshared" in message:
                with os.fdopen(
                    say_mapped, "wb", buffering=0
                ) as mapped:  # closed in any case: the other end waits
                    try:
                        _map_users(message["unshared"], first_user)
                    except OSError as error:
                        raise CannotCheck(
                            _advice(f"map users: {error.strerror}", error.errno or 0)
                        ) from error
                    mapped.write(b"1")
            pid = message.get("pid", pid)
    return pid


def _map_users(maker: int, first: int) -> None:
    """Map the room's root; for root the other users too, as images hold files of theirs."""
    root = os.geteuid() == 0
    Path(f"/proc/{maker}/setgroups").write_text("allow" if root else "deny")
    for kind, user in (("uid", first), ("gid", first if root else os.getegid())):
        mapping = _ranges_here(kind) if root and first == 0 else f"0 {user} {_USERS if root else 1}"
        Path(f"/proc/{maker}/{kind}_map").write_text(mapping)


def _ranges_here(kind: str) -> str:
    """Return a map of each number to itself, range by range as they are here.

    One may not span two (rootlesskit).
    """
    ranges = [
        map(int, line.split()) for line in Path(f"/proc/self/{kind}_map").read_text().splitlines()
    ]
    kept = [(first, min(count, _USERS - first)) for first, _, count in ranges if first < _USERS]
    return "\n".join(f"{first} {first} {count}" for first, count in kept)


def _advice(error: str, number: int) -> str:
    said = f"No room can be made here ({error})"
    if number == errno.EPERM and error.startswith("map users") and os.geteuid() == 0:
        return (
            f"{said}: root has lost the right to map users here (CAP_SETUID, CAP_SETGID). Start"
            " this with its capabilities; a container without --cap-drop."
        )
    if number in (errno.EPERM, errno.EACCES) and any(map(os.path.exists, _MARKS_OF_CONTAINERS)):
        return (
            f"{said}: this is a container, and its engine forbids that. Start it with"
            " --security-opt seccomp=unconfined --security-opt systempaths=unconfined; see README,"
            " «On other machines»."
        )
    space = number == errno.ENOSPC and not error.startswith("make namespaces")
    if space or (number == errno.EINVAL and error.startswith("mount tmpfs")):
        return (
            f"{said}: free memory, or set REHEARSAL_ROOM_SIZE (now {_size()!r}) to a size or a part"
            " of memory."
        )
    if number in (errno.EPERM, errno.EACCES, errno.ENOSPC, errno.EINVAL):
        return (
            f"{said}: this machine does not let you make user namespaces. As root, set the sysctls "
            "user.max_user_namespaces above 0, kernel.unprivileged_userns_clone to 1 and "
            "kernel.apparmor_restrict_unprivileged_userns to 0, those that exist."
        )
    return f"{said}: a room needs Linux 5.12 or newer with its namespaces."
