"""The supervisor of a room: processes outside that end the room when its runner ends.

The runner may be killed at any moment, so it cannot clean up. The maker, whose pipe from the runner
closes then, kills the room's process 1, and so every process in it; the supervisor, which keeps the
rights for it, maps the room's users, waits for its end and removes its cgroup. Everything else is
in the room's mount namespace, and ends with that.
"""

import contextlib
import json
import os
import select
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from rehearsal.room import linux
from rehearsal.room.cgroup import make_cgroup, remove_cgroup
from rehearsal.room.users import map_users

_SECONDS_TO_EMPTY = 3.0
Enter = Callable[[bool], NoReturn]
"""Becomes the room's process 1; its argument says whether there is a cgroup."""


@dataclass(frozen=True)
class Runner:
    """The pipes to the runner.

    Attributes:
        alive: closes when the runner ends.
        report: takes one JSON object a line, with the `pid` of process 1 or with an `error`.
    """

    alive: int
    report: int

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


def supervise(enter: Enter, outer_user: int, runner: Runner) -> NoReturn:
    """Make a room whose process 1 is `enter`, and exit with its status; never return.

    outer_user: the user that the room's root is outside.
    """
    status = 3
    try:
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        cgroup = make_cgroup(outer_user)
        ours, theirs = socket.socketpair()
        maker = os.fork()  # it gives up rights that are needed here
        if not maker:
            ours.close()
            status = _make(enter, cgroup, theirs, runner)
        else:
            theirs.close()
            _map(maker, outer_user, ours, runner)
            status = _status_of(maker)
            if cgroup:
                remove_cgroup(cgroup, _SECONDS_TO_EMPTY)
    finally:  # whatever happens: this process must not run on as a copy of the runner
        os._exit(status)


def _map(maker: int, outer_user: int, channel: socket.socket, runner: Runner) -> None:
    """Map the users once the maker has its namespaces, and tell it; an end tells it of failure."""
    with channel:
        if channel.recv(1):
            try:
                map_users(maker, outer_user)
                channel.send(b"1")
            except OSError as error:
                runner.tell_error(error)
    os.close(runner.report)


def _make(enter: Enter, cgroup: Path | None, supervisor: socket.socket, runner: Runner) -> int:
    """Make the namespaces and process 1; return its exit status."""
    try:
        linux.unshare(linux.CLONE_ROOM)
        linux.die_with_parent()
        supervisor.send(b"1")
        if not supervisor.recv(1):  # the users could not be mapped, and the runner knows
            return 1
        first = os.fork()
        if not first:
            _begin(enter, cgroup, runner)
        runner.tell(pid=first)
        os.close(runner.report)
        return _watch(first, runner.alive)
    except OSError as error:
        runner.tell_error(error)
        return 1


def _begin(enter: Enter, cgroup: Path | None, runner: Runner) -> NoReturn:
    try:
        linux.die_with_parent()
        if cgroup:
            (cgroup / "cgroup.procs").write_text("0")
        linux.leave_keyring()
        linux.refuse_ways_out()
        enter(cgroup is not None)
    except BaseException as error:  # it must not run on as a copy of the runner
        runner.tell_error(error)
    os._exit(3)


def _watch(first: int, alive: int) -> int:
    """Wait for process 1, or kill it when the runner is gone; return its exit status."""
    ended = os.pidfd_open(first)
    ready, _, _ = select.select([ended, alive], [], [])
    if ended not in ready:
        os.kill(first, signal.SIGKILL)
    return _status_of(first)


def _status_of(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xFF
