"""Each result belongs to the state that it was measured on: what is stale is measured, and nothing
else; the page says how old each is. What is measured is replaced by commands that take no time.
"""

import json
import re
import shutil
import subprocess
import sys
import time
import tomllib

import pytest
from bench import table
from bench.measure import limited
from bench.state import load_subjects

from conftest import ROOT
from rehearsal.room.engine import machine_architecture

HERE = machine_architecture()
NAMES = ("docs", "notebooks", "bench", "src", "tests", "kernels", "mkdocs.yml", "Makefile")
NAMES += ("pyproject.toml", "requirements.txt", "README.md", "CONTRIBUTING.md", "CHANGELOG.md")
PAGE, OTHER, THIRD = PAGES = ("go-back", "push-an-image", "troubleshooting")
RELEASES = {"debian-12": "20.10.24", "debian-13": "26.1.5", "debian-14": "28.5.2"}
OF_A_PAGE = {"engines": 5, "drift": 1, "steady": 1, "scores": 1}
OF_ALL_PAGES = {"coverage": 1, "ratios-all": 1, "site": 1}
"""What reads every page, and is stale with any of them."""


def git(folder, *arguments):
    author = ["-c", "user.name=x", "-c", "user.email=x@localhost"]
    subprocess.run(["git", *author, *arguments], cwd=folder, check=True, capture_output=True)


def write_checks(folder, command):
    file = folder / "bench" / "checks.toml"
    text = re.sub(r"(?m)^command = .*$", f"command = {json.dumps(command)}", file.read_text())
    file.write_text(re.sub(r"(?m)^needs = .*\n", "", text))


@pytest.fixture
def project(tmp_path):
    """A copy of the project without results, whose checks take no time."""
    place = tmp_path / "project"
    place.mkdir()
    (place / ".gitignore").write_text("__pycache__/\nengines/\n")
    for name in NAMES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, place / name)
    for file in (place / "bench").glob("*.json"):
        if not file.name.startswith("package"):
            file.unlink()
    for file in (place / "notebooks").glob("*.*"):
        if file.suffix in (".md", ".ipynb") and file.stem not in PAGES:
            file.unlink()
    for name, release in RELEASES.items():
        (place / "engines" / name).mkdir(parents=True)
        versions = json.dumps({"docker": f"{release}+dfsg1"})
        (place / "engines" / name / "versions.json").write_text(versions)
    write_checks(place, "echo 3 cells of {page}")
    git(place, "init", "-q")
    git(place, "add", ".")
    git(place, "commit", "-qm", "The first state")
    return place


def bench(folder, *arguments):
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def started(done):
    """Return what ran, in order: check, page, engine and store."""
    return [tuple(line.split()) for line in re.findall(r"^\[\d+/\d+\] (.*?):", done.stdout, re.M)]


def counted(done):
    names = [one[0] for one in started(done)]
    return {name: names.count(name) for name in names}


def test_every_input_of_a_check_exists():
    for subject in load_subjects(ROOT):
        for pattern in subject.check.inputs:
            file, _, part = pattern.format(page=subject.page).partition(".toml:")
            if part:
                assert tomllib.loads((ROOT / f"{file}.toml").read_text())["tool"]["rehearsal"]
            else:
                assert any(path.is_file() for path in ROOT.glob(file)), pattern


def test_a_second_run_measures_nothing_and_ends_within_seconds(project):
    first = bench(project)
    assert first.returncode == 0, first.stdout + first.stderr
    assert len(started(first)) == len(load_subjects(project))
    assert re.search(r"^Evidence: (\d+) of \1 rows to measure: .*; about \d+ minutes", first.stdout)
    begin = time.monotonic()
    second = bench(project)
    assert time.monotonic() - begin < 5
    assert second.stdout == "Evidence: each row is of this state\n"


def test_after_a_change_to_a_page_only_what_reads_it_is_measured(project):
    bench(project)
    page = project / "notebooks" / f"{PAGE}.md"
    page.write_text(page.read_text() + "\nOne more sentence.\n")
    done = bench(project)
    assert counted(done) == OF_A_PAGE | OF_ALL_PAGES
    assert {one[1] for one in started(done) if one[0] in OF_A_PAGE} == {PAGE}
    assert started(bench(project)) == []


READERS = {
    "src/megalotron_images/plan.py": {"engines", "steady", "races", "clients"},
    "src/rehearsal/cell/options.py": {"engines", "drift", "steady", "ratios", "ratios-all"},
    "src/rehearsal/cell/production/guard.py": set(),
    "tests/race.py": {"races"},
    "docs/process.md": {"coverage", "scores-others", "site"},
    "Makefile": set(),
    "notebooks/.draft.new": set(),
}


def test_a_change_makes_stale_what_depends_on_it_and_nothing_else(project):
    bench(project)
    for name, stale in READERS.items():
        file = project / name
        before = file.read_text() if file.exists() else ""
        file.write_text(before + "\n")
        found = {one.check.name for one in load_subjects(project) if one.is_stale(HERE)}
        assert found == stale, name
        file.write_text(before)


def test_an_engine_that_is_not_here_is_not_measured(project):
    shutil.rmtree(project / "engines" / "debian-14")
    done = bench(project, "engines")
    assert done.returncode == 3
    assert "The engine debian-14 is not here: make engines" in done.stdout
    rows = json.loads((project / "bench" / "engines.json").read_text())["rows"]
    assert {row["release"] for row in rows} == {"20.10.24", "26.1.5"}


