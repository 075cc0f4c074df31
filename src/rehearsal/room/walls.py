"""The walls of a room: read-only views of a list of the machine's folders, and new ones.

An allow-list: what is not listed does not exist inside. So a person's home, other sockets and disks
cannot be reached, on machines that nobody has tried yet too.
"""

import contextlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rehearsal.room import linux
from rehearsal.room.linux import MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_PRIVATE, MS_REC
from rehearsal.room.paths import PROJECT, ROOM, STATE, WORK
from rehearsal.room.work import write_folder
from rehearsal.settings import NETWORK, Registry

_OLD = "/.rehearsal"
"""Where the machine's own root is meanwhile: no path that a room shows begins so."""
_SYSTEM = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "etc", "opt", "nix", "sys")
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_HOST_WIDE = ("sys", "sysrq-trigger", "irq", "bus", "fs")
_FRESH = MS_NOSUID | MS_NODEV
_LARGE = (".venv", "node_modules")


@dataclass(frozen=True)
class Inside:
    """What one room shows.

    Attributes:
        visible: folders shown read-only at their own paths (the project, the Python in use).
        sockets: unix sockets below those, to be covered.
        work: the folder that commands start in, as a tar.
        registries: whose addresses and host names it has.
        size: the limit of all that is written, in tmpfs's words (all of it is memory).
        files: small files of /run/room, readable by their owner alone.
    """

    visible: tuple[Path, ...]
    sockets: tuple[str, ...]
    work: bytes
    registries: tuple[Registry, ...]
    size: str
    files: dict[str, bytes]


def seal(inside: Inside, trees: Mapping[str, int], containers: bool) -> None:
    """Turn the outer mount namespace into what a room shows, with the inner network and processes.

    trees: what `open_trees` returned. Raises OSError, whose text is the step that failed.
    """
    _new_root(inside, trees)
    _make_folders(inside)
    linux.mount("proc", "/proc", "proc", _FRESH | MS_NOEXEC)
    linux.raise_loopback(f"{NETWORK}.1")
    _cover_kernel()
    if containers:
        _containers()
    linux.detach(_OLD)
    _keep_uncovered()
    linux.protect("/", below=False)


def _fresh(target: str, size: str, mode: str = "755") -> None:
    """Mount an empty file system in memory, at a folder that is made where it is missing."""
    os.makedirs(target, exist_ok=True)
    linux.mount("tmpfs", target, "tmpfs", _FRESH, f"size={size},mode={mode}")


def open_trees(inside: Inside, given: Mapping[str, int]) -> dict[str, int]:
    """Return copies of the mounts that the room shows, the system's first.

    given: those to be taken in place of others. Raises OSError.
    """
    linux.mount("none", "/", flags=MS_REC | MS_PRIVATE)
    system = [f"/{name}" for name in _SYSTEM if os.path.isdir(f"/{name}")]
    trees = {path: linux.clone_tree(path) for path in system if not os.path.islink(path)}
    for path in map(str, inside.visible):
        if not any(f"{path}/".startswith(f"{other}/") for other in trees):
            trees[path] = given[path] if path in given else linux.clone_tree(path)
    return trees


def _new_root(inside: Inside, trees: Mapping[str, int]) -> None:
    """Build a root file system in memory; the machine's own stays at _OLD until the end."""
    linux.mount("tmpfs", "/tmp", "tmpfs", _FRESH, f"mode=755,size={inside.size}")
    os.mkdir(f"/tmp{_OLD}")
    linux.pivot_root("/tmp", f"/tmp{_OLD}")
    os.chdir("/")
    for place, mode in (("/run", 0o755), ("/tmp", 0o1777), ("/var/tmp", 0o1777)):
        os.makedirs(place)
        os.chmod(place, mode)
        linux.mount(place, place, flags=MS_BIND)  # stays writable when the root no longer is
    for name in ("/proc", "/dev", "/root"):
        os.mkdir(name)
    os.symlink("/run", "/var/run")
    for name in _SYSTEM:
        if os.path.islink(f"{_OLD}/{name}"):
            os.symlink(os.readlink(f"{_OLD}/{name}"), f"/{name}")
    _devices()  # a project may be below /dev/shm
    for path, tree in trees.items():
        os.makedirs(path, exist_ok=True)
        linux.attach(tree, path)
        linux.protect(path)
    for path in filter(os.path.exists, inside.sockets):
        linux.mount("/dev/null", path, flags=MS_BIND)
    _cover_secrets()
    if os.path.isdir("/etc/docker"):
        _fresh("/etc/docker", "1m")


