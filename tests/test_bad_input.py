"""What a person reads when something is missing or broken: one line, a status, and no half-written file."""

import json

import pytest

from conftest import ROOT, rehearsal, wait_until_nothing_is_left

HIDE = ["unshare", "--mount", "sh", "-c", 'mount --bind /dev/null "$0"; exec "$@"']
NO_NAMESPACES = ["unshare", "--user", "--map-root-user", "sh", "-c"]
NO_NAMESPACES += ['echo 0 > /proc/sys/user/max_user_namespaces; exec "$0" "$@"']


def told(done, status, *words):
    """Assert that a command ended with `status` and one line that holds `words`."""
    assert done.returncode == status, (done.stdout, done.stderr)
    line = done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in line
    return line


@pytest.mark.parametrize("verb", [("verify",), ("refresh",), ("room", "--", "true")], ids=lambda verb: verb[0])
@pytest.mark.parametrize("program", ["dockerd", "docker-registry"])
def test_a_missing_program(program, verb):
    place = {"dockerd": "/usr/sbin/dockerd", "docker-registry": "/usr/bin/docker-registry"}[program]
    told(rehearsal(*verb, before=[*HIDE, place]), 3, f"{program} is missing", "install the Debian package")


@pytest.mark.parametrize("verb", [("verify",), ("refresh",), ("room", "--", "true")], ids=lambda verb: verb[0])
def test_no_user_namespaces(verb):
    told(rehearsal(*verb, before=NO_NAMESPACES), 3, "No room can be made", "user.max_user_namespaces")


def test_no_space_for_a_room(project):
    told(rehearsal("room", "--", "true", cwd=project, REHEARSAL_ROOM_SIZE="16k"), 3, "REHEARSAL_ROOM_SIZE")
    assert wait_until_nothing_is_left(str(project)) == []


def test_no_space_for_the_services_of_a_room(project):
    told(rehearsal("room", "--", "true", cwd=project, REHEARSAL_ROOM_SIZE="1m"), 3, "REHEARSAL_ROOM_SIZE")
    done = rehearsal("verify", cwd=project, REHEARSAL_ROOM_SIZE="1m")
    told(done, 3, "could not be checked")
    assert "REHEARSAL_ROOM_SIZE" in done.stdout
    assert wait_until_nothing_is_left(str(project)) == []


def test_a_size_that_is_none():
    told(rehearsal("room", "--", "true", REHEARSAL_ROOM_SIZE="much"), 3, "REHEARSAL_ROOM_SIZE", "much")


@pytest.mark.parametrize("verb", ["verify", "refresh"])
def test_an_unknown_notebook(verb):
    told(rehearsal(verb, "push-an-imge"), 3, "There is no notebook push-an-imge", "push-an-image")


@pytest.mark.parametrize("verb", ["verify", "refresh"])
@pytest.mark.parametrize("content", ["", "{", '{"cells": 3}', "[]"])
def test_an_executed_notebook_that_does_not_parse(content, verb, project):
    (project / "notebooks" / "push-an-image.ipynb").write_text(content)
    told(rehearsal(verb, cwd=project), 3, "push-an-image.ipynb cannot be read as a notebook")
    assert (project / "notebooks" / "push-an-image.ipynb").read_text() == content


@pytest.mark.parametrize("verb", ["verify", "refresh"])
def test_a_text_that_does_not_parse(verb, project):
    text = project / "notebooks" / "push-an-image.md"
    text.write_text(text.read_text().replace("kernelspec:", "kernelspec: ["))
    told(rehearsal(verb, cwd=project), 3, "push-an-image.md cannot be read as a notebook")


@pytest.mark.parametrize("verb", ["verify", "refresh"])
def test_an_unknown_kernel(verb, project):
    for name in ("push-an-image.md", "push-an-image.ipynb"):
        path = project / "notebooks" / name
        path.write_text(path.read_text().replace("name: rehearsal", "name: fog").replace('"rehearsal"\n', '"fog"\n'))
    told(rehearsal(verb, cwd=project), 3, "the kernel fog")


def test_a_placeholder_without_a_value(project):
    text = project / "notebooks" / "push-an-image.md"
    text.write_text(text.read_text().replace("rehearsal: octocat", 'rehearsal: ""'))
    done = rehearsal("verify", cwd=project)
    told(done, 1, "does not hold")
    assert "<your GH username> has no value" in done.stdout


def test_a_malformed_mask(project):
    with open(project / "notebooks" / "masks.toml", "a") as masks:
        masks.write('[[mask]]\nname = "broken"\nkind = "line"\npattern = "("\nexample = "("\nreason = "none"\n')
    told(rehearsal("verify", cwd=project), 3, "masks.toml cannot be used")


def test_no_project(tmp_path):
    told(rehearsal("verify", cwd=tmp_path), 3, "No pyproject.toml with [tool.rehearsal]")


def test_settings_that_are_not_understood(project):
    settings = project / "pyproject.toml"
    settings.write_text(settings.read_text().replace('= "push"', '= "everything"'))
    told(rehearsal("verify", cwd=project), 3, "everything", "none of push, pull, expired")


def test_a_wrong_command_line():
    assert rehearsal("verfy").returncode == 2


def test_a_command_that_is_not_there():
    done = rehearsal("room", "--", "no-such-command")
    told(done, 127, "no-such-command cannot be run in the room")


def test_a_failing_cell_leaves_the_executed_notebook_as_it_is(project):
    text, executed = (project / "notebooks" / f"push-an-image{suffix}" for suffix in (".md", ".ipynb"))
    before = executed.read_bytes()
    text.write_text(text.read_text().replace("docker pull alpine\n", "docker pull alpin\n", 1))
    told(rehearsal("refresh", cwd=project), 1, "the cell «docker pull alpin»", "line 1: status 1")
    assert executed.read_bytes() == before
    assert len(list((project / "notebooks").iterdir())) == 3


def test_a_folder_that_cannot_be_written(project):
    text, executed = (project / "notebooks" / f"push-an-image{suffix}" for suffix in (".md", ".ipynb"))
    before = executed.read_bytes()
    text.write_text(text.read_text().replace("Pull `alpine`", "Fetch `alpine`"))
    read_only = [
        "unshare",
        "--mount",
        "sh",
        "-c",
        'mount --bind -o ro "$0" "$0"; exec "$@"',
        str(project / "notebooks"),
    ]
    told(rehearsal("refresh", cwd=project, before=read_only), 3, "cannot be written", "as it was before")
    assert executed.read_bytes() == before


def test_refresh_leaves_what_still_matches_untouched(project):
    executed = project / "notebooks" / "push-an-image.ipynb"
    before = executed.stat().st_mtime_ns
    done = rehearsal("refresh", cwd=project)
    assert "still matches" in done.stdout
    assert executed.stat().st_mtime_ns == before


def test_refresh_writes_what_has_changed(project):
    text, executed = (project / "notebooks" / f"push-an-image{suffix}" for suffix in (".md", ".ipynb"))
    text.write_text(text.read_text().replace("```bash\nunset GHCR_PAT\n", "```bash\nunset GHCR_PAT\necho unset\n"))
    assert "written" in rehearsal("refresh", cwd=project).stdout
    cells = json.loads(executed.read_text())["cells"]
    assert any("unset\n" in "".join(output.get("text", ())) for cell in cells for output in cell.get("outputs", ()))
    assert rehearsal("verify", cwd=project).returncode == 0
    assert (ROOT / "notebooks" / "push-an-image.ipynb").read_bytes() != executed.read_bytes()
