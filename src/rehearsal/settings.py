"""The settings of a project: `[tool.rehearsal]` of its pyproject.toml."""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from rehearsal.errors import CannotCheck

Right = Literal["push", "pull", "expired"]
RIGHTS = get_args(Right)
_NOT_FROM_A_TABLE = frozenset({"root", "address"})
"""Attributes that no key of a table gives."""
_PATHS = ("notebooks", "masks", "engines", "evidence")
_TEXTS = ("digest", "engine", "store", "platform")
NETWORK = "192.0.2"
"""Network of the registries in a room (RFC 5737).

Not 127.0.0.0/8: Docker lets those do without TLS.
"""
LOCALHOST = "127.0.0.1"
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = re.compile(rf"(localhost|{_LABEL}(\.{_LABEL})+)(:[0-9]+)?|{_LABEL}:[0-9]+")
"""A registry as references begin with it: other words are folders of Docker Hub."""
KERNEL = "rehearsal"
"""The kernel that executes and verifies notebooks, in a room."""
SECONDS_VARIABLE = "REHEARSAL_SECONDS"
STORES = ("graph", "containerd")
"""An engine's image stores: its graph driver, or containerd's."""


@dataclass(frozen=True)
class Registry:
    """A registry of every room.

    Attributes:
        name: how references begin.
        address: in the room.
        hosts: the host names that lead to it, all with the same port if it is not 443.
        tokens: each practice token's right. Without any, everybody may pull and push: nobody can
            reach it but the room itself.
        images: stand-ins that it holds from the start, as `name:tag`.
        history: a file below the project, of releases that it holds from the start (images.py).
        user: the owner of the tokens; with another name they are refused. Empty for anybody.
    """

    name: str
    address: str
    hosts: tuple[str, ...]
    tokens: Mapping[str, Right]
    images: tuple[str, ...]
    history: str
    user: str

    @property
    def host_names(self) -> tuple[str, ...]:
        """`hosts` without their port."""
        return tuple(host.partition(":")[0] for host in self.hosts)

    @property
    def port(self) -> int:
        """The port of all hosts."""
        return int(self.hosts[0].partition(":")[2] or 443)


@dataclass(frozen=True)
class Settings:
    """One project.

    Attributes:
        root: its folder.
        notebooks: the folder of its runbooks.
        registries: those of its rooms.
        masks: its masks, if it has any.
        readers: programs of its own that read a registry.
        modules: what a Python cell may import.
        digest: the command that prints what a reference points to.
        engine: the name of the engine on which outputs are recorded.
        store: that engine's image store.
        platform: of the images in its rooms, such as `linux/amd64`; empty for the machine's own.
        engines: the folder of the engine sets.
        evidence: the table of which notebook held on which engine.
    """

    root: Path
    notebooks: Path
    registries: tuple[Registry, ...]
    masks: Path | None = None
    readers: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    digest: str = ""
    engine: str = "machine"
    store: str = "containerd"
    platform: str = ""
    engines: Path = Path("engines")
    evidence: Path | None = None


def load_settings(start: Path) -> Settings:
    """Return the settings of the nearest project at or above `start`.

    Raises CannotCheck where there is none.
    """
    for folder in (start, *start.parents):
        file = folder / "pyproject.toml"
        if file.is_file():
            tools = _read(file).get("tool")
            table = tools.get("rehearsal") if isinstance(tools, dict) else None
            if isinstance(table, dict):
                return _settings(folder, table)
    there = f"at or above {start}: change into the project's folder."
    raise CannotCheck(f"No pyproject.toml with [tool.rehearsal] {there}")


def seconds_to_start() -> int:
    """Return how long a room or a kernel may take to start; a cell may take five times as long.

    Raises CannotCheck where REHEARSAL_SECONDS is no number of seconds.
    """
    said = os.environ.get(SECONDS_VARIABLE, "60")
    if said.isdecimal() and int(said):
        return int(said)
    raise CannotCheck(f"{SECONDS_VARIABLE} is {said!r}: give it a number of seconds.")


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise CannotCheck(f"{file} cannot be read: {error}.") from error


