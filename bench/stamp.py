"""When, on what and of what something was measured.

It stands beside every figure of the evidence.
"""

import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime

from bench.measure import ROOT
from rehearsal.room.engine import choose_engine
from rehearsal.settings import load_settings

VERSIONS = {
    "engine": ["dockerd", "--version"],
    "registry": ["docker-registry", "--version"],
    "docker": ["docker", "-v"],
}


def stamp() -> dict[str, str]:
    """Return the day, the commit (marked if files differ from it), the machine and the versions."""
    changed = _said(["git", "status", "--porcelain", "--untracked-files=no", "--", ".", ":!bench"])
    commit = _said(["git", "rev-parse", "HEAD"]) + (" and changes" if changed else "")
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    programs = choose_engine(load_settings(ROOT)).programs
    path = os.pathsep.join((*programs, os.environ["PATH"]))
    versions = {
        name: _said([shutil.which(program, path=path) or program, *rest])
        for name, (program, *rest) in VERSIONS.items()
    }
    return {
        "measured": datetime.now(UTC).date().isoformat(),
        "commit": commit,
        "machine": system,
    } | versions


def _said(command: list[str]) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()
