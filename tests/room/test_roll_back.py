"""Roll back production: two servers run a bad release; the page's own commands bring them back."""

import json
import os
import shutil
import subprocess

import pytest

from copied import Terminal
from rehearsal.cell.syntax import FORM
from rehearsal.room.images import Store, load_history
from rehearsal.room.paths import PROJECT, ROOM
from rehearsal.room.registry import replaced_by
from rehearsal.runbook.model import Runbook
from rehearsal.settings import load_settings

PAGE = Runbook(PROJECT / "notebooks" / "go-back.md")
MAIN = "ghcr.io/megalotron/backend:main"
VALUES = {one.name: one.value for one in PAGE.placeholders.values()}


def commands(*words):
    """Return the page's cells that hold all the words, filled in but for the server's folder."""
    cells = [cell.shell for cell in PAGE.text.code if cell.shell]
    found = [cell.script for cell in cells if all(word in cell.script for word in words)]
    values = VALUES | {"folder on the server": "<folder on the server>"}
    return [FORM.sub(lambda match: values[match[1]], script) for script in found]


def digest(reference):
    done = subprocess.run(
        ["megalotron-images", "digest", reference], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def running(server):
    """Return the digest and the state of what a server runs."""
    command = ["docker", "compose", "ps", "--all", "--format", "json"]
    done = subprocess.run(command, cwd=server, capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    return said["Image"].partition("@")[2], said["State"]


@pytest.fixture
def servers(tmp_path, monkeypatch):
    """The folders of two servers that run v1.5.0, which `main` names."""
    monkeypatch.setenv("REGISTRY_USERNAME", "octocat")
    monkeypatch.setenv("REGISTRY_TOKEN", "practice-token-may-push")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(PROJECT / "notebooks" / "examples", tmp_path / "examples")
    login = "echo practice-token-only-reads | docker login ghcr.io -u octocat --password-stdin"
    subprocess.run(["bash", "-c", login], check=True, capture_output=True)
    (settings, *_) = load_settings(PROJECT).registries
    store = ROOM / "registries" / "ghcr.io"
    Store(store).seed((), load_history(PROJECT / settings.history))  # others may have emptied it
    bad = digest("ghcr.io/megalotron/backend:v1.5.0")
    put("main", bad)
    found = [tmp_path / f"server-{number}" for number in (1, 2)]
    for server in found:
        shutil.copytree(PROJECT / "notebooks" / "examples" / "server", server)
        (server / ".env").write_text(f"IMAGE=ghcr.io/megalotron/backend@{bad}\n")
        compose(server, "up", "--detach")
        assert running(server) == (bad, "running")
    yield found
    for server in found:
        compose(server, "down")


def compose(server, *command):
    subprocess.run(["docker", "compose", *command], cwd=server, check=True, capture_output=True)


def put(tag, named):
    """Let a tag of the stack name a digest, whatever it was."""
    tags = ROOM / "registries/ghcr.io/docker/registry/v2/repositories/megalotron/backend"
    link = tags / "_manifests/tags" / tag / "current/link"
    link.write_text(named)


def on(server, script):
    """Run a server's cell as it stands on the page; return what it prints."""
    filled = script.replace("<folder on the server>", str(server))
    done = subprocess.run(
        ["bash", "-ec", filled], capture_output=True, text=True, check=True, env=os.environ
    )
    return done.stdout.splitlines()[-1]


def typed(script, reference, terminal=None):
    """Type a cell and its confirmation into a terminal; return its status and what it said."""
    return (terminal or Terminal()).paste(script, [("to write it: ", reference)])


def test_two_servers_are_back_within_five_commands_and_then_get_the_fix(servers):
    back, forward = commands("promote")
    good = digest("ghcr.io/megalotron/backend:v1.4.0")
    at_night, by_day = commands("compose", "up")
    assert len([*back.splitlines(), *at_night.splitlines()]) <= 5
    assert typed(back, MAIN)[0] == 0
    assert digest(MAIN) == good
    for server in servers:
        assert running(server)[0] != good, "moving main changes no server"
        assert on(server, at_night) == f"ghcr.io/megalotron/backend@{good} running"
        assert running(server) == (good, "running")

    (build,), (publish,) = commands("docker build"), commands("publish")
    subprocess.run(["bash", "-ec", build], check=True, capture_output=True)
    assert typed(publish, "ghcr.io/megalotron/backend:v1.5.1")[0] == 0
    assert typed(forward, MAIN)[0] == 0
    fix = digest("ghcr.io/megalotron/backend:v1.5.1")
    for server in servers:
        assert running(server) == (good, "running")
        assert on(server, by_day) == f"ghcr.io/megalotron/backend@{fix} running"
    assert digest(MAIN) == fix


def test_who_rolls_back_is_told_that_somebody_else_moved_main_in_the_meantime(servers):
    back, _ = commands("promote")
    night = Terminal()
    night.bash.send(f"{back}\n")
    night.bash.expect("to write it: $")
    release = "megalotron-images promote backend v1.3.2"
    assert typed(release, MAIN)[0] == 0
    moved = digest(MAIN)
    night.bash.sendline(MAIN)
    night.bash.sendline('echo "status=$?"')
    night.bash.expect(r"status=(\d+)\r\n")
    assert night.bash.match[1] == "1", night.bash.before
    assert f"Somebody else wrote {MAIN} at the same moment" in night.bash.before
    assert digest(MAIN) == moved


def test_what_is_pinned_stays_where_the_registry_cannot_be_asked(servers):
    (at_night, _) = commands("compose", "up")
    before = (servers[0] / ".env").read_text()
    (registry, *_) = load_settings(PROJECT).registries
    with replaced_by(registry, None):
        Terminal().paste(at_night.replace("<folder on the server>", str(servers[0])), [])
    assert (servers[0] / ".env").read_text() == before