def test_a_row_that_is_missing_or_of_another_release_is_measured(project):
    bench(project)
    file = project / "bench" / "engines.json"
    rows = json.loads(file.read_text())["rows"]
    gone = next(row for row in rows if row["engine"] == "debian-14")
    aged = next(row for row in rows if row["engine"] == "debian-13")
    rows.remove(gone)
    aged["release"] = "26.1.4"
    file.write_text(json.dumps({"rows": rows}))
    keys = {("engines", row["page"], row["engine"], row["store"]) for row in (gone, aged)}
    assert set(started(bench(project))) == keys


def test_a_stopped_run_keeps_its_rows_and_the_next_continues(project):
    stop = f"test x{{page}} != x{OTHER} || kill -INT $PPID; echo 3 cells"
    write_checks(project, f"sh -c '{stop}'")
    first = bench(project, "engines")
    assert first.returncode == 130, first.stdout + first.stderr
    assert "What was measured is kept" in first.stdout
    written = json.loads((project / "bench" / "engines.json").read_text())["rows"]
    assert len(written) == len(started(first)) - 1
    rest = bench(project, "--stale")
    left = len(load_subjects(project)) - len(written)
    assert f"{left} of {len(load_subjects(project))} rows" in rest.stdout


def test_what_does_not_hold_is_recorded_so_and_measured_again(project):
    write_checks(project, f"sh -c 'echo 3 cells; test x{{page}} != x{PAGE}'")
    assert bench(project, "drift").returncode == 1
    rows = {
        row["page"]: row for row in json.loads((project / "bench/drift.json").read_text())["rows"]
    }
    assert [name for name, row in rows.items() if not row["holds"]] == [PAGE]
    again = bench(project)
    assert again.returncode == 1
    assert [one[1] for one in started(again) if one[0] == "drift"] == [PAGE]


FIGURE = {"what": "publish", "value": "1.3", "limit": "at most 1.1", "holds": False}


@pytest.mark.parametrize("ends", ["echo No engine; exit 3", "cat figures; exit 1", "exit 1"])
def test_what_could_not_be_measured_leaves_no_row(project, ends):
    (project / "figures").write_text(json.dumps(FIGURE) + "\n")
    write_checks(project, f"sh -c '{ends}'")
    done = bench(project, "races")
    assert done.returncode == 3
    assert "could not be measured" in done.stdout
    assert not (project / "bench" / "races.json").exists()


def test_a_figure_beyond_its_limit_is_shown_as_missed(project):
    (project / "figures").write_text(json.dumps(FIGURE) + "\n")
    write_checks(project, "cat figures")
    assert bench(project, "clients").returncode == 1
    assert "| **missed:** 1.3, at most 1.1 |" in shown(project)
    assert limited("x", 1.2, 1.1).holds is False
    assert limited("x", 99, 95, least=True).holds is True


def shown(folder):
    return table.results(folder, "https://repository.example", load_subjects(folder))


def lines_of(page, text):
    return [line for line in text.splitlines() if line.startswith(f"| [{page}](")]


def test_the_page_says_of_each_result_how_old_it_is(project):
    assert shown(project).startswith("0 of ")
    assert shown(project).count("| not measured yet |") == 4 * len(PAGES) + 7
    bench(project)
    git(project, "add", ".")
    git(project, "commit", "-qm", "Results")
    text = shown(project)
    assert "not measured yet" not in text
    assert "ago" not in text
    file = project / "bench" / "engines.json"
    file.write_text(file.read_text().replace("3 cells", "2 cells", 1))
    assert len(lines_of(PAGE, shown(project))) == len(lines_of(PAGE, text)) + 1
    assert shown(project).count(f"{{ #{PAGE} }}") == 1
    git(project, "checkout", "-q", ".")
    page = project / "notebooks" / f"{PAGE}.md"
    page.write_text(page.read_text() + "\nOne more sentence.\n")
    git(project, "commit", "-qam", "A change")
    changed = shown(project)
    assert all(", [2 commits ago](https://rep" in line for line in lines_of(PAGE, changed))
    assert all(", of this state |" in line for line in lines_of(OTHER, changed))
    assert f"{HERE}, Docker " in lines_of(OTHER, changed)[0]


def test_without_history_the_page_still_says_what_is_of_this_state(project, tmp_path):
    bench(project)
    page = project / "notebooks" / f"{PAGE}.md"
    page.write_text(page.read_text() + "\nOne more sentence.\n")
    git(project, "add", ".")
    git(project, "commit", "-qm", "Results, and a change")
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{project}", str(shallow))
    text = shown(shallow)
    assert all(", [an earlier state](" in line for line in lines_of(PAGE, text))
    assert all(", of this state |" in line for line in lines_of(OTHER, text))
    assert "ago" not in text


def test_a_guides_line_names_the_releases_only_while_it_is_of_this_state(project):
    bench(project)
    assert table.engines_of(PAGE, 5, load_subjects(project)) | {"day": ""} == {
        "engines": "20.10, 26.1 and 28.5",
        "partly": 2,
        "day": "",
    }
    page = project / "notebooks" / f"{PAGE}.md"
    page.write_text(page.read_text() + "\nOne more sentence.\n")
    assert table.engines_of(PAGE, 3, load_subjects(project)) == {}
    assert "engines" in table.engines_of(OTHER, 3, load_subjects(project))
