"""What a page has made in a room, item by item: so it is known what a page leaves behind.

Registries do not count: nobody can take a release back.
"""

import contextlib
import hashlib
import http.client
import json
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rehearsal.room.docker_config import folder, read_text, stored_logins
from rehearsal.room.paths import DOCKER_SOCKET, WORK

_BUILT_IN = ("bridge", "host", "none")
_NOT_OF_A_PAGE = {".ipynb_checkpoints", ".cache", ".docker", ".ipython", ".jupyter", ".local"}
"""Folders in which the kernel and Docker keep what they like."""
_OF_A_SHELL = re.compile(
    r"^(?:declare -\w*x\w* (?!(?:_|OLDPWD|PWD|SHLVL|rehearsal_\w+)\b)(?P<variable>\w+)"
    r"|cd -- (?P<working_folder>)|(?P<umask>)umask )",
    re.MULTILINE,
)
"""Lines of a shell's state, as driver.bash prints it."""


def ask_engine(path: str) -> Any:
    """Return the answer of the room's engine to a GET (Docker Engine API). Raises OSError."""
    with contextlib.closing(http.client.HTTPConnection("localhost")) as engine:
        engine.sock = socket.socket(socket.AF_UNIX)
        engine.sock.connect(str(DOCKER_SOCKET))
        engine.request("GET", path)
        return json.loads(engine.getresponse().read())


def items(state: str) -> dict[str, str]:
    """Return what is there now: items such as `image alpine:latest`, each with a fingerprint.

    state: of the shell.
    """
    named = dict.fromkeys((*_in_engine(), *_in_client()), "")
    return named | dict(_in_shell(state)) | dict(_files(WORK, "")) | dict(_files(Path.home(), "~/"))


def _in_engine() -> Iterator[str]:
    for image in ask_engine("/images/json"):
        yield from (f"image {name}" for name in image["RepoTags"] or image["RepoDigests"])
    for container in ask_engine("/containers/json?all=1"):
        yield f"container {container['Names'][0].removeprefix('/')}"
    for network in ask_engine("/networks"):
        if network["Name"] not in _BUILT_IN:
            yield f"network {network['Name']}"
    for volume in ask_engine("/volumes")["Volumes"] or ():
        yield f"volume {volume['Name']}"


def _in_client() -> Iterator[str]:
    """Yield logins, that is passwords and tokens that Docker keeps; contexts; builders."""
    yield from (f"login {host}" for host in stored_logins())
    with contextlib.suppress(ValueError, AttributeError):
        if used := json.loads(read_text()).get("currentContext"):
            yield f"context {used} in use"
    for described in folder().glob("contexts/meta/*/meta.json"):
        yield f"context {json.loads(described.read_text())['Name']}"
    yield from (f"builder {path.name}" for path in folder().glob("buildx/instances/*"))


def _in_shell(state: str) -> Iterator[tuple[str, str]]:
    """Yield exported variables, the working folder and the mask."""
    for match in _OF_A_SHELL.finditer(state):
        kind = match.lastgroup or ""
        line = state[match.start() :].partition("\n")[0]
        yield f"{kind.replace('_', ' ')} {match[kind]}".strip(), line


def _files(top: Path, before: str) -> Iterator[tuple[str, str]]:
    """Yield files with mode and content, and folders."""
    for parent, folders, names in os.walk(top):
        folders[:] = [name for name in folders if name not in _NOT_OF_A_PAGE]
        for path in (Path(parent, name) for name in (*folders, *names)):
            kind = "folder" if path.name in folders else "file"
            readable = path.is_file() and os.access(path, os.R_OK)
            content = path.read_bytes() if readable else b""
            seen = f"{path.lstat().st_mode} {hashlib.sha256(content).hexdigest()}"
            yield f"{kind} {before}{path.relative_to(top)}", seen


def without_parts(found: set[str]) -> set[str]:
    """Return items without what is in a folder that is an item itself.

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
