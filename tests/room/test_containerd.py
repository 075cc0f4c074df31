"""Publishing images for several platforms, which containerd's image store alone can hold: all
there, or in part.
"""

import os
import socket
from contextlib import closing
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from conftest_room import ARCHITECTURE, BOTH, MAY_PUSH, OTHER, docker, put_index
from megalotron_images import release
from megalotron_images.convention import parse_reference, parse_stack
from megalotron_images.engine import Engine
from megalotron_images.errors import Refused
from megalotron_images.plan import Overrides
from megalotron_images.registry.client import Taken
from rehearsal.room.engine import machine_architecture, read_engine
from rehearsal.room.paths import ENGINE

IMAGE = parse_stack("backend").image
HERE = read_engine(ENGINE)
LISTS_PLATFORMS = int(HERE.version.partition(".")[0]) >= 28
"""From API 1.48 on."""
PULLED = f"linux/{machine_architecture()}"
"""The machine's own: of another one, an engine before Docker 28 exports no part."""
(ABSENT,) = BOTH - {PULLED}


@pytest.fixture
def both():
    docker(
        "buildx",
        "build",
        "--quiet",
        "--platform",
        ",".join(sorted(BOTH)),
        "--tag",
        "both",
        "examples/backend",
    )
    return "both"


@pytest.fixture
def partly(both, cli):
    """An image for two platforms of which the engine has pulled one."""
    name = "ghcr.io/megalotron/sniffer:v1.0.0"
    docker("login", "ghcr.io", "--username", "octocat", "--password", "practice-token-may-push")
    docker("tag", both, name)
    docker("push", "--quiet", name)
    # its cache may hold the other platform's layers on
    docker("builder", "prune", "--all", "--force")
    docker("image", "rm", name, both)
    docker("pull", "--quiet", "--platform", PULLED, name)
    yield name
    docker("logout", "ghcr.io")
    docker("image", "rm", name)


@pytest.mark.main
def test_an_image_for_two_platforms_is_published_whole(registry, cli, both):
    image = Engine().image(both)
    assert image.platforms == (BOTH if LISTS_PLATFORMS else {"linux/amd64"})
    done = cli("publish", "backend", "v1.0.0", "--image", both, "--yes")
    assert done.returncode == 0, done.stderr
    assert registry.state(IMAGE, "v1.0.0") == Taken(image.id)
    assert registry.platforms(IMAGE, registry.manifest(IMAGE, "v1.0.0")) == BOTH


@pytest.mark.main
def test_an_image_that_is_partly_there_is_refused_where_a_release_had_more(registry, cli, partly):
    put_index(registry, IMAGE, "v1.0.0")
    assert Engine().image(partly).platforms == {PULLED}
    done = cli("publish", "backend", "v1.1.0", "--image", partly, "--yes")
    assert done.returncode == 1
    assert ABSENT in done.stderr
    assert "v1.1.0" not in registry.tags(IMAGE)


@pytest.mark.parametrize("architectures", [("amd64",), ("arm64",), ("amd64", "arm64")])
def test_check_answers_for_platforms_that_the_engine_shows_and_not_for_those_in_a_list(
    registry, cli, both, architectures
):
    put_index(registry, IMAGE, "v1.0.0", architectures)
    containers = docker("ps", "--all", "--quiet")
    done = cli("check", f"ghcr.io/{IMAGE}:v1.1.0", "--image", both)
    shown = LISTS_PLATFORMS or architectures == (ARCHITECTURE,)
    assert done.returncode == (0 if shown else 3), done.stdout
    assert shown or "only the push shows whether the engine has all of it" in done.stdout
    assert docker("ps", "--all", "--quiet") == containers


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_check_refuses_an_image_for_another_platform_on_either_processor(
    registry, cli, architecture
):
    (other,) = {"amd64", "arm64"} - {architecture}
    put_index(registry, IMAGE, "v1.0.0", (architecture,))
    docker("build", "--quiet", "--platform", f"linux/{other}", "--tag", "one", "examples/backend")
    done = cli("check", f"ghcr.io/{IMAGE}:v1.1.0", "--image", "one")
    assert done.returncode == 1
    runs = f"runs on linux/{architecture}, but your image only on linux/{other}"
    assert runs in done.stdout


