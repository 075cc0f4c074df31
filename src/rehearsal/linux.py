"""The few calls of the Linux kernel that a room is made of, and that Python 3.11 does not have."""

import ctypes
import fcntl
import os
import signal
import socket
import struct

CLONE_ROOM = 0x00020000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
"""New mount, UTS, IPC, user, PID and network namespaces."""
CLONE_NEWCGROUP = 0x02000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18
_MNT_DETACH = 2
_AT_FDCWD, _AT_RECURSIVE, _SYS_MOUNT_SETATTR, _MOUNT_ATTR_RDONLY = -100, 0x8000, 442, 1
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36

_libc = ctypes.CDLL(None, use_errno=True)


class _MountAttributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns")]


def _checked(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Move this process (for PIDs, its next children) into new namespaces."""
    _checked(_libc.unshare(flags), "make namespaces")


def mount(source: str, target: str, kind: str | None = None, flags: int = 0, options: str | None = None) -> None:
    """Attach a file system, or with MS_BIND a folder, at `target`."""
    text = [part.encode() if part is not None else None for part in (source, target, kind)]
    data = options.encode() if options is not None else None
    _checked(_libc.mount(*text, ctypes.c_ulong(flags), data), f"mount {source} on {target}")


def pivot_root(new: str, old: str) -> None:
    """Make the mount `new` this process's root, and put the root of before at `old`, a folder in it."""
    _checked(_libc.pivot_root(new.encode(), old.encode()), f"make {new} the root")


def detach(target: str) -> None:
    """Unmount `target` with all below it."""
    _checked(_libc.umount2(target.encode(), _MNT_DETACH), f"unmount {target}")


def make_read_only(path: str, *, below: bool = True) -> None:
    """Make the mount `path`, and every mount `below` it, read-only in one call (mount_setattr(2), Linux 5.12)."""
    attributes = _MountAttributes(set=_MOUNT_ATTR_RDONLY)
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    arguments = (_AT_FDCWD, path.encode(), _AT_RECURSIVE if below else 0, ctypes.byref(attributes), size)
    _checked(_libc.syscall(_SYS_MOUNT_SETATTR, *arguments), f"make {path} read-only")


def raise_loopback() -> None:
    """Bring the loopback interface of this network namespace up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))


def die_with_parent() -> None:
    """Have this process killed when the thread that made it ends (lost by a change of credentials: call it after)."""
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL), "ask to end with the parent")


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends, so that none can hide."""
    _checked(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1), "ask to be the parent of orphans")
