"""The users of a room: its root is nobody on the machine, where that is possible."""

import contextlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path

_USERS = 65536
_FIRST_USER = 2_100_000_000
"""Root's rooms run as this user, a number that nobody has: nothing on the machine is theirs."""


def choose_outer_user(needed: Iterable[Path]) -> int:
    """Return the user that the room's root is outside: this user; for root nobody.

    Root stays root where nobody cannot be mapped, or may not read what the room needs.
    """
    if os.geteuid() != 0:
        return os.geteuid()
    free = _may_map_nobody("uid") and _may_map_nobody("gid")
    return _FIRST_USER if free and all(map(_all_may_read, needed)) else 0


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


def _all_may_read(path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        mode = path.stat().st_mode
        return bool(mode & stat.S_IROTH) and (not stat.S_ISDIR(mode) or bool(mode & stat.S_IXOTH))
    return True


def map_users(process: int, outer: int) -> None:
    """Map the users of a process in a new namespace: its root to `outer`.

    Root maps other users too, as images hold files of theirs. Raises OSError.
    """
    root = os.geteuid() == 0
    try:
        Path(f"/proc/{process}/setgroups").write_text("allow" if root else "deny")
        for kind, number in (("uid", outer), ("gid", outer if root else os.getegid())):
            ranges = _ranges_for_root(kind, outer) if root else [(0, number, 1)]
            lines = (f"{inside} {outside} {count}\n" for inside, outside, count in ranges)
            Path(f"/proc/{process}/{kind}_map").write_text("".join(lines))
    except OSError as error:
        raise OSError(error.errno, f"map users: {error.strerror}") from error


def _ranges_for_root(kind: str, outer: int) -> list[tuple[int, int, int]]:
    """Return what root maps: first number inside, first outside, count.

    Where root stays root, each number maps to itself, range by range: one line may not span two
    ranges (as in rootlesskit).
    """
    if outer:
        return [(0, outer, _USERS)]
    own = [(first, count) for first, count in _ranges_here(kind) if first < _USERS]
    return [(first, first, min(count, _USERS - first)) for first, count in own]
