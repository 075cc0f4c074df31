"""One world on every machine: rooms hold images of the servers' platform, whichever processor runs
them, and words are compared where they were recorded.
"""

import json
import re

from conftest import ROOT, rehearsal
from rehearsal.room.engine import machine_architecture
from rehearsal.runbook.model import find_runbooks
from rehearsal.settings import load_settings

OTHER = {"amd64": "arm64", "arm64": "amd64"}[machine_architecture()]


def set_in(project, **settings):
    file = project / "pyproject.toml"
    lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())
    file.write_text(file.read_text().replace("[tool.rehearsal]\n", f"[tool.rehearsal]\n{lines}"))


def test_a_room_holds_images_of_the_platform_that_is_set_and_runs_them(project):
    set_in(project, platform=f"linux/{OTHER}")
    script = (
        "docker pull -q alpine >&2; docker image inspect --format '{{.Architecture}}' alpine;"
        "docker run --rm alpine echo ran; echo $DOCKER_DEFAULT_PLATFORM"
    )
    done = rehearsal("room", "--", "bash", "-euc", script, cwd=project)
    assert done.stdout.split() == [OTHER, "ran", f"linux/{OTHER}"], done.stderr


def test_without_the_setting_a_room_is_of_the_machine_s_own_platform(project):
    script = "docker pull -q alpine >&2; docker image inspect --format '{{.Architecture}}' alpine"
    done = rehearsal("room", "--", "bash", "-euc", script, cwd=project)
    assert done.stdout.split() == [machine_architecture()], done.stderr


def test_a_platform_that_is_none_is_refused_in_one_line(project):
    set_in(project, platform="amd64")
    done = rehearsal("verify", cwd=project)
    assert done.returncode == 3
    assert "platform must be of the form linux/amd64, and is 'amd64'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_on_a_processor_without_a_row_other_words_are_listed_and_not_called_wrong(project):
    known = json.loads((ROOT / "bench" / "engines.json").read_text())["rows"]
    rows = [row | {"processor": OTHER} for row in known]
    (project / "rows.json").write_text(json.dumps({"rows": rows}))
    set_in(project, evidence="rows.json")
    page = project / "notebooks" / "push-an-image.ipynb"
    page.write_text(page.read_text().replace('"Login Succeeded', '"Login went well'))
    done = rehearsal("verify", cwd=project)
    assert done.returncode == 3, done.stdout
    assert "Login went well" in done.stdout
    assert f"is not recorded on {machine_architecture()}" in done.stderr


def test_each_build_on_a_page_names_its_platform():
    builds = [
        line
        for runbook in find_runbooks(load_settings(ROOT), ())
        for cell in runbook.text.code
        for line in (cell.script or "").splitlines()
        if re.search(r"\bdocker (buildx )?build\b", line)
    ]
    assert len(builds) >= 7
    assert [line for line in builds if "--platform linux/amd64" not in line] == []
