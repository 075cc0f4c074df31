"""The Docker engine of a room: a set unpacked by scripts/engines, or the machine's own.

The host chooses it; the room reads which one was chosen.
"""

import json
import os
import re
import shutil
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

from rehearsal.errors import CannotCheck
from rehearsal.settings import STORES, Settings

MACHINE = "machine"
"""Name of the engine found in PATH."""
GRAPH, CONTAINERD = STORES
NAME_VARIABLE, STORE_VARIABLE = "REHEARSAL_ENGINE", "REHEARSAL_STORE"
"""Environment variables that pass the choice on to kernels."""
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_OLDEST_OF_MACHINE = (24, 0)
_VERSION = re.compile(r"(\d+)\.(\d+)\.\d+")


@dataclass(frozen=True)
class Engine:
    """A Docker engine and its image store.

    Attributes:
        name: its set's, or MACHINE.
        store: one of STORES.
        version: dockerd's own, such as `26.1.5+dfsg1`.
        folder: its set's; empty for the machine's.
    """

    name: str
    store: str
    version: str
    folder: str = ""

    def __str__(self) -> str:
        kept = (
            "containerd's image store" if self.store == CONTAINERD else "the graph driver's store"
        )
        return f"Docker {self.release} with {kept}"

    @property
    def release(self) -> str:
        """The version as Docker released it, without what a distribution adds."""
        found = _VERSION.match(self.version)
        return found[0] if found else self.version

    @property
    def series(self) -> str:
        """The first two numbers of the version."""
        return ".".join(map(str, _series(self.version)))

    @property
    def programs(self) -> tuple[str, ...]:
        """Folders of its programs, to be put before PATH."""
        return (f"{self.folder}/usr/bin", f"{self.folder}/usr/sbin") if self.folder else ()

    @property
    def plugins(self) -> str:
        """Folder of the docker command's plugins; empty for the machine's, which finds its own."""
        return f"{self.folder}/usr/libexec/docker/cli-plugins" if self.folder else ""


def choose_engine(settings: Settings) -> Engine:
    """Return the engine that was asked for, or else the recorded one.

    Where the recorded set was never fetched, a machine's engine that is new enough serves. Raises
    CannotCheck without either.
    """
    asked = os.environ.get(NAME_VARIABLE, "")
    name = asked or settings.engine
    if name != MACHINE and not (settings.engines / name / "versions.json").is_file():
        if asked or _version_of_machine() is None:
            raise CannotCheck(_not_here(settings, name))
        name = MACHINE
    version, folder = _machine() if name == MACHINE else _of_set(settings.engines / name)
    return Engine(name, _store(settings, version), version, folder)


def _not_here(settings: Settings, name: str) -> str:
    here = (
        ", ".join(sorted(file.parent.name for file in settings.engines.glob("*/versions.json")))
        or "none"
    )
    return f"The engine {name} is not here (there is: {here}). Fetch it: scripts/engines {name}"


def _of_set(folder: Path) -> tuple[str, str]:
    try:
        return str(json.loads((folder / "versions.json").read_text())["docker"]), str(folder)
    except (OSError, ValueError, LookupError) as error:
        raise CannotCheck(
            f"The engine in {folder} is broken ({error}): remove the folder, and fetch it again."
        ) from None


def _machine() -> tuple[str, str]:
    version = _version_of_machine()
    if version is None:
        raise CannotCheck(
            "There is no Docker engine in PATH. Install one:"
            " https://docs.docker.com/engine/install/"
        )
    if _series(version) < _OLDEST_OF_MACHINE:
        raise CannotCheck(
            f"This machine's Docker is {version}; it takes 24 or newer. Install that "
            "(https://docs.docker.com/engine/install/), or fetch one for this project: make setup"
        )
    return version, ""


def _version_of_machine() -> str | None:
    program = shutil.which("dockerd", path=f"{os.environ.get('PATH', '')}{os.pathsep}{SYSTEM_PATH}")
    if program is None:
        return None
    said = subprocess.run(
        [program, "--version"], capture_output=True, text=True, check=False
    ).stdout
    found = re.search(r"version ([^\s,]+)", said)
    return found[1] if found else None


def _series(version: str) -> tuple[int, int]:
    found = _VERSION.match(version)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _store(settings: Settings, version: str) -> str:
    """Return the store that was asked for, or the recorded one if this engine has it."""
    asked = os.environ.get(STORE_VARIABLE, "")
    if asked not in ("", *STORES):
        raise CannotCheck(f"There is no image store {asked}: {' or '.join(STORES)}.")
    has = STORES if _series(version) >= _OLDEST_OF_MACHINE else (GRAPH,)
    if asked and asked not in has:
        raise CannotCheck(
            f"Docker {version} keeps images in its graph driver only: --store {GRAPH}."
        )
    return asked or (settings.store if settings.store in has else GRAPH)


def as_file(engine: Engine) -> bytes:
    """Return the file that tells a room its engine; `read_engine` reads it."""
    return json.dumps(asdict(engine)).encode()


def read_engine(file: Path) -> Engine:
    """Return the engine that a room was given."""
    return Engine(**json.loads(file.read_text()))
