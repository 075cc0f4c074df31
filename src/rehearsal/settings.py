"""The settings of a project: `[tool.rehearsal]` of its pyproject.toml."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rehearsal.errors import CannotCheck

Right = Literal["push", "pull", "expired"]
_PATHS = ("notebooks", "masks", "engines", "evidence")
NETWORK = "192.0.2"
"""Network of the registries in a room (RFC 5737).

Not 127.0.0.0/8: Docker lets those do without TLS.
"""
LOCALHOST = "127.0.0.1"
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
_PORT = "[1-9][0-9]{0,4}"
_HOST = rf"((localhost|{_LABEL}(\.{_LABEL})+)(:{_PORT})?|{_LABEL}:{_PORT})\Z"
"""A registry as references begin with it: other words are folders of Docker Hub."""
_SCHEMA = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
_FORMATS = {
    "a registry's host, such as ghcr.io, localhost or localhost:5000": _HOST,
    "of the form name:tag": r"(\S+ )?[^\s:]+:[^\s:]+\Z",
    "of the form linux/amd64": r"(linux/[a-z0-9]+)?\Z",
}
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
    tokens: Mapping[str, Right] = field(default_factory=dict)
    images: tuple[str, ...] = ()
    history: str = ""
    user: str = ""

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
            try:
                table = tomllib.loads(file.read_text()).get("tool", {}).get("rehearsal")
            except (OSError, ValueError, AttributeError) as error:
                raise CannotCheck(f"{file} cannot be read: {error}.") from error
            if table is not None:
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


def _settings(root: Path, table: dict[str, Any]) -> Settings:
    import fastjsonschema  # of the extra, which main asks for if it is missing

    try:
        fastjsonschema.validate(_SCHEMA, table, formats=_FORMATS)  # and fill in defaults
        registries = tuple(_registry(i, said) for i, said in enumerate(table["registries"], 1))
        hosts = [host for one in registries for host in one.hosts]
        for names in ([one.name for one in registries], hosts):
            if twice := [name for name in names if names.count(name) > 1]:
                raise ValueError(f"two of the registries are {twice[0]}")
    except ValueError as error:
        value = getattr(error, "value", None)
        came = f", and is {value!r}" if isinstance(value, str | int) else ""
        why = f"is not understood: {error}{came}.".replace(" data.", " ").replace(" data ", " it ")
        raise CannotCheck(f"[tool.rehearsal] of {root / 'pyproject.toml'} {why}") from error
    read = {key: root / said if key in _PATHS else said for key, said in _frozen(table).items()}
    return Settings(root=root, **read | {"registries": registries})


def _registry(number: int, table: dict[str, Any]) -> Registry:
    hosts = table["hosts"]
    address = LOCALHOST if hosts[0].startswith("localhost") else f"{NETWORK}.{number}"
    registry = Registry(**{"name": hosts[0], "address": address} | _frozen(table))
    if len({host.partition(":")[2] for host in hosts}) > 1:
        raise ValueError(f"the hosts of {registry.name} have more than one port")
    return registry


def _frozen(table: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(said) if isinstance(said, list) else said for key, said in table.items()}
