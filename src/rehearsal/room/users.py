"""The users of a room: its root is nobody on the machine, where that is possible."""

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from rehearsal.room import linux

_USERS = 65536
_FIRST_USER = 2_100_000_000
"""Root's rooms run as this user, a number that nobody has: nothing on the machine is theirs."""


def choose_outer_user() -> int:
    """Return the user that the room's root is outside: this user; for root nobody.

    Root of a container that has no such number stays root: it is another user on the machine.
    """
    if os.geteuid() != 0:
        return os.geteuid()
    return _FIRST_USER if _may_map_nobody("uid") and _may_map_nobody("gid") else 0


def _may_map_nobody(kind: str) -> bool:
    """Whether those numbers can be mapped; a container may have only a few of its own."""
    return any(
        first <= _FIRST_USER and first + count >= _FIRST_USER + _USERS
        for first, count in _ranges_here(kind)
    )


def _ranges_here(kind: str) -> list[tuple[int, int]]:
    """Return the ranges of user or group numbers of this namespace: first number and count."""
    lines = Path(f"/proc/self/{kind}_map").read_text().splitlines()
    return [(int(first), int(count)) for first, _, count in map(str.split, lines)]


def _is_root_of_machine() -> bool:
    """Whether number 0 is it here too: the kernel's settings are its, in every namespace."""
    return os.stat("/proc/sys/kernel").st_uid == 0


def map_users(process: int, outer: int) -> None:
    """Map the users of a process in a new namespace: its root to `outer`.

    Root maps other users too, as images hold files of theirs. Raises OSError, also rather than map
    the machine's own root.
    """
    root = os.geteuid() == 0
    try:
        if root and not outer and _is_root_of_machine():
            raise PermissionError(errno.EPERM, "the only root here is the machine's")
        Path(f"/proc/{process}/setgroups").write_text("allow" if root else "deny")
        for kind, number in (("uid", outer), ("gid", outer if root else os.getegid())):
            ranges = _ranges_for_root(kind, outer) if root else [(0, number, 1)]
            lines = (f"{inside} {outside} {count}\n" for inside, outside, count in ranges)
            Path(f"/proc/{process}/{kind}_map").write_text("".join(lines))
    except OSError as error:
        raise OSError(error.errno, f"map users: {error.strerror}") from error


@contextlib.contextmanager
def new_namespaces(flags: int) -> Iterator[int]:
    """Yield a process that does nothing but be in new namespaces; it ends with this one."""
    ended, alive = os.pipe()
    process = linux.fork_into_namespaces(flags)
    if not process:
        os.close(alive)
        os.read(ended, 1)
        os._exit(0)
    try:
        yield process
    finally:
        os.close(alive)
        os.close(ended)
        os.waitpid(process, 0)


def map_users_to_themselves(process: int) -> None:
    """Map the users of a process in a namespace below this one. Raises OSError."""
    for kind in ("uid", "gid"):
        lines = (f"{first} {first} {count}\n" for first, count in _ranges_here(kind))
        Path(f"/proc/{process}/{kind}_map").write_text("".join(lines))


def _ranges_for_root(kind: str, outer: int) -> list[tuple[int, int, int]]:
    """Return what root maps: first number inside, first outside, count.

    Where root stays root, each number maps to itself, range by range: one line may not span two
    ranges (as in rootlesskit).
    """
    if outer:
        return [(0, outer, _USERS)]
    own = [(first, count) for first, count in _ranges_here(kind) if first < _USERS]
    return [(first, first, min(count, _USERS - first)) for first, count in own]


@contextlib.contextmanager
def shown_to(outer: int, paths: Iterable[Path]) -> Iterator[dict[str, int]]:
    """Yield copies of the mounts at `paths` in which a room's root owns what root owns here.

    Raises OSError where a file system cannot do that, or where this user may not ask.
    """
    trees = dict[str, int]()
    try:
        with new_namespaces(linux.CLONE_NEWUSER) as room_like:
            map_users(room_like, outer)
            for path in map(str, paths):
                trees[path] = linux.clone_tree(path)
                linux.show_as(trees[path], f"/proc/{room_like}/ns/user")
        yield trees
    finally:
        for tree in trees.values():
            os.close(tree)
