"""Open a room: a sealed process tree with its own engine, registries, network and file system.

This process forks the supervisor, which forks the room's outer process (supervisor.py); that builds
its walls, and forks process 1, which becomes init.py, with nothing of this process but its standard
streams.
"""

import contextlib
import errno
import json
import os
import platform
import shlex
import shutil
import socket
import stat
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import rehearsal
from rehearsal.errors import CannotCheck
from rehearsal.room import limits, linux
from rehearsal.room.engine import SYSTEM_PATH, Engine, choose_engine
from rehearsal.room.paths import BUNDLE, DOCKER_SOCKET, ENGINE, ROOM, WORK
from rehearsal.room.services import can_run_containers, start_service
from rehearsal.room.supervisor import Plan, Runner, leave_top_cgroup, supervise
from rehearsal.room.users import choose_outer_user, show_to
from rehearsal.room.walls import Inside, modes_below
from rehearsal.room.work import read_folder
from rehearsal.settings import SECONDS_VARIABLE, Settings, seconds_to_start

PROGRAMS = ("dockerd", "docker", "containerd", "runc", "docker-registry")
"""Programs that a room runs; an engine set may have some."""
Modes = tuple[tuple[str, int], ...]
"""Paths with their modes."""
_KEPT = ("TERM", SECONDS_VARIABLE)
_MARKS_OF_CONTAINERS = ("/.dockerenv", "/run/.containerenv")
"""Files that mark a container of Docker's or Podman's; those answer clone3 with ENOSYS."""


@dataclass(frozen=True)
class Room:
    """An open room.

    Attributes:
        supervisor: the process that ends it.
        pid: its process 1, as the machine outside sees it.
        liveness_fd: our end of the pipe by which the supervisor knows that this process lives.
    """

    supervisor: int
    pid: int
    liveness_fd: int

    def wait(self) -> int:
        """Wait for the end of the room; return its command's exit status."""
        return os.waitstatus_to_exitcode(os.waitpid(self.supervisor, 0)[1])

    def close(self) -> None:
        """End the room, and wait until nothing of it is left."""
        os.close(self.liveness_fd)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.supervisor, 0)


def open_room(settings: Settings, command: list[str], files: dict[str, bytes]) -> Room:
    """Open a room that runs `command`, and ends with it; without one it only builds its walls.

    files: small files for /run/room, of a kernel; without any, the room stays in this terminal's
    session. A kernel's output goes to a log: it is started before the services, and waits for them
    itself (init.py). Raises CannotCheck where the machine cannot make a room.
    """
    engine = choose_engine(settings)
    below = tuple(modes_below(settings.root))
    inside = _inside(settings, engine, files, below)
    outer_user = choose_outer_user()

    def run() -> NoReturn:
        linux.unshare(linux.CLONE_NEWNS)  # apart from the walls
        if not command:
            os._exit(0)
        os.chdir(WORK)
        socket.sethostname("rehearsal")
        if can_run_containers():
            leave_top_cgroup()
        for number in map(int, os.listdir("/proc/self/fd")):
            with contextlib.suppress(OSError):
                os.set_inheritable(number, number <= 2)
        environment = _environment(engine, settings.platform)
        started = start_service("kernel", command, environment) if files else 0
        init = [sys.executable, "-m", "rehearsal.room.init", str(settings.root), str(started)]
        os.execve(sys.executable, [*init, *command], environment)

    trees = _show_private(settings, inside.visible, below, outer_user)
    return _fork(Plan(inside, trees, outer_user, run), in_terminal=not files)


def probe(settings: Settings) -> None:
    """Make a room's walls and run nothing; raise CannotCheck where that fails."""
    open_room(settings, [], {}).wait()


def check_machine(engine: Engine) -> list[Path]:
    """Return the folders of the programs that a room needs.

    Raises CannotCheck if one is missing, or if this machine can have no room.
    """
    if not linux.can_filter_calls():
        here = f"{platform.system()} on {platform.machine()}, Python {platform.architecture()[0]}"
        raise CannotCheck(f"A room needs a 64-bit Python on x86_64 or aarch64, Linux; not {here}.")
    seconds_to_start()
    found = {program: shutil.which(program, path=_path(engine)) for program in PROGRAMS}
    for program, path in found.items():
        if not path:
            raise CannotCheck(f"{program} is missing: run `make setup`, or put it in PATH.")
    return [Path(path).parent for path in found.values() if path]


def _fork(plan: Plan, in_terminal: bool) -> Room:
    """Return a room, once its process 1 is init.py."""
    alive, kept_alive = os.pipe()
    report, written = os.pipe()
    supervisor = os.fork()
    if not supervisor:
        os.close(kept_alive)
        os.close(report)
        if not in_terminal:
            os.setsid()
        runner = Runner(alive, written)
        runner.run(lambda: supervise(plan, runner))
    os.close(alive)
    os.close(written)
    with open(report) as lines:  # until process 1 has become init.py, or has failed to
        reported = dict(pair for line in lines for pair in json.loads(line).items())
    room = Room(supervisor, reported.get("pid", 0), kept_alive)
    if "error" in reported:
        room.close()
        raise CannotCheck(_advice(reported["error"], reported["number"]))
    return room


