"""The supervisor of a room: processes outside that end the room when its runner ends.

The runner may be killed at any moment, so it cannot clean up. The maker, whose pipe from the runner
closes then, kills the room's process 1, and so every process in it; the supervisor, which keeps the
rights for it, waits for that and removes the room's cgroup. Everything else is in the room's mount
namespace, and ends with that.
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
from dataclasses import dataclass
from typing import NoReturn

from rehearsal.room import linux

_PREFIX = "rehearsal-"
_DELEGATED = (".", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads")
"""Files that the owner of a delegated cgroup must be able to write (cgroups(7), "Delegation")."""
_SECONDS_TO_EMPTY = 3.0
Enter = Callable[[bool], NoReturn]
"""Becomes the room's process 1; its argument says whether there is a cgroup."""


@dataclass(frozen=True)
class Pipes:
    """The supervisor's ends of its pipes.

    Attributes:
        alive: closes when the runner ends.
        report: takes one JSON object a line: `unshared`, then `pid` or `error`.
        mapped: gives a byte once the runner has mapped the users.
    """

    alive: int
    report: int
    mapped: int

    def tell(self, **what: object) -> None:
        """Report one line to the runner, if it still lives."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self.report, json.dumps(what).encode() + b"\n")

    def tell_error(self, error: BaseException) -> None:
        """Report an error with its errno."""
        if isinstance(error, OSError):
            self.tell(error=str(error.strerror or error), number=error.errno or 0)
        else:
            self.tell(error=f"{type(error).__name__}: {error}", number=0)


def supervise(enter: Enter, first_user: int, pipes: Pipes) -> NoReturn:
    """Make a room whose process 1 is `enter`, and exit with its status; never return.

    first_user: the user that the room's root is outside.
    """
    status = 3
    try:
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        cgroup = _make_cgroup(first_user)
        maker = os.fork()  # it gives up the rights that removing the cgroup needs
        if not maker:
            status = _make(enter, cgroup, pipes)
        else:
            for ours in (pipes.alive, pipes.report, pipes.mapped):
                os.close(ours)
            status = os.waitstatus_to_exitcode(os.waitpid(maker, 0)[1]) & 0xFF
            if cgroup:
                cgroup.remove(_SECONDS_TO_EMPTY)
    finally:  # whatever happens: this process must not run on as a copy of the runner
        os._exit(status)


def _make(enter: Enter, cgroup: "_Cgroup | None", pipes: Pipes) -> int:
    """Make the namespaces and process 1; return its exit status."""
    try:
        linux.unshare(linux.CLONE_ROOM)
        linux.die_with_parent()
        pipes.tell(unshared=os.getpid())
        if not os.read(pipes.mapped, 1):  # the runner could not map the users, and says so
            return 1
        first = os.fork()
        if not first:
            _begin(enter, cgroup, pipes)
        pipes.tell(pid=first)
        os.close(pipes.report)
        return _watch(first, pipes.alive)
    except OSError as error:
        pipes.tell_error(error)
        return 1


def _begin(enter: Enter, cgroup: "_Cgroup | None", pipes: Pipes) -> NoReturn:
    try:
        linux.die_with_parent()
        if cgroup:
            cgroup.enter()
        linux.leave_keyring()
        linux.refuse_ways_out()
        enter(cgroup is not None)
    except BaseException as error:  # it must not run on as a copy of the runner
        pipes.tell_error(error)
    os._exit(3)


def _watch(first: int, alive: int) -> int:
    """Wait for process 1, or kill it when the runner is gone; return its exit status."""
    first_ended = os.pidfd_open(first)
    poll = select.poll()
    poll.register(first_ended, select.POLLIN)
    poll.register(alive, select.POLLIN | select.POLLHUP)
    if first_ended not in dict(poll.poll()):
        os.kill(first, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]) & 0xFF


@dataclass(frozen=True)
class _Cgroup:
    """A cgroup (version 2): its name in the open folder `parent`."""

    parent: int
    name: str

    def enter(self) -> None:
        procs = os.open(f"{self.name}/cgroup.procs", os.O_WRONLY, dir_fd=self.parent)
        os.write(procs, b"0")

    def remove(self, patience: float) -> None:
        """Remove it with the engine's cgroups below, which may need a moment to be empty."""
        end = time.monotonic() + patience
        while True:
            try:
                for folder, _, _, _ in os.fwalk(self.name, topdown=False, dir_fd=self.parent):
                    os.rmdir(folder, dir_fd=self.parent)
                return
            except FileNotFoundError:
                return
            except OSError as error:
                if time.monotonic() > end:
                    with contextlib.suppress(OSError):
                        said = f"A cgroup of a room stays behind: {self.name}: {error.strerror}"
                        print(said, file=sys.stderr)
                    return
                time.sleep(0.02)


def _make_cgroup(owner: int) -> _Cgroup | None:
    """Return a new cgroup for its owner; None where there is no writable tree.

    A container may have its cgroups read-only: then a room is like an ordinary user's.
    """
    parent = _tree()
    if parent is None:
        return None
    own = _Cgroup(parent, f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}")
    try:
        fcntl.flock(parent, fcntl.LOCK_EX)  # so that no sweep comes between a folder and its lock
        _sweep(parent)
        os.mkdir(own.name, dir_fd=parent)
        # held until this process ends
        fcntl.flock(os.open(own.name, os.O_RDONLY, dir_fd=parent), fcntl.LOCK_SH)
        for name in _DELEGATED:
            os.chown(f"{own.name}/{name}", owner, owner, dir_fd=parent)
    except OSError:
        return None
    finally:
        fcntl.flock(parent, fcntl.LOCK_UN)
    return own


def _tree() -> int | None:
    if os.geteuid() == 0:
        with open("/proc/self/mountinfo") as mounts:
            for before, _, after in (line.partition(" - ") for line in mounts):
                if after.startswith("cgroup2 "):
                    return os.open(before.split()[4], os.O_RDONLY | os.O_DIRECTORY)
    return None


def _sweep(parent: int) -> None:
    """Remove the cgroups of killed supervisors: their locks are free, in whatever PID namespace."""
    for name in os.listdir(parent):
        if name.startswith(_PREFIX):
            with contextlib.suppress(OSError):  # locked, or gone meanwhile
                folder = os.open(name, os.O_RDONLY, dir_fd=parent)
                try:
                    fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    _Cgroup(parent, name).remove(patience=0)
                finally:
                    os.close(folder)
