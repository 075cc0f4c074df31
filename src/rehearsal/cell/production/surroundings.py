"""A production run's surroundings, for its record: user, text, tools and engine."""

import contextlib
import os
import pwd
import subprocess
from pathlib import Path
from typing import Any

from rehearsal.cell.logins import IN_ADDRESS

_SECONDS = 90


def surroundings(folder: Path) -> dict[str, Any]:
    """Return the Unix user, the commit of the runbooks and whether it was clean, tools, engine."""
    changed = _first_line("git", "-C", str(folder), "status", "--porcelain", "--", ".")
    return {
        "person": _person(),
        "commit": _first_line("git", "-C", str(folder), "rev-parse", "HEAD"),
        "clean": changed == "",
        "tools": {one: _first_line(one, "--version") for one in ("docker", "bash")},
        "engine": _engine(),
    }


def _engine() -> dict[str, str]:
    """Return the engine's address and context, and its name and version if it answers."""
    form = "{{.Name}} {{.Endpoints.docker.Host}}"
    current = _first_line("docker", "context", "inspect", "--format", form) or "default"
    context, _, address = current.partition(" ")
    address = IN_ADDRESS.sub(r"\1@", os.environ.get("DOCKER_HOST") or address or "the default")
    name = _first_line("docker", "info", "--format", "{{.Name}} {{.ServerVersion}}")
    return {"address": address, "context": context, "name": name or "does not answer"}


def _person() -> str:
    """Return the user that the kernel knows, whatever variables say, and who became it."""
    name = str(os.getuid())
    with contextlib.suppress(KeyError):  # in a container it may have no name
        name = pwd.getpwuid(os.getuid()).pw_name
    before = os.environ.get("SUDO_USER", "")
    return f"{name} (sudo by {before})" if before else name


def _first_line(*command: str) -> str | None:
    """Return the first line that a command prints, or None without one."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        printed = subprocess.check_output(command, stderr=subprocess.DEVNULL, timeout=_SECONDS)
        return printed.decode(errors="replace").strip().partition("\n")[0]
    return None