def _cover_secrets() -> None:
    """Cover what is in /etc and not everybody may read, as the shadow's."""
    for path, mode in modes_below("/etc"):
        if stat.S_ISDIR(mode) and not mode & stat.S_IXOTH:
            _fresh(path, "4k")
        elif not (mode & stat.S_IROTH or stat.S_ISDIR(mode)):
            linux.mount("/dev/null", path, flags=MS_BIND)
            linux.protect(path)  # as a device it cannot be opened then


def modes_below(folder: str | Path) -> Iterator[tuple[str, int]]:
    """Yield what is below a folder, large ones left out, and its mode; folders before content."""
    for top, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in _LARGE]
        for path in (os.path.join(top, name) for name in (*folders, *names)):
            with contextlib.suppress(OSError):  # it may be gone meanwhile
                yield path, os.lstat(path).st_mode


def _make_folders(inside: Inside) -> None:
    for folder in (ROOM, ROOM / "home", ROOM / "log", ROOM / "engine", STATE):
        folder.mkdir()
    for place, size in ((STATE, "64k"), (ROOM / "log", "64m")):
        _fresh(str(place), size)
    write_folder(WORK, inside.work)
    PROJECT.symlink_to(inside.visible[0])
    hosts = (f"{one.address} {' '.join(one.host_names)}\n" for one in inside.registries)
    (ROOM / "hosts").write_text("127.0.0.1 localhost rehearsal\n" + "".join(hosts))
    linux.mount(str(ROOM / "hosts"), "/etc/hosts", flags=MS_BIND)
    for name, content in inside.files.items():
        with open(os.open(ROOM / name, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:
            file.write(content)


def _cover_kernel() -> None:
    """Make the kernel's settings in /proc read-only, but for those of this network."""
    # held open, to be mounted writable upon the read-only /proc/sys
    network = os.open("/proc/sys/net", os.O_PATH)
    for name in _HOST_WIDE:
        if os.path.exists(f"/proc/{name}"):
            linux.mount(f"/proc/{name}", f"/proc/{name}", flags=MS_BIND)
            linux.protect(f"/proc/{name}")
    linux.mount(f"/proc/self/fd/{network}", "/proc/sys/net", flags=MS_BIND)
    os.close(network)
    for scope in ("all", "default"):
        # the engine's idle bridge would make a connection wait instead of fail
        Path(f"/proc/sys/net/ipv4/conf/{scope}/ignore_routes_with_linkdown").write_text("1")


def _keep_uncovered() -> None:
    """Mount /proc and /sys once more, out of reach.

    The kernel gives a container its own only where they are seen uncovered, locked mounts counted.
    """
    for kind in ("proc", "sysfs"):
        os.mkdir(f"{_OLD}/{kind}")
        with contextlib.suppress(OSError):  # as in a container, whose own are covered
            linux.mount(kind, f"{_OLD}/{kind}", kind, _FRESH | MS_NOEXEC)
    _fresh(_OLD, "4k")


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
    """Give the engine a cgroup tree of its own."""
    # a tmpfs in between: the kernel refuses cgroup2 upon cgroup2, which most machines have there
    _fresh("/sys/fs/cgroup", "4k")
    linux.mount("cgroup2", "/sys/fs/cgroup", "cgroup2", _FRESH | MS_NOEXEC)
    os.mkdir("/sys/fs/cgroup/room")
