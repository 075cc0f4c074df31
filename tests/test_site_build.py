"""The strict build stops on every kind of broken link, and passes without one."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from docs.hooks.evidence import last_change

from conftest import ROOT

BROKEN = {
    "page": ("docs/index.md", "[x](no-such-page.md)"),
    "anchor of a page": ("notebooks", "[x](../docs/index.md#no-such-heading)"),
    "own anchor": ("docs/index.md", "[x](#no-such-anchor)"),
    "notebook": ("docs/index.md", "[x](../notebooks/no-such-notebook.ipynb)"),
    "image": ("notebooks", "![x](no-such-image.png)"),
    "part of a drawing": ("docs/assets/home.svg", '<a href="../no-such-part.md"/>'),
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


def test_the_pages_for_servers_link_to_whom_to_call_and_which_folder(copied):
    settings, where = copied / "mkdocs.yml", "https://intranet.example/"
    default = "https://github.com/Megalotron/image-process/blob/main/docs/settings.md"
    settings.write_text(settings.read_text().replace(default, where))
    assert build(copied).returncode == 0
    for name in ("go-back", "use-in-production"):
        page = (copied / "site" / "guide" / name / "index.html").read_text()
        top, _, rest = page.partition('class="nb-evidence"')
        assert rest
        assert top.count(where) == 2, name


def test_a_teams_decision_stands_where_the_page_asks_for_it(copied):
    settings, said = copied / "mkdocs.yml", "The platform team, within the hour."
    settings.write_text(settings.read_text().replace('restarts: ""', f'restarts: "{said}"'))
    assert build(copied).returncode == 0
    page = (copied / "site" / "your-team" / "index.html").read_text()
    assert page.count(f"<td>{said}</td>") == 1
    assert page.count("<td>not decided yet</td>") == 2


def test_a_pages_last_change_is_known_only_where_its_history_is(tmp_path):
    full, shallow, page = tmp_path / "full", tmp_path / "shallow", "page.md"
    full.mkdir()
    (full / page).write_text("A page.")
    when = {"GIT_AUTHOR_DATE": "2026-03-02T12:00Z", "GIT_COMMITTER_DATE": "2026-03-02T12:00Z"}
    author = ["-c", "user.name=x", "-c", "user.email=x@localhost"]
    for arguments in (["init", "-q"], ["add", page], [*author, "commit", "-qm", "A page"]):
        subprocess.run(["git", "-C", full, *arguments], env=os.environ | when, check=True)
    assert last_change(full / page) == "2 March 2026"
    assert last_change(full / "unknown.md") == ""
    clone = ["git", "clone", "-q", "--depth=1", f"file://{full}", shallow]
    subprocess.run(clone, check=True)
    assert last_change(shallow / page) == ""
    assert last_change(tmp_path / page) == ""


def test_each_broken_link_is_told_and_stops_the_build(copied):
    for place, link in BROKEN.values():
        break_link(copied, place, link)
    done = build(copied)
    assert done.returncode == 1, done.stderr
    told = "".join(line for line in done.stderr.splitlines() if line.startswith("WARNING"))
    assert {*re.findall(r"no-such-\w+", told)} == {
        re.search(r"no-such-\w+", link)[0] for _, link in BROKEN.values()
    }


def break_link(folder, place, link):
    if place == "notebooks":
        file = folder / "notebooks" / "push-an-image.ipynb"
        text = file.read_text()
        changed = text.replace("This prints nothing", f"This prints nothing {link}", 1)
    else:
        file = folder / place
        text = file.read_text()
        end = "</svg>" if place.endswith(".svg") else ""
        changed = f"{text.strip().removesuffix(end)}\n{link}\n{end}"
    assert changed != text
    file.write_text(changed)
