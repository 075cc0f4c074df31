"""Whether a room is ready, and for what: process 1 writes it, the kernel reads it."""

import os
import time

from rehearsal.errors import CannotCheck
from rehearsal.room.paths import STATE

_PAUSE = 0.01
STARTED = STATE / "started"
"""Exists once the services have started or failed to; holds the reason if they failed."""


def wait_until_ready() -> None:
    """Wait until the room's engine and registries answer.

    Raises CannotCheck, with the reason, if they failed to start.
    """
    while not STARTED.exists():
        time.sleep(_PAUSE)
    if reason := STARTED.read_text():
        raise CannotCheck(reason)


def can_run_containers() -> bool:
    """Whether this room has a cgroup tree of its own, which containers need."""
    return os.path.isdir("/sys/fs/cgroup/room")
