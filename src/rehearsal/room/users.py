"""The users of a room: its root is nobody on the machine, where that is possible."""

import os
from collections.abc import Iterable
from pathlib import Path

from rehearsal.errors import CannotCheck
from rehearsal.room import linux

_USERS = 65536
_UNKNOWN = 65534
"""How the kernel shows a user who is none here (user_namespaces(7), overflowuid)."""
_FIRST_USER = 2_100_000_000
"""Root's rooms run as this user, a number that nobody has: nothing on the machine is theirs."""


def choose_outer_user() -> int:
    """Return the user that the room's root is outside: this user; for root nobody.

    Root of a container that has no such number stays root: it is another user on the machine.
    Raises CannotCheck where it would be the machine's own.
    """
    if os.geteuid() != 0:
        return os.geteuid()
    found = [
        any(first <= _FIRST_USER <= first + count - _USERS for first, count in _ranges_here(kind))
        for kind in ("uid", "gid")
    ]
    if all(found):
        return _FIRST_USER
    if os.stat("/proc/sys/kernel").st_uid != _UNKNOWN:  # its settings are root's in each namespace
        why = "the machine's own root is a user here"
        raise CannotCheck(f"No room can be made here ({why}): start this as an ordinary user.")
    return 0


def _ranges_here(kind: str) -> list[tuple[int, int]]:
    """Return the ranges of user or group numbers of this namespace: first number and count."""
    lines = Path(f"/proc/self/{kind}_map").read_text().splitlines()
    return [(int(first), int(count)) for first, _, count in map(str.split, lines)]


def map_users(process: int, outer: int) -> None:
    """Map the users of a process in a new namespace: its root to `outer`, or each to itself.

    Root maps other users too, as images hold files of theirs. Raises OSError.
    """
    root = os.geteuid() == 0
    try:
        if not root:
            Path(f"/proc/{process}/setgroups").write_text("deny")
        for kind, number in (("uid", outer), ("gid", outer if root else os.getegid())):
            ranges = [(0, number, _USERS if root else 1)]
            if not outer:  # one line may not span two ranges (as in rootlesskit)
                ranges = [(first, first, count) for first, count in _ranges_here(kind)]
            lines = (f"{inside} {outside} {count}\n" for inside, outside, count in ranges)
            Path(f"/proc/{process}/{kind}_map").write_text("".join(lines))
    except OSError as error:
        raise OSError(error.errno, f"map users: {error.strerror}") from error


def show_to(outer: int, paths: Iterable[Path]) -> dict[str, int]:
    """Return copies of the mounts at `paths` in which a room's root owns what root owns here.

    Raises OSError where a file system cannot do that, or where this user may not ask.
    """
    process, go = linux.fork_waiting(linux.CLONE_NEWUSER, lambda: None)
    try:
        map_users(process, outer)
        trees = {str(path): linux.clone_tree(str(path)) for path in paths}
        for tree in trees.values():
            linux.show_as(tree, f"/proc/{process}/ns/user")
        return trees
    finally:
        os.close(go)
        os.waitpid(process, 0)
