"""The processes around a room: its supervisor, and the outer process, which builds its walls.

The runner may be killed at any moment, so it cannot clean up. The supervisor, whose pipe from the
runner closes then, kills the room's outer process, and so every process in it, and removes the
room's cgroup. Everything else is in the room's mount namespaces, and ends with those.

The room's namespaces are one in the other: its walls are in the outer, all else in the inner.
Mounts that a mount namespace takes from one of more rights are locked (mount_namespaces(7)): so
nothing in a room, not even root, can change how its walls are mounted.
"""

import contextlib
import json
import os
import select
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

from rehearsal.room import limits, linux
from rehearsal.room.cgroup import make_cgroup, remove_cgroup
from rehearsal.room.users import map_users
from rehearsal.room.walls import Inside, open_trees, seal

_OUTER = linux.CLONE_NEWUSER | linux.CLONE_NEWNS
_INNER = linux.CLONE_NEWUSER | linux.CLONE_NEWNET | linux.CLONE_NEWPID
_INNER |= linux.CLONE_NEWUTS | linux.CLONE_NEWIPC


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

    def run(self, action: Callable[[], object]) -> NoReturn:
        """Run a child's action, report its failure, and exit."""
        status = 3
        try:
            action()
            status = 0
        except BaseException as error:
            reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
            self.send(error=reason, number=getattr(error, "errno", None) or 0)
        finally:  # whatever happens: a child must not run on as a copy of the runner
            os._exit(status)


@dataclass(frozen=True)
class Plan:
    """What a room is made of.

    Attributes:
        inside: what it shows.
        trees: mounts to show in place of the machine's, by path.
        outer_user: the user that the room's root is outside.
        run: becomes the room's process 1.
    """

    inside: Inside
    trees: Mapping[str, int]
    outer_user: int
    run: Callable[[], NoReturn]


def supervise(plan: Plan, runner: Runner) -> NoReturn:
    """Make a room, and exit with its status; never return."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    cgroup = make_cgroup(plan.outer_user)
    enter = partial(_enter, plan, cgroup is not None, runner)
    first, go = linux.fork_waiting(_OUTER, partial(runner.run, enter))
    if cgroup:
        (cgroup / "cgroup.procs").write_text(str(first))
    map_users(first, plan.outer_user)
    os.write(go, b"1")
    os.close(runner.report)
    ended = os.pidfd_open(first)
    if ended not in select.select([ended, runner.liveness_fd], [], [])[0]:
        os.kill(first, signal.SIGKILL)  # the runner is gone
    status = os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]) & 0xFF
    if cgroup:
        remove_cgroup(cgroup)
    os._exit(status)


def _enter(plan: Plan, containers: bool, runner: Runner) -> NoReturn:
    """Go on in the outer namespaces: build, have process 1 run, and exit with its status."""
    linux.leave_keyring()
    linux.refuse_ways_out()
    limits.limit_tasks()
    if containers:
        linux.unshare(linux.CLONE_NEWCGROUP)
    # before: the namespace's root may not be allowed to open their paths
    trees = open_trees(plan.inside, plan.trees)
    linux.become_root()
    linux.die_with_parent()  # again: a change of user takes it back

    first, go = linux.fork_waiting(_INNER, partial(runner.run, plan.run))
    map_users(first, 0)
    linux.join(f"/proc/{first}/ns/net", linux.CLONE_NEWNET)
    linux.join(f"/proc/{first}/ns/pid", linux.CLONE_NEWPID)  # of the next child
    builder = os.fork()
    if not builder:
        runner.run(partial(seal, plan.inside, trees, containers))
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
