"""Docker's own folder: its configuration and its contexts, read as the docker command reads them.

The SDK does not read them: without a configuration file it takes contexts from the working folder.
"""

import contextlib
import hashlib
import os
from pathlib import Path
from typing import Any

from megalotron_images.errors import CannotTell
from megalotron_images.json_text import parsed


def folder() -> Path:
    """Return Docker's folder."""
    return Path(os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker"))


def read_table(text: str, source: str) -> dict[str, Any]:
    """Return a JSON object; raise CannotTell, with its source, for anything else."""
    with contextlib.suppress(ValueError):  # not its words: they may hold the secret
        if isinstance(table := parsed(text.strip() or "{}"), dict):
            return table
    raise CannotTell(f"{source} is not a valid JSON object: fix it, or log in again.")


def read_file(file: Path) -> dict[str, Any]:
    """Return a file's JSON object, empty if there is no file; raise CannotTell for any other."""
    try:
        return read_table(file.read_text("utf-8", "replace"), str(file))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise CannotTell(f"{file} cannot be read: {error.strerror}.") from None


def current_engine() -> str:
    """Return the address of the engine that the docker command would use; empty for the usual one.

    DOCKER_HOST comes before DOCKER_CONTEXT, and that before the configuration.

    Raises:
        CannotTell: there is no such context, or its engine has no socket on this machine.
    """
    if host := os.environ.get("DOCKER_HOST"):
        return host
    configured = read_file(folder() / "config.json").get("currentContext")
    name = str(os.environ.get("DOCKER_CONTEXT") or configured or "default")
    if name == "default":
        return ""
    key = hashlib.sha256(name.encode()).hexdigest()
    meta = read_file(folder() / "contexts" / "meta" / key / "meta.json")
    with contextlib.suppress(LookupError, TypeError):
        if (host := str(meta["Endpoints"]["docker"]["Host"])).startswith(("unix:", "npipe:")):
            return host
    where = "with an engine on this machine. Others are not supported: run this command there"
    raise CannotTell(f"There is no Docker context {name} {where}. List them: docker context ls")
