"""The walls of a room: read-only views of a list of the machine's folders, and new ones.

An allow-list: what is not listed does not exist inside. So a person's home, other sockets and disks
cannot be reached, on machines that nobody has tried yet too.
"""

import errno
import os
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path

from rehearsal.room import linux
from rehearsal.room.linux import MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_PRIVATE, MS_REC
from rehearsal.room.paths import PROJECT, ROOM, STATE, WORK
from rehearsal.settings import Registry

_OLD = "/mnt"
_SYSTEM = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "etc", "opt", "nix", "sys")
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_HOST_WIDE = ("sys", "sysrq-trigger", "irq", "bus", "fs")
_FRESH = MS_NOSUID | MS_NODEV


@dataclass(frozen=True)
class Inside:
    """What one room shows.

    Attributes:
        visible: folders shown read-only at their own paths (the project, the Python in use).
        sockets: unix sockets below those, to be covered.
        work: the folder whose copy commands start in, or None for an empty one.
        registries: whose addresses and host names it has.
        size: the limit of each writable place, in tmpfs's words (all of it is memory).
        files: small files of /run/room, readable by their owner alone.
    """

    visible: tuple[Path, ...]
    sockets: tuple[str, ...]
    work: Path | None
    registries: tuple[Registry, ...]
    size: str
    files: dict[str, bytes]


def seal(inside: Inside, containers: bool) -> None:
    """Turn this process's new namespaces into a room.

    Raises OSError, whose text names the step that failed.
    """
    socket.sethostname("rehearsal")
    linux.raise_loopback(one.address for one in inside.registries)
    linux.mount("none", "/", flags=MS_REC | MS_PRIVATE)
    # before become_root: afterwards this process may not be allowed to open their paths
    trees = _trees(inside)
    linux.become_root()
    linux.die_with_parent()  # again: a change of user takes it back
    _new_root(inside, trees)
    _make_folders(inside)
    if os.path.isdir("/etc/docker"):
        _fresh("/etc/docker", "1m")
    _processes()
    _devices()
    if containers:
        _containers()
    linux.mount(str(ROOM / "hosts"), "/etc/hosts", flags=MS_BIND)
    linux.detach(_OLD)
    linux.make_read_only("/", below=False)
    os.chdir(WORK)


def _fresh(target: str, size: str, mode: str = "755") -> None:
    """Mount an empty file system in memory, at a folder that is made where it is missing."""
    os.makedirs(target, exist_ok=True)
    linux.mount("tmpfs", target, "tmpfs", _FRESH, f"size={size},mode={mode}")


def _trees(inside: Inside) -> dict[str, int]:
    """Return copies of the mounts that the room shows, the system's first."""
    system = [f"/{name}" for name in _SYSTEM if os.path.isdir(f"/{name}")]
    trees = {path: linux.clone_tree(path) for path in system if not os.path.islink(path)}
    for path in map(str, inside.visible):
        if not any(f"{path}/".startswith(f"{other}/") for other in trees):
            trees[path] = linux.clone_tree(path)
    return trees


def _new_root(inside: Inside, trees: dict[str, int]) -> None:
    """Build a root file system in memory; the machine's own stays at _OLD until the end."""
    linux.mount("tmpfs", "/tmp", "tmpfs", _FRESH, "mode=755")
    os.mkdir(f"/tmp{_OLD}")
    linux.pivot_root("/tmp", f"/tmp{_OLD}")
    os.chdir("/")
    for place, mode in (("/run", "755"), ("/tmp", "1777"), ("/var/tmp", "1777")):
        _fresh(place, inside.size, mode)
    for name in ("/proc", "/dev", "/root"):
        os.mkdir(name)
    os.symlink("/run", "/var/run")
    for name in _SYSTEM:
        if os.path.islink(f"{_OLD}/{name}"):
            os.symlink(os.readlink(f"{_OLD}/{name}"), f"/{name}")
    for path, tree in trees.items():
        os.makedirs(path, exist_ok=True)
        linux.attach(tree, path)
        linux.make_read_only(path)
    for socket_path in inside.sockets:
        if os.path.exists(socket_path):
            linux.mount(f"{_OLD}/dev/null", socket_path, flags=MS_BIND)


def _make_folders(inside: Inside) -> None:
    for folder in (ROOM, ROOM / "home", ROOM / "log", ROOM / "engine", STATE):
        folder.mkdir()
    for place, size in ((STATE, "64k"), (ROOM / "log", "64m"), (ROOM / "home", inside.size)):
        _fresh(str(place), size)
    if inside.work is None:
        WORK.mkdir()
    else:
        _copy_work(inside.work)
    PROJECT.symlink_to(inside.visible[0])
    hosts = (f"{one.address} {' '.join(one.hosts)}\n" for one in inside.registries)
    (ROOM / "hosts").write_text("127.0.0.1 localhost rehearsal\n" + "".join(hosts))
    for name, content in inside.files.items():
        with open(os.open(ROOM / name, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:
            file.write(content)


def _copy_work(folder: Path) -> None:
    try:
        shutil.copytree(folder, WORK, symlinks=True)
    except shutil.Error as error:
        reason = str(error.args[0][0][2])  # of the first file that failed
        number = errno.ENOSPC if os.strerror(errno.ENOSPC) in reason else errno.EIO
        raise OSError(number, f"copy {folder}: {reason}") from error


def _processes() -> None:
    """Mount the room's own /proc; of the kernel's settings only the network's are writable."""
    linux.mount("proc", "/proc", "proc", _FRESH | MS_NOEXEC)
    # held open, to be mounted writable upon the read-only /proc/sys
    network = os.open("/proc/sys/net", os.O_PATH)
    for name in _HOST_WIDE:
        if os.path.exists(f"/proc/{name}"):
            linux.mount(f"/proc/{name}", f"/proc/{name}", flags=MS_BIND)
            linux.make_read_only(f"/proc/{name}")
    linux.mount(f"/proc/self/fd/{network}", "/proc/sys/net", flags=MS_BIND)
    os.close(network)
    for scope in ("all", "default"):
        # the engine's idle bridge would make a connection wait instead of fail
        Path(f"/proc/sys/net/ipv4/conf/{scope}/ignore_routes_with_linkdown").write_text("1")


def _devices() -> None:
    linux.mount("tmpfs", "/dev", "tmpfs", MS_NOSUID, "size=1m,mode=755")
    for name in _DEVICES:
        Path("/dev", name).touch()
        linux.mount(f"{_OLD}/dev/{name}", f"/dev/{name}", flags=MS_BIND)
    for name, target in (("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        os.symlink(f"/proc/self/{target}", f"/dev/{name}")
    os.mkdir("/dev/pts")
    terminals = "newinstance,ptmxmode=0666,mode=620"
    linux.mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, terminals)
    os.symlink("pts/ptmx", "/dev/ptmx")
    _fresh("/dev/shm", "64m", "1777")


def _containers() -> None:
    """Give the engine a cgroup tree of its own, whose root must hold no process (cgroups(7))."""
    linux.unshare(linux.CLONE_NEWCGROUP)
    # a tmpfs in between: the kernel refuses cgroup2 upon cgroup2, which most machines have there
    _fresh("/sys/fs/cgroup", "4k")
    linux.mount("cgroup2", "/sys/fs/cgroup", "cgroup2", _FRESH | MS_NOEXEC)
    os.mkdir("/sys/fs/cgroup/room")
    Path("/sys/fs/cgroup/room/cgroup.procs").write_text("0")
