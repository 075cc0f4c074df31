"""The supervisor of a room: a process outside that ends the room when its runner ends.

The runner may be killed at any moment, so it cannot clean up. The supervisor, whose pipe from the
runner closes then, kills the room's outer process, and so every process in it, and removes the
room's cgroup. Everything else is in the room's mount namespaces, and ends with those.
"""

import contextlib
import json
import os
import select
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from rehearsal.room import linux
from rehearsal.room.cgroup import make_cgroup, remove_cgroup
from rehearsal.room.users import map_users

_OUTER = linux.CLONE_NEWUSER | linux.CLONE_NEWNS
_SECONDS_TO_EMPTY = 3.0


@dataclass(frozen=True)
class Runner:
    """The pipes to the runner.

    Attributes:
        liveness_fd: closes when the runner ends.
        report: takes one JSON object a line, with the `pid` of process 1 or with an `error`.
    """

    liveness_fd: int
    report: int

    def send(self, **what: object) -> None:
        """Report one line to the runner, if it still lives."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self.report, json.dumps(what).encode() + b"\n")

    def send_error(self, error: BaseException) -> None:
        """Report an error with its errno."""
        reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        self.send(error=reason, number=getattr(error, "errno", None) or 0)


Enter = Callable[[bool, Runner], NoReturn]
"""Goes on in the room's outer namespaces; the first argument is whether there is a cgroup."""


def supervise(enter: Enter, outer_user: int, runner: Runner) -> NoReturn:
    """Make a room whose outer process is `enter`, and exit with its status; never return.

    outer_user: the user that the room's root is outside.
    """
    status = 3
    try:
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        cgroup = make_cgroup(outer_user)
        status = _run(enter, cgroup, outer_user, runner)
        if cgroup:
            remove_cgroup(cgroup, _SECONDS_TO_EMPTY)
    except OSError as error:
        runner.send_error(error)
    finally:  # whatever happens: this process must not run on as a copy of the runner
        os._exit(status)


def _run(enter: Enter, cgroup: Path | None, outer_user: int, runner: Runner) -> int:
    """Make the outer process, give it its cgroup and users, and wait for its end.

    Return its status.
    """
    mapped, say_mapped = os.pipe()
    first = linux.fork_into_namespaces(_OUTER)
    if not first:
        os.close(say_mapped)
        run_as_child(runner, lambda: _begin(enter, mapped, cgroup is not None, runner))
    try:
        if cgroup:
            (cgroup / "cgroup.procs").write_text(str(first))
        map_users(first, outer_user)
        os.write(say_mapped, b"1")
    except OSError as error:
        runner.send_error(error)
    os.close(say_mapped)
    os.close(runner.report)
    return _watch(first, runner.liveness_fd)


def _begin(enter: Enter, mapped: int, containers: bool, runner: Runner) -> None:
    linux.die_with_parent()
    if os.read(mapped, 1):  # else the supervisor has failed, or has been killed
        linux.leave_keyring()
        linux.refuse_ways_out()
        enter(containers, runner)


def run_as_child(runner: Runner, action: Callable[[], None]) -> NoReturn:
    """Run an action, report its failure, and exit: a child must not run on as a copy."""
    try:
        action()
        os._exit(0)
    except BaseException as error:
        runner.send_error(error)
    os._exit(3)


def _watch(first: int, alive: int) -> int:
    """Wait for a process, or kill it when the runner is gone; return its exit status."""
    ended = os.pidfd_open(first)
    ready, _, _ = select.select([ended, alive], [], [])
    if ended not in ready:
        os.kill(first, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]) & 0xFF
