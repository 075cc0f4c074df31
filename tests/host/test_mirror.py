"""The mirror: a room whose world is the other platform, on a copy of the pages with the names of
the two swapped. What differs there in more than those names would differ on the other processor.
"""

import re
import shutil

import pytest

from conftest import ROOT, rehearsal
from rehearsal.settings import STORES

NAMES = re.compile("amd64|arm64")
MASK = """
[[mask]]
name = "a platform"
kind = "text"
pattern = 'amd64|arm64'
example = "amd64"
reason = "Its name is all that may differ."
"""


def swapped(text):
    return NAMES.sub(lambda name: {"amd64": "arm64", "arm64": "amd64"}[name[0]], text)


@pytest.fixture
def mirror(tmp_path):
    """A copy of the project in which each platform has the other's name."""
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    for file in (tmp_path / "notebooks").rglob("*"):
        if file.suffix in (".md", ".ipynb", ".toml", ".yml"):
            file.write_text(swapped(file.read_text()))
    with open(tmp_path / "notebooks" / "masks.toml", "a") as masks:
        masks.write(MASK)
    for name in ("src", "tests", ".github"):
        (tmp_path / name).symlink_to(ROOT / name)
    said = swapped((ROOT / "pyproject.toml").read_text())
    said = said.replace("[tool.rehearsal]\n", f'[tool.rehearsal]\nengines = "{ROOT}/engines"\n')
    (tmp_path / "pyproject.toml").write_text(re.sub(r"(?m)^evidence = .*\n", "", said))
    return tmp_path


@pytest.mark.parametrize("store", STORES)
def test_on_the_other_platform_pages_differ_in_its_name_alone(mirror, store):
    done = rehearsal("verify", "--store", store, cwd=mirror, seconds=600)
    assert done.returncode == 0, done.stdout + done.stderr
