"""The services of a room: processes that go on, each with a log; and whether they are ready."""

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from functools import partial

from rehearsal.errors import CannotCheck
from rehearsal.room.paths import LOGS, STATE
from rehearsal.settings import SECONDS_VARIABLE, seconds_to_start

_PAUSE = 0.01
STARTED = STATE / "started"
"""Exists once the services have started or failed to; holds the reason if they failed."""


def start_service(name: str, command: list[str], environment: Mapping[str, str]) -> int:
    """Start a service whose output goes to its log; return its PID.

    Out of reach of Ctrl-C. Process 1 gives it a session, by which the kernel shares out time; in
    another session than a kernel's own it would count as left by a cell (cell/processes.py).
    """
    apart = partial(os.posix_spawnp, setpgroup=0)
    if os.getpid() == 1:
        apart = partial(os.posix_spawnp, setsid=True)
    with open(LOGS / name, "ab") as log:
        streams = [(os.POSIX_SPAWN_DUP2, log.fileno(), number) for number in (1, 2)]
        quiet = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
        return apart(command[0], command, environment, file_actions=[quiet, *streams])


def wait_for(name: str, service: int, answers: Callable[[], object]) -> None:
    """Wait until a service answers; raise CannotCheck, with its last words, if it does not.

    answers: raises OSError until then.
    """
    end = time.monotonic() + (seconds := seconds_to_start())
    while True:
        with contextlib.suppress(OSError):
            answers()
            return
        late = time.monotonic() > end
        if late or os.waitpid(service, os.WNOHANG)[0]:
            limit = f" in {seconds} s ({SECONDS_VARIABLE})" if late else ""
            raise CannotCheck(f"The room's {name} did not start{limit}: {last_line(name)}")
        time.sleep(_PAUSE)


def last_line(service: str) -> str:
    """Return the last line that a service of the room printed."""
    lines = (LOGS / service).read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it printed nothing"


def wait_until_ready() -> None:
    """Wait, in a kernel, until the room's engine and registries answer.

    Raises CannotCheck, with the reason, if they failed to start.
    """
    while not STARTED.exists():
        time.sleep(_PAUSE)
    if reason := STARTED.read_text():
        raise CannotCheck(reason)


def can_run_containers() -> bool:
    """Whether this room has a cgroup tree of its own, which containers need."""
    return os.path.isdir("/sys/fs/cgroup/room")
