"""What a room may take of the machine: processes, and memory for its files."""

import os
import resource

from rehearsal.errors import CannotCheck

_TASKS = 1024
"""Processes and threads (setrlimit(2), RLIMIT_NPROC)."""
_PROCESSES = 512
_GIB = 1 << 30
TOO_MANY = (
    f"The room was ended because more than {_PROCESSES} processes ran in it."
    " Check whether a command starts itself again and again."
)


def limit_tasks() -> None:
    """Limit this process and the namespaces of users that it makes; not the machine's own root."""
    _, most = resource.getrlimit(resource.RLIMIT_NPROC)
    tasks = _TASKS if most == resource.RLIM_INFINITY else min(most, _TASKS)
    resource.setrlimit(resource.RLIMIT_NPROC, (tasks, tasks))


def are_too_many() -> bool:
    """Whether more processes run in this room than any page needs."""
    return sum(map(str.isdigit, os.listdir("/proc"))) > _PROCESSES


def for_processes() -> int:
    """Return the limit of a room's memory, in bytes, where a cgroup can hold one."""
    return _memory() * 3 // 4


def for_files() -> str:
    """Return the limit of a room's files, which are in memory, in tmpfs's words."""
    size = os.environ.get("REHEARSAL_ROOM_SIZE") or str(min(_memory() // 2, _GIB))
    if not size.strip("0kmgKMG%"):  # which a tmpfs takes for no limit
        raise CannotCheck(f"REHEARSAL_ROOM_SIZE is {size!r}, which is not a limit: set a size.")
    return size


def _memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
