"""The supervisor of a room: a process outside that ends the room when its runner ends.

The runner may be killed at any moment, so it cannot clean up. The supervisor, whose pipe from the
runner closes then, kills the room's outer process, and so every process in it, and removes the
room's cgroup. Everything else is in the room's mount namespaces, and ends with those.
"""

import os
import select
import signal
from collections.abc import Mapping
from functools import partial
from typing import NoReturn

from rehearsal.room import linux
from rehearsal.room.cgroup import make_cgroup, remove_cgroup
from rehearsal.room.nested import Run, Runner, enter, run_as_child
from rehearsal.room.users import map_users
from rehearsal.room.walls import Inside

_OUTER = linux.CLONE_NEWUSER | linux.CLONE_NEWNS


def supervise(
    inside: Inside, given: Mapping[str, int], run: Run, outer_user: int, runner: Runner
) -> NoReturn:
    """Make a room, and exit with its status; never return.

    given: mounts to show in place of the machine's. run: becomes the room's process 1. outer_user:
    the user that the room's root is outside.
    """
    status = 3
    try:
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        cgroup = make_cgroup(outer_user)

        def begin() -> None:
            linux.leave_keyring()
            linux.refuse_ways_out()
            enter(inside, given, run, cgroup is not None, runner)

        first, go = linux.fork_waiting(_OUTER, partial(run_as_child, runner, begin))
        try:
            if cgroup:
                (cgroup / "cgroup.procs").write_text(str(first))
            map_users(first, outer_user)
            os.write(go, b"1")
        except OSError as error:
            runner.send_error(error)
        os.close(go)
        os.close(runner.report)
        status = _watch(first, runner.liveness_fd)
        if cgroup:
            remove_cgroup(cgroup)
    except OSError as error:
        runner.send_error(error)
    finally:  # whatever happens: this process must not run on as a copy of the runner
        os._exit(status)


def _watch(first: int, alive: int) -> int:
    """Wait for a process, or kill it when the runner is gone; return its exit status."""
    ended = os.pidfd_open(first)
    ready, _, _ = select.select([ended, alive], [], [])
    if ended not in ready:
        os.kill(first, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]) & 0xFF
