import re
import shutil
import subprocess
import sys

import pytest

from conftest import ROOT

PLANTED = {
    "notebooks/push-an-image.md": "\n```text\ndocker push everything\n```\n",
    "docs/index.md": "\n```bash\ndocker push everything\n```\n",
    "README.md": "\n    docker push everything\n",
    "CONTRIBUTING.md": "\n```console\ndocker push everything\n```\n",
    "site/index.html": "<pre><code>docker push everything</code></pre>",
}


@pytest.fixture
def copied(tmp_path):
    """A copy of the project's pages, its built site among them."""
    assert (ROOT / "site").is_dir(), "build the site first: make site"
    for name in ("docs", "notebooks", "site"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def covered(folder):
    command = [sys.executable, str(ROOT / "tests" / "covered.py")]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_every_block_that_a_reader_can_meet_is_covered(copied):
    done = covered(copied)
    assert done.returncode == 0, done.stderr
    for reason in ("run as it stands", "run with placeholders", "output of one that ran", "listed"):
        assert reason in done.stdout


def test_a_planted_block_fails_with_its_page_and_line(copied):
    lines = {page: (copied / page).read_text().count("\n") for page in PLANTED}
    for page, block in PLANTED.items():
        with open(copied / page, "a") as file:
            file.write(block)
    done = covered(copied)
    assert done.returncode == 1
    told = {page: int(line) for page, line in re.findall(r"(\S+\.\w+):(\d+): ", done.stderr)}
    assert told.keys() == lines.keys()
    assert all(abs(told[page] - line) <= 2 for page, line in lines.items())


def test_a_listed_block_that_is_on_no_page_is_an_error(copied):
    with open(copied / "notebooks" / "unrun.toml", "a") as listed:
        listed.write('[[unrun]]\nblock = "make nothing"\nreason = "none"\n')
    done = covered(copied)
    assert done.returncode == 1
    assert "make nothing" in done.stderr


def test_a_long_list_is_an_error(copied):
    with open(copied / "notebooks" / "unrun.toml", "a") as listed:
        listed.writelines(
            f'[[unrun]]\nblock = "command {number}"\nreason = "none"\n' for number in range(9)
        )
    done = covered(copied)
    assert done.returncode == 1
    assert "8 is the most" in done.stderr


def test_without_a_site_nothing_can_be_said(copied):
    shutil.rmtree(copied / "site")
    done = covered(copied)
    assert done.returncode == 1
    assert "make site" in done.stderr
