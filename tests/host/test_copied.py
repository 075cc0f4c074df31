"""Each page's commands, copied from the built page into a terminal of a fresh room, in order."""

import subprocess

import pytest

from conftest import ROOT
from rehearsal.runbook.model import find_runbooks
from rehearsal.settings import load_settings

PAGES = [runbook.name for runbook in find_runbooks(load_settings(ROOT), [])]
ANSWERED_BY_A_SCRIPT = {
    "troubleshooting": {
        "docker pull ghcr.io/megalotron/backend:main",
        "docker pull ghcr.io/megalotron/bakend:main",
        "docker push --quiet ghcr.io/megalotron/alpine:test",
        "megalotron-images status backend",
    }
}
"""What a terminal cannot repeat, as a scripted server answers in the room."""


@pytest.mark.parametrize("page", PAGES)
def test_a_pages_commands_end_as_it_says_when_they_are_copied(page):
    script = f"cp -r {ROOT}/notebooks copy && cd copy && python {ROOT}/tests/copied.py {page}"
    done = subprocess.run(
        ["rehearsal", "room", "--", "bash", "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if not line.startswith("ghcr.io: user")]
    by_a_script = ANSWERED_BY_A_SCRIPT.get(page, set())
    assert {line.removeprefix("- ") for line in lines} == by_a_script, "\n".join(lines)
