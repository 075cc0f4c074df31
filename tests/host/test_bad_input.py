"""What a person reads when something is missing or broken: one line, a status, and no half-written
file.
"""

import json

import pytest

from conftest import ROOT, SETTINGS, rehearsal, wait_until_nothing_is_left

HIDE = ["unshare", "--mount", "sh", "-c", 'mount --bind /dev/null "$0"; exec "$@"']
NO_NAMESPACES = [
    "unshare",
    "--user",
    "--map-user=1000",
    "--map-group=1000",
    "--keep-caps",
    "sh",
    "-c",
]
NO_NAMESPACES += ['echo 0 > /proc/sys/user/max_user_namespaces; exec "$0" "$@"']


def told(done, status, *words):
    """Assert that a command ended with `status` and one line that holds `words`."""
    assert done.returncode == status, (done.stdout, done.stderr)
    line = done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in line
    return line


@pytest.mark.parametrize(
    "verb",
    [("verify", "credentials"), ("refresh",), ("room", "--", "true")],
    ids=lambda verb: verb[0],
)
@pytest.mark.parametrize("program", ["runc", "docker-registry"])
def test_a_missing_program(program, verb):
    unpacked = ROOT / "engines/registry/usr/bin/docker-registry"
    hidden = [*HIDE, f"/usr/bin/{program}", *HIDE, f"/usr/sbin/{program}", *HIDE, str(unpacked)]
    told(rehearsal(*verb, before=hidden), 3, f"{program} is missing", "run `make setup`")


@pytest.mark.parametrize(
    "verb",
    [("verify", "credentials"), ("refresh",), ("room", "--", "true")],
    ids=lambda verb: verb[0],
)
def test_no_user_namespaces(verb):
    told(
        rehearsal(*verb, before=NO_NAMESPACES), 3, "No room can be made", "user.max_user_namespaces"
    )


def test_no_space_for_a_room(project):
    told(
        rehearsal("room", "--", "true", cwd=project, REHEARSAL_ROOM_SIZE="16k"),
        3,
        "REHEARSAL_ROOM_SIZE",
    )
    assert wait_until_nothing_is_left(str(project)) == []


def test_no_space_for_the_services_of_a_room(project):
    told(
        rehearsal("room", "--", "true", cwd=project, REHEARSAL_ROOM_SIZE="1m"),
        3,
        "REHEARSAL_ROOM_SIZE",
    )
    done = rehearsal("verify", cwd=project, REHEARSAL_ROOM_SIZE="1m")
    told(done, 3, "could not be checked")
    assert "REHEARSAL_ROOM_SIZE" in done.stdout
    assert wait_until_nothing_is_left(str(project)) == []


def test_a_size_that_is_none():
    told(
        rehearsal("room", "--", "true", REHEARSAL_ROOM_SIZE="much"),
        3,
        "REHEARSAL_ROOM_SIZE",
        "much",
    )


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
        path.write_text(
            path.read_text()
            .replace("name: rehearsal", "name: fog")
            .replace('"rehearsal"\n', '"fog"\n')
        )
    told(rehearsal(verb, cwd=project), 3, "the kernel fog")


def test_a_placeholder_without_a_value(project):
    text = project / "notebooks" / "push-an-image.md"
    text.write_text(text.read_text().replace("rehearsal: octocat", 'rehearsal: ""'))
    done = rehearsal("verify", cwd=project)
    told(done, 1, "does not hold")
    assert "your GH username.rehearsal must be longer than or equal to 1 char" in done.stdout


def test_a_malformed_mask(project):
    with open(project / "notebooks" / "masks.toml", "a") as masks:
        masks.write(
            '[[mask]]\nname = "broken"\nkind = "line"\npattern = "("\nexample = "("\nreason ='
            ' "none"\n'
        )
    told(rehearsal("verify", cwd=project), 3, "masks.toml cannot be used")


def test_no_project(tmp_path):
    told(rehearsal("verify", cwd=tmp_path), 3, "No pyproject.toml with [tool.rehearsal]")


def test_settings_that_are_not_understood(project):
    settings = project / "pyproject.toml"
    settings.write_text(settings.read_text().replace('= "push"', '= "everything"'))
    told(rehearsal("verify", cwd=project), 3, "'push', 'pull', 'expired'", "is 'everything'")


