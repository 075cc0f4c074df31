"""A room's cgroup (version 2), in which its engine puts containers."""

import contextlib
import fcntl
import os
import secrets
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from rehearsal.room import limits

_PREFIX = "rehearsal-"
_DELEGATED = (".", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads")
"""Files that the owner of a delegated cgroup must be able to write (cgroups(7), "Delegation")."""


def make_cgroup(owner: int) -> Path | None:
    """Return a new cgroup for its owner; None where there is no writable tree.

    A container may have its cgroups read-only: then a room is like an ordinary user's.
    """
    tree = _find_tree()
    if tree is None:
        return None
    own = tree / f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
    # a file: in a room, the folder is the outer room's own, which that keeps locked
    with _opened(tree / "cgroup.procs") as file, contextlib.suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_EX)  # so that no sweep comes between a cgroup and its lock
        _sweep(tree)
        own.mkdir()
        fcntl.flock(os.open(own, os.O_RDONLY), fcntl.LOCK_SH)  # held until this process ends
        for name in _DELEGATED:
            os.chown(own / name, owner, owner)
        for name, limit in limits.for_cgroup().items():
            if (own / name).exists():  # its controller is not there on each machine
                (own / name).write_text(str(limit))
        return own
    return None


def remove_cgroup(cgroup: Path, patience: float) -> None:
    """Remove a cgroup with the engine's below, which may need some seconds to be empty."""
    end = time.monotonic() + patience
    while cgroup.exists():
        try:
            for folder, _, _ in os.walk(cgroup, topdown=False):
                os.rmdir(folder)
        except OSError as error:
            if time.monotonic() > end:
                message = f"A cgroup of a room stays behind: {cgroup.name}: {error.strerror}"
                print(message, file=sys.stderr)
                return
            time.sleep(0.02)


def _find_tree() -> Path | None:
    if os.geteuid() == 0:
        with open("/proc/self/mountinfo", errors="surrogateescape") as mounts:
            for before, _, after in (line.partition(" - ") for line in mounts):
                tree = Path(before.split()[4])
                if after.startswith("cgroup2 ") and (tree / "cgroup.procs").exists():  # not covered
                    return tree
    return None


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _sweep(tree: Path) -> None:
    """Remove the cgroups of killed supervisors: their locks are free, in whatever PID namespace."""
    for cgroup in tree.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError), _opened(cgroup) as folder:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while it is in use
            remove_cgroup(cgroup, patience=0)
