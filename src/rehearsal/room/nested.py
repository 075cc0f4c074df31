"""The namespaces of a room, one in the other: its walls are in the outer, all else in the inner.

Mounts that a mount namespace takes from one of more rights are locked (mount_namespaces(7)): so
nothing in a room, root neither, can change how its walls are mounted.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from rehearsal.room import limits, linux
from rehearsal.room.supervisor import Runner, run_as_child
from rehearsal.room.users import map_users_to_themselves

_INNER = linux.CLONE_NEWUSER | linux.CLONE_NEWNET | linux.CLONE_NEWPID
_INNER |= linux.CLONE_NEWUTS | linux.CLONE_NEWIPC
Trees = dict[str, int]
"""Copies of mounts, by path."""
Build = Callable[[Trees, bool], None]
"""Builds the walls; its second argument is whether there is a cgroup."""
Run = Callable[[], NoReturn]
"""Becomes the room's process 1."""


def enter(
    open_trees: Callable[[], Trees], build: Build, run: Run, containers: bool, runner: Runner
) -> NoReturn:
    """Go on in the outer namespaces: build, have process 1 run, and exit with its status."""
    limits.limit_tasks()
    if containers:
        linux.unshare(linux.CLONE_NEWCGROUP)
    trees = open_trees()  # the namespace's root may not be allowed to open their paths
    linux.become_root()
    linux.die_with_parent()  # again: a change of user takes it back
    steps, step = os.pipe()
    first = linux.fork_into_namespaces(_INNER)
    if not first:
        os.close(step)
        run_as_child(runner, lambda: _wait_and_run(run, steps))
    map_users_to_themselves(first)
    os.write(step, b"1")
    linux.join(f"/proc/{first}/ns/net", linux.CLONE_NEWNET)
    linux.join(f"/proc/{first}/ns/pid", linux.CLONE_NEWPID)  # of the next child
    builder = os.fork()
    if not builder:
        run_as_child(runner, lambda: build(trees, containers))
    if os.waitpid(builder, 0)[1]:
        os._exit(3)
    if containers:
        leave_top_cgroup()
    runner.send(pid=first)
    os.write(step, b"1")
    os.close(runner.report)
    os._exit(os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]) & 0xFF)


def leave_top_cgroup() -> None:
    """Move this process down: the top of the engine's tree must hold none (cgroups(7))."""
    Path("/sys/fs/cgroup/room/cgroup.procs").write_text("0")


def _wait_and_run(run: Run, steps: int) -> None:
    """Run in the inner namespaces, once users are mapped and walls are built."""
    if os.read(steps, 1):
        linux.become_root()
        linux.die_with_parent()
        if os.read(steps, 1):
            linux.unshare(linux.CLONE_NEWNS)
            run()
