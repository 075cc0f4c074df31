"""The Docker engine of a room: a set unpacked by scripts/engines, or the machine's own.

The host chooses it; the room reads which one was chosen.
"""

import itertools
import json
import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from rehearsal.errors import CannotCheck
from rehearsal.settings import STORES, Settings

MACHINE = "machine"
"""Name of the engine found in PATH."""
GRAPH, CONTAINERD = STORES
NAME_VARIABLE, STORE_VARIABLE = "REHEARSAL_ENGINE", "REHEARSAL_STORE"
"""Environment variables that pass the choice on to kernels."""
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_OLDEST = 24
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_INSTALL = "https://docs.docker.com/engine/install/"


@dataclass(frozen=True)
class Engine:
    """A Docker engine and its image store.

    Attributes:
        name: its set's, or MACHINE.
        store: one of STORES.
        version: dockerd's own, such as `26.1.5+dfsg1`.
        folder: its set's; empty for the machine's.
        registry: the folder with the unpacked registry; empty where PATH has one.
    """

    name: str
    store: str
    version: str
    folder: str = ""
    registry: str = ""

    def __str__(self) -> str:
        keeper = "containerd's image" if self.store == CONTAINERD else "the graph driver's"
        return f"Docker {self.release} with {keeper} store"

    @property
    def release(self) -> str:
        """The version as Docker released it, without what a distribution adds."""
        return re.sub(r"[^\d.].*", "", self.version)

    @property
    def programs(self) -> tuple[str, ...]:
        """Folders of its programs and of the registry, to be put before PATH."""
        sets = filter(None, (self.registry, self.folder))
        return tuple(f"{folder}/usr/{place}" for folder in sets for place in ("bin", "sbin"))

    @property
    def plugins(self) -> str:
        """Folder of the docker command's plugins; empty for the machine's, which finds its own."""
        return f"{self.folder}/usr/libexec/docker/cli-plugins" if self.folder else ""


def machine_architecture() -> str:
    """Return the machine's processor as images name it, such as `amd64`."""
    return _ARCHITECTURES.get(platform.machine(), platform.machine())


def choose_engine(settings: Settings) -> Engine:
    """Return the engine that was asked for, or else the recorded one.

    Where the recorded set was never fetched, a machine's engine that is new enough serves. Raises
    CannotCheck without either.
    """
    asked = os.environ.get(NAME_VARIABLE, "")
    name = asked or settings.engine
    folder, registry = settings.engines / name, settings.engines / "registry"
    unpacked = str(registry) if registry.is_dir() else ""
    if name != MACHINE and (folder / "versions.json").is_file():
        version = json.loads((folder / "versions.json").read_text())["docker"]
        return Engine(name, _store(settings, version), version, str(folder), unpacked)
    version = _version_of_machine()
    if name != MACHINE and (asked or not version):
        sets = sorted(file.parent.name for file in settings.engines.glob("*/versions.json"))
        here = f"The engine {name} is not here (available: {', '.join(sets) or 'none'})"
        raise CannotCheck(f"{here}. Fetch it: scripts/engines {name}")
    if _major(version) < _OLDEST:
        here = f"This machine's Docker is {version or 'missing'}, and {_OLDEST} or newer is needed"
        raise CannotCheck(f"{here}. Install that ({_INSTALL}), or run `make setup`")
    return Engine(MACHINE, _store(settings, version), version, registry=unpacked)


def _version_of_machine() -> str:
    """Return the version of the engine in PATH, or nothing without one."""
    path = f"{os.environ.get('PATH', '')}{os.pathsep}{SYSTEM_PATH}"
    if not (program := shutil.which("dockerd", path=path)):
        return ""
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"version (\d[^\s,]*)", done.stdout)
    return found[1] if found else ""


def _major(version: str) -> int:
    return int("".join(itertools.takewhile(str.isdigit, version)) or 0)


def _store(settings: Settings, version: str) -> str:
    """Return the store that was asked for, or the recorded one if this engine has it."""
    asked = os.environ.get(STORE_VARIABLE, "")
    has = STORES if _major(version) >= _OLDEST else (GRAPH,)
    if asked not in ("", *has):
        raise CannotCheck(f"Docker {version} has no store {asked}: choose {' or '.join(has)}.")
    return asked or (settings.store if settings.store in has else GRAPH)


def read_engine(file: Path) -> Engine:
    """Return the engine that a room was given."""
    return Engine(**json.loads(file.read_text()))
