"""System calls that a room needs, and that Python 3.11 lacks."""

import ctypes
import errno
import fcntl
import os
import platform
import signal
import socket
import struct
import sys
from collections.abc import Callable

CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC = 1 << 17, 1 << 25, 1 << 26, 1 << 27
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 1 << 28, 1 << 29, 1 << 30
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18
_MNT_DETACH = 2
_AT_FDCWD, _AT_EMPTY_PATH, _AT_RECURSIVE = -100, 0x1000, 0x8000
_SYS_OPEN_TREE, _SYS_MOVE_MOUNT, _SYS_CLONE3, _SYS_MOUNT_SETATTR = 428, 429, 435, 442
_MOUNT_ATTR_RDONLY, _MOUNT_ATTR_NODEV, _MOUNT_ATTR_IDMAP = 1, 4, 1 << 20
_OPEN_TREE_CLONE, _MOVE_MOUNT_F_EMPTY_PATH = 1, 4
_SIOCSIFFLAGS, _SIOCSIFADDR, _IFF_UP = 0x8914, 0x8916, 1
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER = 1, 4, 36

_KEYCTL_JOIN_SESSION_KEYRING, _SECCOMP_SET_MODE_FILTER, _SECCOMP_SPEC_ALLOW = 1, 1, 4
_AF_VSOCK, _TIOCSTI, _TIOCLINUX, _X32 = 40, 0x5412, 0x541C, 0x40000000
_SYSTEM_CALLS = {  # seccomp's name of the processor; then keyctl, seccomp, socket and ioctl
    "x86_64": (0xC000003E, 250, 317, 41, 16),
    "aarch64": (0xC00000B7, 219, 277, 198, 29),
}
_LOAD, _IF, _IF_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x50000 | errno.EPERM

_libc = ctypes.PyDLL(None, use_errno=True)
"""The C library; unlike CDLL it holds the interpreter's lock, which a fork must find as it was."""