class OnlyReads(BaseHTTPRequestHandler):
    """Passes on to the room's engine what reads, and refuses all else, as a proxy may."""

    error_content_type = "application/json"
    error_message_format = '{"message": "%(message)s"}'

    def do_GET(self):
        with closing(socket.socket(socket.AF_UNIX)) as engine:
            engine.connect(os.environ["DOCKER_HOST"].removeprefix("unix://"))
            engine.sendall(f"GET {self.path} HTTP/1.0\r\nHost: engine\r\n\r\n".encode())
            while part := engine.recv(65536):
                self.wfile.write(part)

    def do_POST(self):
        self.send_error(403, "this proxy only reads")


def test_what_an_engine_will_not_be_asked_is_not_known(registry, cli, both):
    put_index(registry, IMAGE, "v1.0.0")
    with ThreadingHTTPServer(("127.0.0.1", 0), OnlyReads) as proxy:
        Thread(target=proxy.serve_forever, daemon=True).start()
        host = {"DOCKER_HOST": f"tcp://127.0.0.1:{proxy.server_port}"}
        login = {"REGISTRY_USERNAME": "octocat", "REGISTRY_TOKEN": MAY_PUSH.password}
        name = f"ghcr.io/{IMAGE}:v1.1.0"
        done = cli("check", name, "--image", both, env=os.environ | login | host)
        proxy.shutdown()
    assert done.returncode == (0 if LISTS_PLATFORMS else 3), done.stderr
    assert LISTS_PLATFORMS or done.stderr == "megalotron-images: this proxy only reads.\n"


def test_an_image_for_another_platform_than_the_engines_is_refused_before_it_is_pushed(
    registry, cli
):
    put_index(registry, IMAGE, "v1.0.0")
    docker("pull", "--quiet", "--platform", "linux/arm64", "arm64v8/alpine")
    done = cli("publish", "backend", "v1.1.0", "--image", "arm64v8/alpine", "--yes")
    assert done.returncode == 1
    assert "runs on linux/amd64, but your image only on linux/arm64" in done.stderr
    assert "staging" not in registry.tags(IMAGE)


def test_platforms_are_checked_again_on_what_was_pushed(registry, cli):
    put_index(registry, IMAGE, "v1.0.0")
    docker("build", "--quiet", "--tag", "one", "examples/backend")
    reference = parse_reference(f"ghcr.io/{IMAGE}:v1.1.0")
    mistaken = replace(Engine().image("one"), platforms=BOTH)
    plan = release.publish_plan(registry, reference, mistaken, Overrides())
    push = partial(Engine(MAY_PUSH).push, progress=lambda *layer: None)
    with pytest.raises(Refused, match=f"would lose linux/{OTHER}"):
        release.publish(plan, mistaken, registry, push, say=print, settle=0)
    assert "staging" in registry.tags(IMAGE)
    assert "v1.1.0" not in registry.tags(IMAGE)


def test_an_image_that_is_partly_there_is_published_only_with_the_engines_own_word(
    registry, cli, partly
):
    done = cli("publish", "backend", "v1.0.0", "--image", partly, "--yes")
    if not LISTS_PLATFORMS:
        assert done.returncode == 3
        assert "not all of them are available locally" in done.stderr
        assert "v1.0.0" not in registry.tags(IMAGE)
    else:
        assert done.returncode == 0, done.stderr
        assert f"pushes only {PULLED}" in done.stderr
        assert registry.platforms(IMAGE, registry.manifest(IMAGE, "v1.0.0")) == {PULLED}
