"""The strict build stops on every kind of broken link, and passes without one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT

BROKEN = {
    "page": ("docs/index.md", "[x](no-such-page.md)"),
    "anchor of a page": ("notebooks", "[x](../docs/index.md#no-such-anchor)"),
    "own anchor": ("docs/index.md", "[x](#no-such-anchor)"),
    "notebook": ("docs/index.md", "[x](../notebooks/no-such-notebook.ipynb)"),
    "image": ("notebooks", "![x](no-such-image.png)"),
    "part of a drawing": ("docs/assets/home.svg", '<a href="../no-such-page.md"/>'),
}


def build(folder):
    command = [Path(sys.executable).parent / "mkdocs", "build", "--strict"]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def copied(tmp_path):
    for name in ("docs", "notebooks", "bench"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "src").symlink_to(ROOT / "src")
    for name in ("mkdocs.yml", "pyproject.toml", "CONTRIBUTING.md", "CHANGELOG.md"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def test_the_site_builds(copied):
    done = build(copied)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_link_stops_the_build(kind, copied):
    place, link = BROKEN[kind]
    if place == "notebooks":
        file = copied / "notebooks" / "push-an-image.ipynb"
        file.write_text(
            file.read_text().replace('"This prints nothing', f'"{link} This prints nothing', 1)
        )
    else:
        file = copied / place
        text = file.read_text()
        end = "</svg>" if place.endswith(".svg") else ""
        file.write_text(f"{text.strip().removesuffix(end)}\n{link}\n{end}")
    assert link in file.read_text()
    done = build(copied)
    assert done.returncode == 1, done.stderr
