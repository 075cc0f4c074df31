"""The namespaces of a room, one in the other: its walls are in the outer, all else in the inner.

Mounts that a mount namespace takes from one of more rights are locked (mount_namespaces(7)): so
nothing in a room, not even root, can change how its walls are mounted.
"""

import contextlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

from rehearsal.room import limits, linux
from rehearsal.room.users import map_users
from rehearsal.room.walls import Inside, open_trees, seal

_INNER = linux.CLONE_NEWUSER | linux.CLONE_NEWNET | linux.CLONE_NEWPID
_INNER |= linux.CLONE_NEWUTS | linux.CLONE_NEWIPC
Run = Callable[[], NoReturn]
"""Becomes the room's process 1."""


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


def run_as_child(runner: Runner, action: Callable[[], object]) -> NoReturn:
    """Run an action, report its failure, and exit: a child must not run on as a copy."""
    try:
        action()
        os._exit(0)
    except BaseException as error:
        runner.send_error(error)
    os._exit(3)


def enter(
    inside: Inside, given: Mapping[str, int], run: Run, containers: bool, runner: Runner
) -> NoReturn:
    """Go on in the outer namespaces: build, have process 1 run, and exit with its status."""
    limits.limit_tasks()
    if containers:
        linux.unshare(linux.CLONE_NEWCGROUP)
    trees = open_trees(inside, given)  # the namespace's root may not be allowed to open their paths
    linux.become_root()
    linux.die_with_parent()  # again: a change of user takes it back

    def run_first() -> None:
        linux.unshare(linux.CLONE_NEWNS)
        run()

    first, go = linux.fork_waiting(_INNER, partial(run_as_child, runner, run_first))
    map_users(first, 0)
    linux.join(f"/proc/{first}/ns/net", linux.CLONE_NEWNET)
    linux.join(f"/proc/{first}/ns/pid", linux.CLONE_NEWPID)  # of the next child
    builder = os.fork()
    if not builder:
        run_as_child(runner, partial(seal, inside, trees, containers))
    if os.waitpid(builder, 0)[1]:
        os._exit(3)
    if containers:
        leave_top_cgroup()
    runner.send(pid=first)
    os.write(go, b"1")
    os.close(runner.report)
    os._exit(os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]) & 0xFF)


def leave_top_cgroup() -> None:
    """Move this process down: the top of the engine's tree must hold none (cgroups(7))."""
    Path("/sys/fs/cgroup/room/cgroup.procs").write_text("0")
