"""Undo is proven: after the last cell of a page the room is as before its first, or as declared."""

import re

import pytest

from conftest import ROOT, rehearsal
from rehearsal.errors import Wrong
from rehearsal.room.leftovers import without_parts
from rehearsal.runbook.model import find_runbooks
from rehearsal.runbook.undo import undeclared_leftovers
from rehearsal.settings import load_settings
from test_verify import HEADER, verified, write_pair

CELLS = {
    "a file": ("touch kept", "file kept"),
    "a folder": ("mkdir --parents kept/below\ntouch kept/below/file", "folder kept"),
    "a removed file": ("rm masks.toml", "no file masks.toml"),
    "a changed file": ("echo '# x' >> masks.toml", "changed file masks.toml"),
    "a file in another mode": ("chmod 600 masks.toml", "changed file masks.toml"),
    "a file of the user": ("git config --global user.name x", "file ~/.gitconfig"),
    "an exported variable": ("export KEPT=1", "variable KEPT"),
    "a changed variable": ("export PATH=/kept:$PATH", "changed variable PATH"),
    "another folder": ("cd /", "changed working folder"),
    "another mask": ("umask 077", "changed umask"),
    "a context": (
        "docker context create kept --docker host=unix:///none > /dev/null 2>&1",
        "context kept",
    ),
    "a context in use": (
        "docker context create kept --docker host=unix:///none > /dev/null 2>&1\n"
        "docker context use kept > /dev/null 2>&1",
        "context kept in use",
    ),
    "a builder": (
        "docker buildx create --name kept --driver docker-container > /dev/null 2>&1",
        "builder kept",
    ),
    "a network": ("docker network create --internal kept > /dev/null", "network kept"),
    "a volume": ("docker volume create kept > /dev/null", "volume kept"),
    "an image": ("docker pull --quiet alpine > /dev/null", "image alpine:latest"),
    "a container": (
        "docker pull --quiet alpine > /dev/null\ndocker create --name kept alpine > /dev/null",
        "container kept",
    ),
    "a login": (
        "echo practice-token-may-push"
        " | docker login ghcr.io --username octocat --password-stdin > /dev/null 2>&1",
        "login ghcr.io",
    ),
}


def test_what_a_page_leaves_is_told(project):
    """All in one run, each page in a room of its own."""
    names = {what.replace(" ", "-"): what for what in CELLS}
    for name, what in names.items():
        body = f"```bash\n{CELLS[what][0]}\ntest -n word\n```\n"
        write_pair(project / "notebooks", name, body)
    done = rehearsal("verify", *names, cwd=project, seconds=300)
    assert done.returncode == 1
    told = dict(re.findall(r"^(\S+): .* is not as before the first: (.*)$", done.stdout, re.M))
    assert told.keys() == names.keys()
    assert {
        what: told[name] for name, what in names.items() if CELLS[what][1] not in told[name]
    } == {}


def test_what_is_declared_and_left_is_right(project):
    header = HEADER.replace("---\n\n", "  rehearsal: {leaves: [file kept]}\n---\n\n")
    body = "```bash\ntouch kept\ntest -e kept\n```\n"
    write_pair(project / "notebooks", "specimen", body, header=header)
    assert verified(project, "specimen").returncode == 0


def test_what_is_declared_must_be_there():
    said = undeclared_leftovers(
        ["file a"], {"leaves": ["file a", "login ghcr.io"], "may-leave": ["file b"]}
    )
    assert said == "the header declares to leave login ghcr.io, and it is not there"


def test_a_placeholder_stands_for_its_value():
    declares = {"placeholders": {"stack": {"what": "x", "rehearsal": "backend"}}}
    assert (
        undeclared_leftovers(
            ["image backend:local"], declares | {"leaves": ["image <stack>:local"]}
        )
        == ""
    )


def test_a_placeholder_that_nobody_declares():
    with pytest.raises(Wrong, match="hold <stack>, which is not declared"):
        undeclared_leftovers([], {"leaves": ["image <stack>:local"]})


def test_a_declaration_that_is_no_list():
    with pytest.raises(Wrong, match=r"`rehearsal`\.leaves must be array"):
        undeclared_leftovers([], {"leaves": "file a"})


def test_only_the_whole_is_named():
    found = {"folder a", "folder a/b", "file a/b/c", "file d", "image x:1", "image x@sha256:0"}
    assert without_parts(found) == {"folder a", "file d", "image x:1"}


def test_every_page_that_changes_something_ends_with_its_undo():
    for runbook in find_runbooks(load_settings(ROOT), ()):
        assert "## Undo it" in runbook.path.read_text()


@pytest.mark.parametrize("kind", ["container", "volume"])
def test_what_docker_names_itself_is_declared_by_its_kind(kind):
    left, declares = [f"{kind} quirky_noether", f"{kind} x"], {"leaves": [f"{kind} *"]}
    assert undeclared_leftovers(left, declares) == ""
    assert f"{kind} *" in undeclared_leftovers(["image a:b"], declares)
    assert "image a:b" in undeclared_leftovers([*left, "image a:b"], declares)