def keys_of(kind: type) -> set[str]:
    """Return the keys of the table from which a Registry or Settings is made."""
    return {one.name for one in fields(kind)} - _NOT_FROM_A_TABLE


def _settings(root: Path, table: Mapping[str, Any]) -> Settings:
    try:
        _check_keys(table, Settings)
        said = {"notebooks": "notebooks", "engines": "engines", "registries": [], **table}
        read: dict[str, Any] = {name: root / _text(said, name) for name in _PATHS if name in said}
        read |= {name: _text(said, name) for name in _TEXTS if name in said}
        read |= {name: _words(said, name) for name in ("readers", "modules")}
        settings = Settings(root=root, registries=_registries(said["registries"]), **read)
        if settings.store not in STORES:
            raise ValueError(f"the store {settings.store} is none of {', '.join(STORES)}")
        if not re.fullmatch(r"(linux/[a-z0-9]+)?", settings.platform):
            raise ValueError(f"the platform {settings.platform!r} is not written as linux/amd64")
        return settings
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        file = root / "pyproject.toml"
        raise CannotCheck(f"[tool.rehearsal] of {file} is not understood: {error}.") from error


def _registries(tables: object) -> tuple[Registry, ...]:
    if not isinstance(tables, list) or not all(isinstance(one, dict) for one in tables):
        raise ValueError("registries is no list of tables, [[tool.rehearsal.registries]]")
    found = tuple(_registry(i, entry) for i, entry in enumerate(tables, 1))
    for names in ([one.name for one in found], [host for one in found for host in one.hosts]):
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"two of the registries are {twice[0]}")
    return found


def _registry(number: int, entry: dict[str, Any]) -> Registry:
    _check_keys(entry, Registry)
    tokens = entry.get("tokens", {})
    if not isinstance(tokens, dict):
        raise ValueError("tokens is no table")
    for token, right in tokens.items():
        if right not in RIGHTS:
            raise ValueError(f"the token {token} may {right!r}, none of {', '.join(RIGHTS)}")
    hosts, images = _words(entry, "hosts"), _words(entry, "images")
    if not hosts:
        raise ValueError("each of the registries needs `hosts`, a list of names")
    name, history, user = (_text(entry, key) for key in ("name", "history", "user"))
    if wrong := [host for host in (*hosts, name or hosts[0]) if not _HOST.fullmatch(host)]:
        form = "such as ghcr.io, localhost or localhost:5000"
        raise ValueError(f"{wrong[0]!r} is no name with which a reference can begin, {form}")
    if unclear := [image for image in images if not re.fullmatch(r"(\S+ )?[^\s:]+:[^\s:]+", image)]:
        raise ValueError(f"the image {unclear[0]!r} is not written as name:tag")
    address = LOCALHOST if hosts[0].startswith("localhost") else f"{NETWORK}.{number}"
    registry = Registry(name or hosts[0], address, hosts, tokens, images, history, user)
    if {host.partition(":")[2] for host in hosts} != {hosts[0].partition(":")[2]}:
        raise ValueError(f"the hosts of {registry.name} have more than one port")
    if not 0 < registry.port < 2**16:
        raise ValueError(f"{registry.name} has no port {registry.port}")
    return registry


def _check_keys(table: Mapping[str, object], kind: type) -> None:
    if unknown := sorted(set(table) - keys_of(kind)):
        raise ValueError(f"there is no setting {', '.join(unknown)}")


def _text(table: Mapping[str, Any], name: str) -> str:
    found = table.get(name, "")
    if not isinstance(found, str):
        raise ValueError(f"{name} is no text")
    return found


def _words(table: Mapping[str, Any], name: str) -> tuple[str, ...]:
    found = table.get(name, [])
    if not isinstance(found, list) or not all(isinstance(word, str) for word in found):
        raise ValueError(f"{name} is no list of words")
    return tuple(found)
