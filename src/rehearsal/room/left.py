"""What a page has made in a room, item by item: so it is known what a page leaves behind.

Registries do not count: nobody can take a release back.
"""

import base64
import http.client
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rehearsal.room.paths import DOCKER_SOCKET, WORK

_BUILT_IN = ("bridge", "host", "none")


class _Engine(http.client.HTTPConnection):
    """A connection to the room's engine."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(str(DOCKER_SOCKET))

    def get(self, path: str) -> Any:
        """Return the engine's answer to a GET (Docker Engine API)."""
        self.request("GET", path)
        return json.loads(self.getresponse().read())


def items() -> set[str]:
    """Return what is there now, such as `image alpine:latest` and `login ghcr.io`."""
    return {*_in_engine(), *_logins(), *_files()}


def _in_engine() -> Iterator[str]:
    engine = _Engine("localhost")
    for image in engine.get("/images/json"):
        yield from (f"image {name}" for name in image["RepoTags"] or image["RepoDigests"])
    for container in engine.get("/containers/json?all=1"):
        yield f"container {container['Names'][0].removeprefix('/')}"
    for network in engine.get("/networks"):
        if network["Name"] not in _BUILT_IN:
            yield f"network {network['Name']}"
    for volume in engine.get("/volumes")["Volumes"] or ():
        yield f"volume {volume['Name']}"
    engine.close()


def _logins() -> Iterator[str]:
    """Yield the registries for which Docker has stored a password or a token."""
    file = Path(os.environ["DOCKER_CONFIG"], "config.json")
    stored = json.loads(file.read_text()).get("auths", {}) if file.exists() else {}
    for host, login in stored.items():
        if base64.b64decode(login.get("auth", "")) or login.get("identitytoken"):
            yield f"login {host}"


def _files() -> Iterator[str]:
    for folder, folders, names in os.walk(WORK):
        folders[:] = [name for name in folders if name != ".ipynb_checkpoints"]
        below = Path(folder).relative_to(WORK)
        yield from (f"file {below / name}" for name in names)
        yield from (f"folder {below / name}" for name in folders)


def without_parts(found: set[str]) -> set[str]:
    """Return items without what stands in a folder that is an item itself.

    The same holds for an image by digest beside one by tag of its repository.
    """
    folders = {one.partition(" ")[2] for one in found if one.startswith("folder ")}
    images = {one.partition(" ")[2] for one in found if one.startswith("image ")}
    tagged = {one.rpartition(":")[0] for one in images if "@" not in one}

    def is_part(one: str) -> bool:
        kind, _, name = one.partition(" ")
        if kind in ("file", "folder"):
            return any(str(parent) in folders for parent in Path(name).parents)
        return kind == "image" and "@" in name and name.partition("@")[0] in tagged

    return {one for one in found if not is_part(one)}
