"""What a person's environment holds, and a signal that ends a run, change no result and no file."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import rehearsal, wait_until_nothing_is_left
from test_verify import write_pair

NO_UTF8 = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
"""A locale whose encoding is ASCII, which Python does not replace by UTF-8."""


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTEST_PLUGINS": "no_such_plugin"},
        {"PYTEST_ADDOPTS": "--no-such-option"},
        {"LANGUAGE": "de", "LC_ALL": "C.UTF-8"},
        NO_UTF8,
    ],
    ids=lambda environment: next(iter(environment)),
)
def test_a_page_holds_whatever_the_environment_says(project, environment):
    write_pair(project / "notebooks", "page", "Größer als «dies» …\n\n```bash\ntest 1 = 1\n```\n")
    done = rehearsal("verify", "page", cwd=project, **environment)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_notebook_is_written_in_utf8_in_every_locale(project):
    write_pair(project / "notebooks", "page", "Größer\n\n```bash\necho «größer»\n```\n")
    done = rehearsal("refresh", "page", cwd=project, **NO_UTF8)
    assert done.returncode == 0, done.stderr
    assert "«größer»" in (project / "notebooks" / "page.ipynb").read_text(encoding="utf-8")


def test_what_bash_says_of_a_cell_is_the_same_in_every_language(project):
    write_pair(project / "notebooks", "page", "```bash\necho 1\necho $(\n```\n")
    said = [
        rehearsal("verify", "page", cwd=project, LC_ALL="C.UTF-8", LANGUAGE=language).stderr
        for language in ("en", "de")
    ]
    assert "page" in said[0]
    assert said[0].partition("Not verified")[0] == said[1].partition("Not verified")[0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_draft_does_not_stay_behind_where_a_refresh_is_ended(project, number):
    write_pair(project / "notebooks", "page", "```bash\nsleep 60\ntest 1 = 1\n```\n")
    before = sorted(os.listdir(project / "notebooks"))
    command = [str(Path(sys.executable).parent / "rehearsal"), "refresh", "page"]
    with subprocess.Popen(
        command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as refresh:
        end = time.monotonic() + 60
        while not (project / "notebooks" / ".page.ipynb").exists():
            assert time.monotonic() < end
            time.sleep(0.05)
        time.sleep(5)  # by then the cell runs
        refresh.send_signal(number)
        _, said = refresh.communicate(timeout=30)
    assert refresh.returncode == 3
    assert "Traceback" not in said
    assert sorted(os.listdir(project / "notebooks")) == before
    assert wait_until_nothing_is_left(str(project)) == []
