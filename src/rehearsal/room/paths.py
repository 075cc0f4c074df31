"""Paths inside a room, and names that mark what belongs to one."""

from pathlib import Path

ROOM = Path("/run/room")
WORK = ROOM / "work"
PROJECT = ROOM / "project"
STATE = ROOM / "state"
"""A tmpfs of its own, so that status files can be written when the room is full."""
LOGS = ROOM / "log"
DOCKER_SOCKET = ROOM / "docker.sock"
ENGINE = ROOM / "engine.json"
"""The room's engine (engine.py)."""
BUNDLE = ROOM / "ca.pem"
CERTIFICATE, KEY = ROOM / "leaf.pem", ROOM / "leaf.key"
"""One certificate with all host names of the room, and its chain."""
PRIVATE = "@rehearsal-"
"""Prefix of the address of a kernel that only its starter uses."""


def refused_log(registry: str) -> Path:
    """Return the path of a registry's log of refused pushes, a repository a line."""
    return LOGS / f"{registry}.refused"