REGISTRIES = '[[tool.rehearsal.registries]]\nhosts = ["ghcr.io"]\n'
NOT_UNDERSTOOD = {
    "words for a table": '[tool.rehearsal]\nregistries = ["ghcr.io"]\n',
    "one table for several": "[tool.rehearsal.registries]\n",
    "no hosts": "[[tool.rehearsal.registries]]\nhosts = []\n",
    "a word for a list": '[[tool.rehearsal.registries]]\nhosts = "ghcr.io"\n',
    "a host with a space": '[[tool.rehearsal.registries]]\nhosts = ["ghcr io"]\n',
    "a host that is no name": '[[tool.rehearsal.registries]]\nhosts = ["my_registry"]\n',
    "a name of the room's own": f'{REGISTRIES}name = "engine"\n',
    "two ports": '[[tool.rehearsal.registries]]\nhosts = ["ghcr.io", "a.example:5000"]\n',
    "a registry twice": REGISTRIES * 2,
    "a number for a folder": "[tool.rehearsal]\nnotebooks = 5\n",
    "a list for tokens": f'{REGISTRIES}tokens = ["a"]\n',
    "an image without a tag": f'{REGISTRIES}images = ["library/alpine"]\n',
    "a setting that there is not": f'[tool.rehearsal]\nmaks = "x"\n{REGISTRIES}',
    "a number for words": f"[tool.rehearsal]\nreaders = 5\n{REGISTRIES}",
}


@pytest.mark.parametrize("content", NOT_UNDERSTOOD.values(), ids=NOT_UNDERSTOOD)
def test_settings_of_a_wrong_form(content, project):
    (project / "pyproject.toml").write_text(content)
    told(rehearsal("verify", cwd=project), 3, "[tool.rehearsal] of", "is not understood")


@pytest.mark.parametrize("host", ["localhost:5000", "registry.example:5000"])
def test_a_registry_on_another_port(host, project):
    registry = f'[[tool.rehearsal.registries]]\nhosts = ["{host}"]\nimages = ["a:b"]\n'
    settings = SETTINGS.partition("[[")[0] + registry + 'tokens = {t = "push"}\n'
    (project / "pyproject.toml").write_text(settings)
    script = (
        f"echo t | docker login {host} -u u --password-stdin; docker pull -q {host}/a:b;"
        f" docker tag {host}/a:b {host}/c:d; docker push -q {host}/c:d"
    )
    done = rehearsal("room", "--", "sh", "-ec", script, cwd=project)
    assert done.stdout.endswith(f"{host}/c:d\n"), done.stderr


@pytest.mark.parametrize("port", ["0", "999999", "9" * 5000])
def test_a_port_that_is_none_is_one_line(port, project):
    registry = f'[[tool.rehearsal.registries]]\nhosts = ["localhost:{port}"]\n'
    (project / "pyproject.toml").write_text(SETTINGS.partition("[[")[0] + registry)
    told(rehearsal("room", "--", "true", cwd=project), 3, "is not understood")


def test_a_room_without_registries(project):
    settings = SETTINGS.partition("[[")[0] + "registries = []\n"
    (project / "pyproject.toml").write_text(settings)
    done = rehearsal("room", "--", "docker", "image", "ls", "-q", cwd=project)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


MASK = 'name = "a"\nkind = "text"\npattern = "a"\nexample = "a"\nreason = "none"\n'
MASKS = {
    "one for several": f"[mask]\n{MASK}",
    "a word": 'mask = ["x"]\n',
    "a number": f"[[mask]]\n{MASK}".replace('pattern = "a"', "pattern = 5"),
    "all": f"[[mask]]\n{MASK}".replace('pattern = "a"', 'pattern = "(?s).+"'),
    "nothing": f"[[mask]]\n{MASK}".replace('pattern = "a"', 'pattern = ""'),
    "each line": (
        f"[[mask]]\n{MASK}".replace('pattern = "a"', 'pattern = ".*"').replace('"text"', '"line"')
    ),
}


@pytest.mark.parametrize("content", MASKS.values(), ids=MASKS)
def test_masks_that_cannot_be_used(content, project):
    (project / "notebooks" / "masks.toml").write_text(content)
    told(rehearsal("verify", cwd=project), 3, "masks.toml cannot be used")


@pytest.mark.parametrize("declared", ["", " [a, b]", " yes"])
def test_placeholders_that_are_no_table(declared, project):
    for suffix in (".md", ".ipynb"):
        path = project / "notebooks" / f"push-an-image{suffix}"
        path.write_text(path.read_text())
    text = project / "notebooks" / "push-an-image.md"
    head, _, rest = text.read_text().partition("    placeholders:\n")
    text.write_text(f"{head}    placeholders:{declared}\n---\n{rest.partition('---')[2]}")
    done = rehearsal("verify", cwd=project)
    told(done, 1, "does not hold")
    assert "`rehearsal`.placeholders must be object" in done.stdout


def test_files_that_are_no_notebooks_do_no_harm(project):
    (project / "notebooks" / ".#push-an-image.md").symlink_to("somebody@machine.1234")
    (project / "notebooks" / "folder.md").mkdir()
    assert rehearsal("verify", cwd=project).returncode == 0


