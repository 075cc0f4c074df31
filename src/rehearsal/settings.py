"""The settings of a project: `[tool.rehearsal]` of its pyproject.toml."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, cast

from rehearsal.errors import CannotCheck

Right = Literal["push", "pull", "expired"]
_KEYS = frozenset({"notebooks", "masks", "registries", "readers", "modules", "digest", "engine"})
_KEYS |= {"engines", "store", "evidence"}
_KEYS_OF_REGISTRY = frozenset({"name", "hosts", "user", "tokens", "images", "history"})
_NETWORK = "192.0.2"
"""Network of the registries in a room (RFC 5737).

Not 127.0.0.0/8: Docker lets those do without TLS.
"""
KERNEL = "rehearsal"
"""The kernel that executes and verifies notebooks, in a room."""
STORES = ("graph", "containerd")
"""An engine's image stores: its graph driver, or containerd's."""
RIGHTS = ("push", "pull", "expired")


@dataclass(frozen=True)
class Registry:
    """A registry of every room.

    Attributes:
        name: how references begin.
        address: in the room.
        hosts: the host names that lead to it.
        tokens: each practice token's right. Without any, everybody may pull and push: nobody can
            reach it but the room itself.
        images: stand-ins that it holds from the start, as `name:tag`.
        history: a file below the project, of releases that it holds from the start (images.py).
        user: the owner of the tokens; with another name they are refused. Empty for anybody.
    """

    name: str
    address: str
    hosts: tuple[str, ...]
    tokens: Mapping[str, Right] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    images: tuple[str, ...] = ()
    history: str = ""
    user: str = ""


@dataclass(frozen=True)
class Settings:
    """One project.

    Attributes:
        root: its folder.
        notebooks: the folder of its runbooks.
        mask_file: its masks, if it has any.
        registries: those of its rooms.
        readers: programs of its own that read a registry.
        modules: what a Python cell may import.
        digest: the command that says what a reference points to.
        engine: the name of the engine on which outputs are recorded.
        store: that engine's image store.
        engines: the folder of the engine sets.
        evidence: the table of which notebook held on which engine.
    """

    root: Path
    notebooks: Path
    mask_file: Path | None
    registries: tuple[Registry, ...]
    readers: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    digest: str = ""
    engine: str = "machine"
    store: str = "containerd"
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
    none = f"No pyproject.toml with [tool.rehearsal] at or above {start}"
    raise CannotCheck(f"{none}: change into the project's folder.")


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise CannotCheck(f"{file} cannot be read: {error}.") from error


def _settings(root: Path, table: dict[str, Any]) -> Settings:
    try:
        _check_keys(table, _KEYS)
        registries = tuple(_registry(i, entry) for i, entry in enumerate(table["registries"], 1))
        if not registries:
            raise ValueError("it names no `registries`")
        if (store := str(table.get("store", "containerd"))) not in STORES:
            raise ValueError(f"the store {store} is none of {', '.join(STORES)}")
        said = {name: _words(table, name) for name in ("readers", "modules")}
        return Settings(
            root,
            root / table.get("notebooks", "notebooks"),
            root / table["masks"] if "masks" in table else None,
            registries,
            **said,
            digest=str(table.get("digest", "")),
            engine=str(table.get("engine", "machine")),
            store=store,
            engines=root / table.get("engines", "engines"),
            evidence=root / table["evidence"] if "evidence" in table else None,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        file = root / "pyproject.toml"
        raise CannotCheck(f"[tool.rehearsal] of {file} is not understood: {error}.") from error


def _registry(number: int, entry: dict[str, Any]) -> Registry:
    _check_keys(entry, _KEYS_OF_REGISTRY)
    tokens = dict(entry.get("tokens", {}))
    for token, right in tokens.items():
        if right not in RIGHTS:
            raise ValueError(f"the token {token} may {right!r}, none of {', '.join(RIGHTS)}")
    hosts, images = _words(entry, "hosts"), _words(entry, "images")
    if not hosts or not all(re.fullmatch(r"[A-Za-z0-9._-]+", host) for host in hosts):
        raise ValueError("each of the registries needs `hosts`, a list of names")
    if unclear := [image for image in images if not re.fullmatch(r"(\S+ )?[^\s:]+:[^\s:]+", image)]:
        raise ValueError(f"the image {unclear[0]!r} is not written as name:tag")
    name, rights = str(entry.get("name", hosts[0])), cast(dict[str, Right], tokens)
    history, user = str(entry.get("history", "")), str(entry.get("user", ""))
    return Registry(name, f"{_NETWORK}.{number}", hosts, rights, images, history, user)


def _check_keys(table: Mapping[str, object], known: frozenset[str]) -> None:
    if unknown := sorted(set(table) - known):
        raise ValueError(f"there is no setting {', '.join(unknown)}")


def _words(table: Mapping[str, Any], name: str) -> tuple[str, ...]:
    found = table.get(name, [])
    if not isinstance(found, list) or not all(isinstance(word, str) for word in found):
        raise ValueError(f"{name} is no list of words")
    return tuple(found)
