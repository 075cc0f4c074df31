import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from rehearsal.runbook.compare import as_text
from rehearsal.runbook.model import Runbook

# who starts this in the background may have it ignored
signal.signal(signal.SIGINT, signal.default_int_handler)
ROOT = Path(__file__).parent.parent
SITE = ROOT / "site"
PAGES = [
    "/" if page.parent == SITE else f"/{page.parent.relative_to(SITE)}/"
    for page in sorted(SITE.glob("**/index.html"))
    if "<title>Redirecting" not in page.read_text()
]
"""The addresses of the built site's pages, below its own; those that only lead on are not among
them.
"""
GUIDES = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
ORDINARY_USER = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
"""Before a command: run it without root's rights, on a machine where root's folders hold the Python
in use.
"""

SETTINGS = f"""
[tool.rehearsal]
engine = "debian-13"
engines = "{ROOT}/engines"
notebooks = "notebooks"
masks = "notebooks/masks.toml"
[[tool.rehearsal.registries]]
hosts = ["ghcr.io"]
[tool.rehearsal.registries.tokens]
practice-token-may-push = "push"
practice-token-only-reads = "pull"
practice-token-expired = "expired"
[[tool.rehearsal.registries]]
name = "docker.io"
hosts = ["registry-1.docker.io", "index.docker.io", "auth.docker.io"]
images = ["library/alpine:latest"]
"""


@pytest.fixture(autouse=True)
def no_room(request, monkeypatch):
    """A room is refused to a test whose folder does not say that it needs one."""
    folder = request.path.relative_to(Path(__file__).parent).parts[0]
    if folder not in ("host", "lab", "room", "ssh"):
        monkeypatch.setenv("REHEARSAL_ROOM_SIZE", "none")


def rehearsal(*arguments, cwd=ROOT, before=(), seconds=120, **environment):
    """Run `rehearsal` as a person would, in a process of its own; return what it said and its
    status.
    """
    return subprocess.run(
        [*before, str(Path(sys.executable).parent / "rehearsal"), *arguments],
        cwd=cwd,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


@pytest.fixture
def project(tmp_path):
    """A project of its own below /tmp, with this project's runbook."""
    (tmp_path / "pyproject.toml").write_text(SETTINGS)
    (tmp_path / "notebooks").mkdir()
    for name in ("push-an-image.md", "push-an-image.ipynb"):
        shutil.copy(ROOT / "notebooks" / name, tmp_path / "notebooks")
    (tmp_path / "notebooks" / "masks.toml").write_text(masks_of_the_runbook())
    return tmp_path


def masks_of_the_runbook():
    """Return this project's masks that the one runbook has a use for: an idle one is an error."""
    cells = Runbook(ROOT / "notebooks" / "push-an-image.md").executed.code
    text = "\n".join(as_text(cell.outputs) for cell in cells)
    head, *rules = (ROOT / "notebooks" / "masks.toml").read_text().split("[[mask]]\n")
    used = [rule for rule in rules if re.search(tomllib.loads(rule)["pattern"], text, re.MULTILINE)]
    return head + "".join(f"[[mask]]\n{rule}" for rule in used)


def left_of_rooms(marker, with_cgroups=True):
    """Return what rooms have left on this machine: processes, mounts, folders, cgroups.

    marker: what the command or the working folder of those processes holds; other workers have
    rooms at the same time.
    """
    processes = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            place = os.readlink(folder / "cwd")
        except OSError:
            continue
        if (marker in command or marker in place) and int(folder.name) != os.getpid():
            processes.append(command)
    mounts = [
        line
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
        if "/run/room" in line
    ]
    folders = [str(path) for path in (Path("/run/room"),) if path.exists()]
    return processes + mounts + folders + (cgroups_of_rooms() if with_cgroups else [])


def cgroups_of_rooms():
    """Return the cgroup folders of rooms whose supervisor is gone."""
    return [
        path
        for path in cgroups("rehearsal-")
        if not Path("/proc", Path(path).name.split("-")[1]).exists()
    ]


def cgroups(prefix):
    """Return the cgroup folders whose name begins with `prefix`; other rooms' may come and go
    meanwhile.
    """
    found = os.walk("/sys/fs/cgroup")  # unlike glob, it passes over a folder that goes away
    return [
        f"{folder}/{name}"
        for folder, names, _ in found
        for name in names
        if name.startswith(prefix)
    ]


def wait_until_nothing_is_left(marker, seconds=5.0, with_cgroups=True):
    """Return what is still left of rooms after `seconds`; nothing, as soon as there is nothing."""
    end = time.monotonic() + seconds
    while (left := left_of_rooms(marker, with_cgroups)) and time.monotonic() < end:
        time.sleep(0.05)
    return left


def scripts_of(name):
    cells = Runbook(ROOT / "notebooks" / f"{name}.md").text.code
    return [cell.script for cell in cells if cell.script is not None]