def _show_private(
    settings: Settings, visible: tuple[Path, ...], below: Modes, outer_user: int
) -> dict[str, int]:
    """Return mounts that show a room of root what it must read, and only some users may.

    Raises CannotCheck where there is no such mount (as on overlayfs, or in a container).
    """
    private = [] if outer_user == os.geteuid() else _private_files(visible, below)
    tops = [top for top in visible if any(path.is_relative_to(top) for path in private)]
    try:
        return show_to(outer_user, tops) if tops else {}
    except OSError as error:
        reason = str(error.strerror)
        # what commands start in is copied
        private = [path for path in private if not path.is_relative_to(settings.notebooks)]
        # without namespaces there is no room either, and other advice
        if private and not reason.startswith(("make namespaces", "map users")):
            path = private[0] if len(private) == 1 else visible[0]
            closed = f"Only its owner may read {private[0]}, and a room's root is nobody here"
            advice = f"Run: chmod -R o+rX {shlex.quote(str(path))}"
            raise CannotCheck(f"{closed} ({reason}). {advice}") from error
        return {}


def _path(engine: Engine) -> str:
    """Return PATH: this Python's and the engine's folders, the person's, the system's."""
    folders = [str(Path(sys.executable).parent), *engine.programs]
    folders += os.environ.get("PATH", "").split(os.pathsep) + SYSTEM_PATH.split(":")
    return os.pathsep.join(dict.fromkeys(folders))


def _inside(settings: Settings, engine: Engine, files: dict[str, bytes], below: Modes) -> Inside:
    seen = [settings.root, *map(Path, (sys.prefix, sys.base_prefix, engine.folder or sys.prefix))]
    # a home may hold the machine's Docker
    seen += [Path(rehearsal.__file__).parents[1], *check_machine(engine)]
    visible = tuple(form for path in seen for form in (path, path.resolve()))
    here = Path.cwd()
    # a person's folder of the project, for `rehearsal room`
    work = here if settings.root in here.parents else settings.notebooks
    return Inside(
        visible=visible,
        work=read_folder(work) if work.is_dir() else b"",
        sockets=_reachable_sockets(below),
        registries=settings.registries,
        size=limits.for_files(),
        files=files | {ENGINE.name: json.dumps(vars(engine)).encode()},
    )


def _reachable_sockets(below: Modes) -> tuple[str, ...]:
    """Return the machine's unix sockets, and sockets and pipes in the project: all are visible."""
    with open("/proc/net/unix", errors="surrogateescape") as table:
        paths = {line.rstrip("\n").split(" ", 7)[-1].strip() for line in table}
    paths |= {path for path, mode in below if stat.S_ISSOCK(mode) or stat.S_ISFIFO(mode)}
    return tuple(sorted(path for path in paths if path.startswith("/")))


def _private_files(visible: tuple[Path, ...], below: Modes) -> list[Path]:
    """Return what a room must read, and only some users may; the project's first.

    Nothing of the folder that commands start in: it is copied.
    """
    package = modes_below(Path(rehearsal.__file__).parent)
    needed = [path for path in (*visible, Path(sys.executable)) if path.exists()]
    modes = (*below, *package, *((str(path), path.stat().st_mode) for path in needed))
    found = [Path(path) for path, mode in modes if _is_private(mode)]
    return found + [top for top in visible if any(map(_keeps_root_out, top.parents))]


def _is_private(mode: int) -> bool:
    needed = {stat.S_IFDIR: 0o5, stat.S_IFREG: 0o4}.get(stat.S_IFMT(mode), 0)
    return mode & needed != needed


def _keeps_root_out(folder: Path) -> bool:
    """Whether root may enter a folder by its special rights alone, which process 1 lacks."""
    status = folder.stat()
    return status.st_uid != os.geteuid() and not status.st_mode & stat.S_IXOTH


def _environment(engine: Engine, images: str) -> dict[str, str]:
    """Return the environment of a room: an allow-list, so that no token gets in."""
    home, bundle = f"{ROOM}/home", str(BUNDLE)
    own = {"SSL_CERT_FILE": bundle, "REQUESTS_CA_BUNDLE": bundle, "LANG": "C.UTF-8", "TZ": "UTC"}
    own |= {"DOCKER_HOST": f"unix://{DOCKER_SOCKET}", "DOCKER_DEFAULT_PLATFORM": images}
    own |= {"HOME": home, "DOCKER_CONFIG": f"{home}/.docker", "TMPDIR": "/tmp"}
    # a tmpfs of its own: a kernel must be able to say that the room is full
    own |= {"IPYTHONDIR": f"{ROOM}/log/ipython", "PATH": _path(engine)}
    return own | {name: value for name, value in os.environ.items() if name in _KEPT}


def _advice(error: str, number: int) -> str:
    """Return the advice for a step that failed with this errno."""
    texts = tomllib.loads(Path(__file__).with_name("advice.toml").read_text())
    why = texts[_cause(error, number)].format(size=limits.for_files(), machine=platform.machine())
    return f"No room can be made here ({error}): {why}"


def _cause(error: str, number: int) -> str:
    refused = number in (errno.EPERM, errno.EACCES)
    if number == errno.EPERM and error.startswith("map users") and os.geteuid() == 0:
        return "rights"
    if (refused or number == errno.ENOSYS) and any(map(os.path.exists, _MARKS_OF_CONTAINERS)):
        return "emulated" if number == errno.ENOSYS else "container"
    space = number == errno.ENOSPC and not error.startswith("make namespaces")
    if space or (number == errno.EINVAL and error.startswith("mount tmpfs")):
        return "memory"
    return "namespaces" if refused or number in (errno.ENOSPC, errno.EINVAL) else "kernel"