def _checked(result: int | bool, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def fork_waiting(flags: int, action: Callable[[], object]) -> tuple[int, int]:
    """Fork, with the child in new namespaces (clone3(2), Linux 5.3); return it, and a pipe to it.

    The child runs `action` once anything is written there, and exits. It ends with this process,
    which may not have threads.
    """
    wait, go = os.pipe()
    arguments = struct.pack("8Q", flags, 0, 0, 0, signal.SIGCHLD, 0, 0, 0)
    child: int = _libc.syscall(_SYS_CLONE3, arguments, ctypes.c_size_t(len(arguments)))
    _checked(child < 0, "make namespaces")
    if not child:
        try:
            os.close(go)
            die_with_parent()
            if os.read(wait, 1):
                action()
        finally:  # a child must not run on as a copy
            os._exit(3)
    os.close(wait)
    return child, go


def unshare(flags: int) -> None:
    """Move this process into new namespaces."""
    _checked(_libc.unshare(flags), "make namespaces")


def join(namespace: str, kind: int) -> None:
    """Move this process into the namespace of a file of /proc/PID/ns: setns(2)."""
    with open(namespace) as file:
        _checked(_libc.setns(file.fileno(), kind), "join namespaces")


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Attach a file system, or with MS_BIND a folder, at `target`."""
    names = (os.fsencode(name) for name in (source, target, kind))
    done = _libc.mount(*names, ctypes.c_ulong(flags), options.encode())
    _checked(done, f"mount {source} on {target}")


def pivot_root(new: str, old: str) -> None:
    """Make the mount `new` the root, and put the former root at `old`, a folder in it."""
    _checked(_libc.pivot_root(os.fsencode(new), os.fsencode(old)), f"make {new} the root")


def detach(target: str) -> None:
    """Unmount `target` with all below it."""
    _checked(_libc.umount2(os.fsencode(target), _MNT_DETACH), f"unmount {target}")


def protect(path: str, *, below: bool = True) -> None:
    """Make the mount `path`, and every mount `below` it, read-only and without devices."""
    flags = _AT_EMPTY_PATH | (_AT_RECURSIVE if below else 0)
    _set_attributes(_AT_FDCWD, path, _MOUNT_ATTR_RDONLY | _MOUNT_ATTR_NODEV, 0, flags)


def show_as(tree: int, users: str) -> None:
    """Show the files of what `clone_tree` gave as those of a user namespace's same numbers.

    An idmapped mount: needs CAP_SYS_ADMIN where the file system was mounted.
    """
    with open(users) as file:
        _set_attributes(tree, "", _MOUNT_ATTR_IDMAP, file.fileno(), _AT_EMPTY_PATH | _AT_RECURSIVE)


def _set_attributes(folder: int, path: str, attributes: int, users: int, flags: int) -> None:
    """Set attributes of mounts in one call (mount_setattr(2), Linux 5.12)."""
    packed = struct.pack("4Q", attributes, 0, 0, users)  # set, clear nothing, propagate as before
    arguments = (folder, os.fsencode(path), flags, packed, ctypes.c_size_t(len(packed)))
    done = _libc.syscall(_SYS_MOUNT_SETATTR, *arguments)
    _checked(done, f"set attributes of {path or 'a mount'}")


def clone_tree(path: str) -> int:
    """Return a descriptor of a copy of the mount at `path` and those below, for `attach`."""
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC | _AT_RECURSIVE
    tree: int = _libc.syscall(_SYS_OPEN_TREE, _AT_FDCWD, os.fsencode(path), flags)
    _checked(tree < 0, f"copy the mount {path}")
    return tree


def attach(tree: int, target: str) -> None:
    """Put what `clone_tree` gave at `target`, and close it."""
    places = (tree, b"", _AT_FDCWD, os.fsencode(target))
    done = _libc.syscall(_SYS_MOVE_MOUNT, *places, _MOVE_MOUNT_F_EMPTY_PATH)
    _checked(done, f"mount on {target}")
    os.close(tree)


def can_filter_calls() -> bool:
    """Whether this module knows the system calls of the machine, and Python has its word size."""
    is_64_bit = sys.maxsize > 1 << 32
    return sys.platform == "linux" and is_64_bit and platform.machine() in _SYSTEM_CALLS


def leave_keyring() -> None:
    """Join a new session keyring: the caller's own may hold keys (keyrings(7))."""
    # where this is refused, nothing in the room can ask either
    _libc.syscall(_SYSTEM_CALLS[platform.machine()][1], _KEYCTL_JOIN_SESSION_KEYRING, None)


def refuse_ways_out() -> None:
    """Forbid what no namespace prevents: typing into a terminal, sockets to a hypervisor.

    A seccomp(2) filter in classic BPF. Each line: operation, lines to jump if true, if false, a
    number.
    """
    processor, _, seccomp, new_socket, ioctl = _SYSTEM_CALLS[platform.machine()]
    program = (
        (_LOAD, 0, 0, 4),  # the processor
        (_IF, 0, 10, processor),  # a program for another one: for containers, let it be
        (_LOAD, 0, 0, 0),  # the number of the call
        (_IF_LEAST, 7, 0, _X32),
        (_IF, 0, 2, new_socket),
        (_LOAD, 0, 0, 16),  # its first argument
        (_IF, 4, 5, _AF_VSOCK),
        (_IF, 0, 4, ioctl),
        (_LOAD, 0, 0, 24),  # its second argument
        (_IF, 1, 0, _TIOCSTI),
        (_IF, 0, 1, _TIOCLINUX),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    )
    lines = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    filter_program = struct.pack("HxxxxxxP", len(program), ctypes.addressof(lines))
    done = _libc.syscall(seccomp, _SECCOMP_SET_MODE_FILTER, _SECCOMP_SPEC_ALLOW, filter_program)
    _checked(done, "refuse ways out")


def become_root() -> None:
    """Become the namespace's root, who outside owns nothing."""
    if os.geteuid() != 0:
        os.setgroups([])
        os.setgid(0)
        os.setuid(0)
        # else its children's files in /proc belong to the machine's root
        _checked(_libc.prctl(_PR_SET_DUMPABLE, 1), "own files in /proc")


def raise_loopback(address: str) -> None:
    """Bring up this namespace's loopback interface, with the IPv4 network of `address` too."""
    place = struct.pack("16sH2x4s8x", b"lo:0", socket.AF_INET, socket.inet_aton(address))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))
        fcntl.ioctl(any_socket, _SIOCSIFADDR, place)


def die_with_parent() -> None:
    """Have this process killed when its parent thread ends.

    A change of credentials takes that back: call it afterwards.
    """
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL), "ask to end with the parent")


def adopt_orphans() -> None:
    """Become the parent of orphaned descendants, so that none escapes."""
    _checked(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1), "ask to be the parent of orphans")
