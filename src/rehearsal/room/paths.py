"""Where things are in a room, and how what belongs to it is called."""

from pathlib import Path

ROOM = Path("/run/room")
WORK = ROOM / "work"
PROJECT = ROOM / "project"
STATE = ROOM / "state"
"""A file system of its own, as the logs and the home are: the last word must fit when the room is
full.
"""
DOCKER_SOCKET = ROOM / "docker.sock"
ENGINE = ROOM / "engine.json"
"""Which engine the room has (engines.py)."""
BUNDLE = ROOM / "ca.pem"
CERTIFICATE, KEY = ROOM / "leaf.pem", ROOM / "leaf.key"
"""The one certificate for every name of the room, its chain with it."""
REFUSED = ".refused"
"""How the log of a registry's token service ends: the repositories to which it let somebody not
push.
"""
PRIVATE = "@rehearsal-"
"""How the address of a kernel begins that only its starter talks to."""
