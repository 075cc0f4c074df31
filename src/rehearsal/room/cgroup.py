"""A room's cgroup (version 2), in which its engine puts containers."""

import contextlib
import os
import secrets
import sys
import time
from pathlib import Path

from rehearsal.room import limits

_PREFIX = "rehearsal-"
_DELEGATED = (".", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads")
"""Files that the owner of a delegated cgroup must be able to write (cgroups(7), "Delegation")."""
_SECONDS_TO_EMPTY = 3.0


def make_cgroup(owner: int) -> Path | None:
    """Return a new cgroup for its owner; None where there is no writable tree.

    A container may have its cgroups read-only: then a room is like an ordinary user's.
    """
    if (tree := _find_tree()) is None:
        return None
    own = tree / f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
    with contextlib.suppress(OSError):
        _sweep(tree)
        own.mkdir()
        for name in _DELEGATED:
            os.chown(own / name, owner, owner)
        for name, limit in limits.for_cgroup().items():
            if (own / name).exists():  # its controller is not there on each machine
                (own / name).write_text(str(limit))
        return own
    return None


def remove_cgroup(cgroup: Path) -> None:
    """Remove a cgroup with the engine's below, which may need some seconds to be empty."""
    end = time.monotonic() + _SECONDS_TO_EMPTY
    while cgroup.exists():
        try:
            _remove(cgroup)
        except OSError as error:
            if time.monotonic() > end:
                message = f"A cgroup of a room stays behind: {cgroup.name}: {error.strerror}"
                print(message, file=sys.stderr)
                return
            time.sleep(0.02)


def _remove(cgroup: Path) -> None:
    for folder, _, _ in os.walk(cgroup, topdown=False):
        os.rmdir(folder)


def _find_tree() -> Path | None:
    if os.geteuid() == 0:
        with open("/proc/self/mountinfo", errors="surrogateescape") as mounts:
            for before, _, after in (line.partition(" - ") for line in mounts):
                tree = Path(before.split()[4])
                if after.startswith("cgroup2 ") and (tree / "cgroup.procs").exists():  # not covered
                    return tree
    return None


def _sweep(tree: Path) -> None:
    """Remove what killed supervisors have left.

    A room in another PID namespace is known by its processes, which its cgroup holds; one that
    starts here, by its supervisor.
    """
    for cgroup in tree.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # another room removes it too
            supervisor = cgroup.name.split("-")[1]
            is_empty = "populated 0" in (cgroup / "cgroup.events").read_text()
            if is_empty and not os.path.exists(f"/proc/{supervisor}"):
                _remove(cgroup)
