"""`megalotron-images running`: what each server runs, beside `main`, through Docker's contexts."""

import json
import os
import shutil
import socket

import pytest

from conftest_room import MAY_PUSH, docker
from rehearsal.room.engine import machine_architecture
from rehearsal.room.images import Store, load_history
from rehearsal.room.paths import PROJECT, ROOM
from rehearsal.room.registry import replaced_by
from rehearsal.settings import load_settings

NAME = "ghcr.io/megalotron/backend"
LIMIT = "MEGALOTRON_IMAGES_SECONDS"
LOGGED_IN = {**os.environ, "REGISTRY_USERNAME": "octocat", "REGISTRY_TOKEN": MAY_PUSH.password}


def squeezed(done):
    """Return the lines of a table, without its head."""
    return [" ".join(line.split()) for line in done.stdout.splitlines()[1:]]


@pytest.fixture(autouse=True)
def history():
    """The room's ghcr.io holds the releases of its history; `main` points to v1.5.0."""
    (settings, *_) = load_settings(PROJECT).registries
    store = ROOM / "registries" / "ghcr.io"
    shutil.rmtree(store / "docker/registry/v2/repositories/megalotron", ignore_errors=True)
    Store(store, machine_architecture()).seed((), load_history(PROJECT / settings.history))


@pytest.fixture
def start():
    """Start a container; all are removed in the end."""
    started = []

    def start(*words):
        started.append(docker("run", "--detach", *words))

    yield start
    for one in started:
        docker("rm", "--force", one)


@pytest.fixture
def context():
    """Make a Docker context that leads to an address; return its name."""
    made = []

    def make(name, address):
        docker("context", "create", name, "--docker", f"host={address}")
        made.append(name)
        return "--context", name

    yield make
    for name in made:
        docker("context", "rm", name)


@pytest.fixture
def silent(tmp_path):
    """The address of an engine that takes a question, and never answers."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "silent.sock"))
        listening.listen()
        yield f"unix://{tmp_path}/silent.sock"


def test_a_server_that_runs_main(cli, start):
    start("--pull", "always", f"{NAME}:main")
    done = cli("running")
    assert squeezed(done) == ["default backend v1.5.0 v1.5.0"]
    assert (done.returncode, done.stderr) == (0, "")
    (one,) = json.loads(cli("running", "backend", "--json").stdout)
    assert (one["server"], one["stack"]) == ("default", "backend")
    assert one["main"] == {"digest": one["digest"], "release": "v1.5.0"}
    assert one["release"] == "v1.5.0"


def test_a_server_that_runs_another_release(cli, start):
    start(f"{NAME}:v1.4.0")
    start("ghcr.io/megalotron/sniffer:main")
    done = cli("running", "backend")
    assert squeezed(done) == ["default backend v1.4.0 v1.5.0"]
    assert done.returncode == 1
    assert len(squeezed(cli("running"))) == 2


def test_a_server_that_runs_none_of_it(cli):
    assert squeezed(cli("running", "backend")) == ["default backend nothing v1.5.0"]
    done = cli("running")
    assert squeezed(done) == ["default - nothing -"]
    assert done.returncode == 1


def test_an_image_that_is_no_release_and_one_that_was_never_pushed(cli, start, tmp_path):
    (tmp_path / "Dockerfile").write_text(f"FROM {NAME}:v1.4.0\nLABEL mine=1\n")
    docker("build", "--quiet", "--tag", "backend:local", str(tmp_path))
    start("backend:local")
    done = cli("running", "backend")
    assert squeezed(done) == ["default backend backend:local (no registry digest) v1.5.0"]
    assert done.returncode == 1
    assert cli("publish", "backend", "dev", "--image", "backend:local", "--yes").returncode == 0
    digest = cli("digest", f"{NAME}:dev").stdout.strip()
    start(f"{NAME}@{digest}")
    done = cli("running", "backend")
    assert f"default backend {digest[:19]} (no release found) v1.5.0" in squeezed(done)
    assert done.returncode == 1


def test_what_runs_under_a_moved_name_is_judged_by_its_digest(cli, start):
    docker("pull", f"{NAME}:v1.4.0")
    docker("tag", f"{NAME}:v1.4.0", f"{NAME}:main")
    start(f"{NAME}:main")
    assert squeezed(cli("running", "backend")) == ["default backend v1.4.0 v1.5.0"]
    docker("pull", f"{NAME}:main")
    start(f"{NAME}:main")
    assert sorted(squeezed(cli("running", "backend"))) == [
        "default backend v1.4.0 v1.5.0",
        "default backend v1.5.0 v1.5.0",
    ]


def test_servers_that_cannot_be_asked_do_not_hide_the_others(cli, start, context, silent):
    start(f"{NAME}:main")
    down, hung = context("down", "unix:///run/nothing.sock"), context("hung", silent)
    others = ("--context", "default", "--context", "none")
    done = cli("running", "backend", *down, *hung, *others, env=LOGGED_IN | {LIMIT: "5"})
    assert squeezed(done) == [
        "down backend unknown v1.5.0",
        "hung backend unknown v1.5.0",
        "default backend v1.5.0 v1.5.0",
        "none backend unknown v1.5.0",
    ]
    assert done.returncode == 3
    down, hung, none = (one for one in done.stderr.splitlines() if "could not be asked" in one)
    assert down.startswith("down could not be asked: Cannot connect to the Docker daemon")
    assert down.endswith("Try: docker --context down version")
    assert hung.startswith("hung could not be asked: docker does not answer within 5 seconds.")
    assert 'context "none"' in none
    assert "Traceback" not in done.stderr


def test_servers_are_shown_where_the_registry_does_not_answer(cli, start):
    start(f"{NAME}:main")
    (registry, *_) = load_settings(PROJECT).registries
    with replaced_by(registry, None):
        done = cli("running", "backend")
    assert done.returncode == 3
    (line,) = squeezed(done)
    assert line.startswith("default backend sha256:")
    assert line.endswith(" unknown")


def test_without_the_docker_command(cli, tmp_path):
    done = cli("running", env={"PATH": str(tmp_path), "HOME": str(tmp_path)})
    assert done.returncode == 3
    assert "'docker' cannot be run (No such file or directory)." in done.stderr
    assert "Traceback" not in done.stderr
