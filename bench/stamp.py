"""When, on what and of what something was measured: it stands beside every figure of the evidence."""

import platform
import subprocess
from datetime import UTC, datetime

from bench.measure import ROOT

VERSIONS = {
    "engine": ["dockerd", "--version"],
    "registry": ["docker-registry", "--version"],
    "docker": ["docker", "-v"],
}


def stamp() -> dict[str, str]:
    """Return the day, the commit (marked if files differ from it), the machine, and the versions in use."""
    changed = _said(["git", "status", "--porcelain", "--untracked-files=no", "--", ".", ":!bench"])
    commit = _said(["git", "rev-parse", "HEAD"]) + (" and changes" if changed else "")
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    versions = {name: _said(command) for name, command in VERSIONS.items()}
    return {"measured": datetime.now(UTC).date().isoformat(), "commit": commit, "machine": system} | versions


def _said(command: list[str]) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()