def test_another_header_before_the_notebooks_own_is_read(project):
    kernel = "  kernelspec: {name: rehearsal, language: python, display_name: Rehearsal}\n"
    text = project / "notebooks" / "other.md"
    text.write_text(f"--- \ntitle: Other\njupyter:\n{kernel}---\n\n```bash\nfalse\n```\n")
    done = rehearsal("verify", cwd=project)
    assert done.returncode == 1
    assert "other" in done.stdout


def test_a_text_in_another_encoding(project):
    (project / "notebooks" / "notes.md").write_bytes("caf\u00e9".encode("latin-1"))
    told(rehearsal("verify", cwd=project), 3, "notes.md cannot be read")


def test_an_executed_notebook_without_a_text(project):
    (project / "notebooks" / "lone.ipynb").write_bytes(
        (project / "notebooks" / "push-an-image.ipynb").read_bytes()
    )
    done = rehearsal("verify", cwd=project)
    told(done, 1, "1 of what the pages show does not hold")
    assert "lone.ipynb: is not run: a runbook is NAME.md" in done.stdout


@pytest.mark.parametrize("verb", ["verify", "refresh"])
def test_no_notebooks(verb, project):
    (project / "notebooks" / "push-an-image.md").unlink()
    (project / "notebooks" / "push-an-image.ipynb").unlink()
    told(rehearsal(verb, cwd=project), 3, "There is no notebook in")


@pytest.mark.parametrize("size", ["0", "0%", "1k"])
def test_a_size_that_holds_nothing(size, project):
    told(rehearsal("verify", cwd=project, REHEARSAL_ROOM_SIZE=size), 3, "REHEARSAL_ROOM_SIZE")


@pytest.mark.parametrize("seconds", ["0", "-1", "1.5", "long"])
@pytest.mark.parametrize("verb", [("verify",), ("refresh",), ("room", "--", "true")], ids="".join)
def test_a_time_to_start_that_is_none(verb, seconds):
    told(rehearsal(*verb, REHEARSAL_SECONDS=seconds), 3, "REHEARSAL_SECONDS", seconds)


def test_an_answer_that_cannot_be_written(project):
    full = ["sh", "-c", 'exec "$@" > /dev/full', "sh"]
    told(rehearsal("verify", cwd=project, before=full), 3, "could not be checked", "No space left")


def test_a_wrong_command_line():
    assert rehearsal("verfy").returncode == 2


def test_a_command_that_is_not_there():
    done = rehearsal("room", "--", "no-such-command")
    told(done, 127, "no-such-command cannot be run in the room")


def test_a_failing_cell_leaves_the_executed_notebook_as_it_is(project):
    text, executed = (
        project / "notebooks" / f"push-an-image{suffix}" for suffix in (".md", ".ipynb")
    )
    before = executed.read_bytes()
    text.write_text(text.read_text().replace("docker pull alpine\n", "docker pull alpin\n", 1))
    told(rehearsal("refresh", cwd=project), 1, "cell «docker pull alpin»", "line 1: status 1")
    assert executed.read_bytes() == before
    assert len(list((project / "notebooks").iterdir())) == 3


def test_a_folder_that_cannot_be_written(project):
    text, executed = (
        project / "notebooks" / f"push-an-image{suffix}" for suffix in (".md", ".ipynb")
    )
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
    told(
        rehearsal("refresh", cwd=project, before=read_only),
        3,
        "cannot be written",
        "as it was before",
    )
    assert executed.read_bytes() == before


def test_refresh_leaves_what_still_matches_untouched(project):
    executed = project / "notebooks" / "push-an-image.ipynb"
    before = executed.stat().st_mtime_ns
    done = rehearsal("refresh", cwd=project)
    assert "still matches" in done.stdout
    assert executed.stat().st_mtime_ns == before


def test_refresh_writes_what_has_changed(project):
    text, executed = (
        project / "notebooks" / f"push-an-image{suffix}" for suffix in (".md", ".ipynb")
    )
    text.write_text(
        text.read_text().replace(
            "```bash\nunset GHCR_PAT\n", "```bash\nunset GHCR_PAT\necho unset\n"
        )
    )
    assert "written" in rehearsal("refresh", cwd=project).stdout
    cells = json.loads(executed.read_text())["cells"]
    assert any(
        "unset\n" in "".join(output.get("text", ()))
        for cell in cells
        for output in cell.get("outputs", ())
    )
    assert rehearsal("verify", cwd=project).returncode == 0
    assert (ROOT / "notebooks" / "push-an-image.ipynb").read_bytes() != executed.read_bytes()
