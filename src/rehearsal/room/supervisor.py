"""The keeper of a room.

A process outside it that ends it with the runner and removes what it leaves on the machine.

The runner may be killed at any moment, so it cannot clean up. The keeper holds the other end of a
pipe: when the runner is gone, for whatever reason, it kills the room's first process (and with that
every process in it), and removes the room's cgroup. All else of a room is in its mount namespace,
and ends with it.
"""

import contextlib
import fcntl
import json
import os
import secrets
import select
import signal
import sys
import time
from collections.abc import Callable
from typing import NoReturn

from rehearsal.room import linux

_CGROUP_PREFIX = "rehearsal-"
_DELEGATED = (".", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads")
"""What its owner must be able to write in a cgroup of their own: cgroups(7), "Delegation"."""
_SECONDS_TO_EMPTY = 3.0


def keep(
    enter: Callable[[bool], NoReturn], first_user: int, alive: int, report: int, mapped: int
) -> NoReturn:
    """Make a room, start `enter` as its first process, end with its exit status; never return.

    first_user: who the room's root is outside. alive: a pipe that ends when the runner does.
    report: gets one JSON object a line: `unshared`, then `pid` or `error`. mapped: gets a byte once
    the runner has mapped the users. `enter` is told if there is a cgroup.
    """
    status = 3
    try:
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        parent = _cgroup_root()
        own = _make_cgroup(parent, first_user)
        maker = (
            os.fork()
        )  # it gives its rights on the machine away, and the cgroup can be removed with them only
        if not maker:
            status = _make(enter, own, parent, alive, report, mapped)
        else:
            for ours in (alive, report, mapped):
                os.close(ours)
            status = os.waitstatus_to_exitcode(os.waitpid(maker, 0)[1]) & 0xFF
            _remove_cgroup(parent, own)
    finally:  # whatever happens: this process must not run on as a copy of the runner
        os._exit(status)


def _make(
    enter: Callable[[bool], NoReturn],
    own: str | None,
    parent: int,
    alive: int,
    report: int,
    mapped: int,
) -> int:
    """Make the namespaces and their first process; return its exit status."""
    try:
        linux.unshare(linux.CLONE_ROOM)
        linux.die_with_parent()
        tell(report, unshared=os.getpid())
        if not os.read(mapped, 1):  # the runner could not map the users, and says so
            return 1
        first = os.fork()
        if not first:
            _begin(enter, own, parent, alive, report)
        with contextlib.suppress(
            BrokenPipeError
        ):  # the runner is gone: _watch sees it, and ends the room
            tell(report, pid=first)
        os.close(report)
        return _watch(first, alive)
    except OSError as error:
        with contextlib.suppress(
            BrokenPipeError
        ):  # the runner is gone, and nobody reads the report
            tell(report, error=str(error.strerror or error), number=error.errno)
        return 1


def tell(report: int, **what: object) -> None:
    """Write one line for the runner."""
    os.write(report, json.dumps(what).encode() + b"\n")


def _begin(
    enter: Callable[[bool], NoReturn], own: str | None, parent: int, alive: int, report: int
) -> NoReturn:
    try:
        linux.die_with_parent()
        if own is not None:
            procs = os.open(f"{own}/cgroup.procs", os.O_WRONLY, dir_fd=parent)
            os.write(procs, b"0")
        linux.leave_keyring()
        linux.refuse_ways_out()
        enter(own is not None)
    except OSError as error:
        tell(report, error=str(error.strerror or error), number=error.errno)
    except (
        BaseException
    ) as error:  # the first process of a PID namespace must not run on as a copy of the runner
        tell(report, error=f"{type(error).__name__}: {error}", number=0)
    os._exit(3)


def _watch(first: int, alive: int) -> int:
    """Wait for the first process, and end it when the runner is gone; return its exit status."""
    first_ended = os.pidfd_open(first)
    poll = select.poll()
    poll.register(first_ended, select.POLLIN)
    poll.register(alive, select.POLLIN | select.POLLHUP)
    if first_ended not in dict(poll.poll()):
        os.kill(first, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]) & 0xFF


def _cgroup_root() -> int:
    """Return an open folder of the machine's cgroup tree (version 2), or -1 if none is writable."""
    if os.geteuid() != 0:
        return -1
    with open("/proc/self/mountinfo") as mounts:
        for line in mounts:
            before, _, after = line.partition(" - ")
            if after.startswith("cgroup2 "):
                return os.open(before.split()[4], os.O_RDONLY | os.O_DIRECTORY)
    return -1


def _make_cgroup(parent: int, owner: int) -> str | None:
    if parent == -1:
        return None
    own = f"{_CGROUP_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
    try:
        fcntl.flock(
            parent, fcntl.LOCK_EX
        )  # so that no other sweep comes between a folder and its lock
        _sweep(parent)
        os.mkdir(own, dir_fd=parent)
        fcntl.flock(
            os.open(own, os.O_RDONLY, dir_fd=parent), fcntl.LOCK_SH
        )  # held until this process ends
        for name in _DELEGATED:
            os.chown(f"{own}/{name}", owner, owner, dir_fd=parent)
    except OSError:
        return None  # a container with its cgroups read-only: a room like an ordinary user's
    finally:
        fcntl.flock(parent, fcntl.LOCK_UN)
    return own


def _sweep(parent: int) -> None:
    """Remove what keepers that were killed have left.

    Their locks are gone, whatever PID namespace they were in.
    """
    for name in os.listdir(parent):
        if name.startswith(_CGROUP_PREFIX):
            with contextlib.suppress(OSError):  # locked, or gone meanwhile
                folder = os.open(name, os.O_RDONLY, dir_fd=parent)
                try:
                    fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    _remove_cgroup(parent, name, patience=0)
                finally:
                    os.close(folder)


def _remove_cgroup(parent: int, own: str | None, patience: float = _SECONDS_TO_EMPTY) -> None:
    """Remove a room's cgroup, the engine's folders in it first.

    The kernel may need a moment to empty them.
    """
    end = time.monotonic() + patience
    while own is not None:
        try:
            for folder, _, _, _ in os.fwalk(own, topdown=False, dir_fd=parent):
                os.rmdir(folder, dir_fd=parent)
            return
        except FileNotFoundError:
            return
        except OSError as error:
            if time.monotonic() > end:
                with contextlib.suppress(OSError):
                    print(
                        f"A cgroup of a room stays behind: {own}: {error.strerror}", file=sys.stderr
                    )
                return
            time.sleep(0.02)
