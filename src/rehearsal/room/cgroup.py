"""A room's cgroup (version 2), in which its engine puts containers."""

import contextlib
import fcntl
import os
import secrets
import time
from pathlib import Path

from rehearsal.room import limits

_PREFIX = "rehearsal-"
_DELEGATED = (".", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads")
"""Files that the owner of a delegated cgroup must be able to write (cgroups(7), "Delegation")."""


def make_cgroup(owner: int) -> Path | None:
    """Return a new cgroup for its owner; None where there is no writable tree.

    A container may have its cgroups read-only: then a room is like an ordinary user's.
    """
    if (tree := _find_tree()) is None:
        return None
    own = tree / f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
    # a file: in a room, the folder is the outer room's own, which that keeps locked
    with contextlib.suppress(OSError), open(tree / "cgroup.procs") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # so that no sweep comes between a cgroup and its lock
        _sweep(tree)
        own.mkdir()
        fcntl.flock(os.open(own, os.O_RDONLY), fcntl.LOCK_SH)  # held until this process ends
        for name in _DELEGATED:
            os.chown(own / name, owner, owner)
        if (own / "memory.max").exists():  # its controller is not there on each machine
            (own / "memory.max").write_text(str(limits.for_processes()))
        return own
    return None


def remove_cgroup(cgroup: Path) -> None:
    """Remove a cgroup with the engine's below, which may need some seconds to be empty.

    What stays behind even so is removed before the next room.
    """
    for _ in range(150):
        with contextlib.suppress(OSError):
            _remove(cgroup)
            return
        time.sleep(0.02)


def _remove(cgroup: Path) -> None:
    for folder, _, _ in os.walk(cgroup, topdown=False):
        os.rmdir(folder)


def _find_tree() -> Path | None:
    """Return the tree of version 2, which is below version 1's on some machines."""
    places = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))
    found = [place for place in places if (place / "cgroup.controllers").exists()]
    return found[0] if found and os.geteuid() == 0 else None


def _sweep(tree: Path) -> None:
    """Remove the cgroups of killed supervisors: their locks are free, in whatever PID namespace."""
    for cgroup in tree.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            # fails while it is in use
            fcntl.flock(os.open(cgroup, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(cgroup)
