"""Docker's own folder: its configuration and its contexts, read as the docker command reads them.

The SDK does not read them: without a configuration file it takes contexts from the working folder.
"""

import contextlib
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from megalotron_images.errors import CannotTell
from megalotron_images.json_text import parsed


@dataclass(frozen=True)
class Context:
    """A context's engine: its address, whether its certificate is not checked, and TLS files."""

    host: str
    skip_verify: bool
    files: dict[str, str]


def folder() -> Path:
    """Return Docker's folder."""
    return Path(os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker"))


def read_table(text: str, source: str) -> dict[str, Any]:
    """Return a JSON object; raise CannotTell, with its source, for anything else."""
    try:
        if isinstance(table := parsed(text.strip() or "{}"), dict):
            return table
        where = "it is not an object"
    except ValueError as error:
        where = f"line {getattr(error, 'lineno', 1)}"  # not its words: they may hold the secret
    raise CannotTell(f"{source} is not valid JSON ({where}): fix it, or log in again.")


def read_file(file: Path) -> dict[str, Any]:
    """Return a file's JSON object, empty if there is no file; raise CannotTell for any other."""
    try:
        return read_table(file.read_text("utf-8"), str(file))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        raise CannotTell(f"Docker's configuration {file} cannot be read: {why}.") from None


def current_context() -> Context | None:
    """Return the context that DOCKER_CONTEXT or the configuration names; None for the default.

    Raises:
        CannotTell: there is no such context.
    """
    configured = read_file(folder() / "config.json").get("currentContext")
    name = str(os.environ.get("DOCKER_CONTEXT") or configured or "default")
    if name == "default":
        return None
    key = hashlib.sha256(name.encode()).hexdigest()
    meta = read_file(folder() / "contexts" / "meta" / key / "meta.json")
    tls = folder() / "contexts" / "tls" / key / "docker"
    files = {file.stem: str(file) for file in tls.glob("*.pem")}
    with contextlib.suppress(LookupError, TypeError):
        docker = meta["Endpoints"]["docker"]
        if host := docker["Host"]:
            return Context(str(host), bool(docker.get("SkipTLSVerify")), files)
    raise CannotTell(f"There is no Docker context {name}. List them: docker context ls")
