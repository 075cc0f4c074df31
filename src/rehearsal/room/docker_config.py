"""The docker command's configuration: a person's, or that of a room."""

import contextlib
import json
import os
from pathlib import Path


def folder() -> Path:
    """Return Docker's folder."""
    return Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")


def read_text() -> str:
    """Return the text of config.json, or nothing: what is damaged may hold secrets too."""
    file = folder() / "config.json"
    with contextlib.suppress(OSError):
        return file.read_text(errors="replace") if file.is_file() else ""
    return ""


def stored_logins() -> list[str]:
    """Return the hosts with a stored login; of one in a keychain the entry is empty."""
    with contextlib.suppress(ValueError, AttributeError):
        entries = json.loads(read_text()).get("auths", {}).items()
        return sorted(host for host, login in entries if not login or any(login.values()))
    return []
