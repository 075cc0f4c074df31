"""Publishing images for several platforms, which containerd's image store alone can hold: all
there, or in part.
"""

import pytest

from conftest_room import BOTH, OTHER, docker, put_index
from megalotron_images.convention import parse_stack
from megalotron_images.engine import Engine
from megalotron_images.registry.client import Taken
from rehearsal.room.engine import machine_architecture, read_engine
from rehearsal.room.paths import ENGINE

IMAGE = parse_stack("backend").image
HERE = read_engine(ENGINE)
LISTS_PLATFORMS = HERE.major >= 28
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
    assert done.returncode == (1 if LISTS_PLATFORMS else 3)
    assert ABSENT in done.stderr
    assert "v1.1.0" not in registry.tags(IMAGE)


def test_check_says_of_platforms_only_what_the_engine_lists(registry, cli, both):
    name = f"ghcr.io/{IMAGE}:v1.1.0"
    put_index(registry, IMAGE, "v1.0.0", ("amd64",))
    done = cli("check", name, "--image", both)
    assert done.returncode == 0
    put_index(registry, IMAGE, "v1.0.0")
    done = cli("check", name, "--image", both)
    assert done.returncode == (0 if LISTS_PLATFORMS else 3)
    assert ("Cannot tell before the push" in done.stdout) != LISTS_PLATFORMS
    done = cli("publish", "backend", "v1.1.0", "--image", both, "--yes")
    assert done.returncode == 0, done.stderr


def test_an_image_for_another_platform_than_the_engines_is_refused_before_it_is_pushed(
    registry, cli
):
    put_index(registry, IMAGE, "v1.0.0")
    docker("pull", "--quiet", "--platform", "linux/arm64", "arm64v8/alpine")
    done = cli("publish", "backend", "v1.1.0", "--image", "arm64v8/alpine", "--yes")
    assert done.returncode == 1
    assert "runs on linux/amd64, but your image only on linux/arm64" in done.stderr
    assert "staging" not in registry.tags(IMAGE)


def test_platforms_are_checked_on_what_was_pushed(registry, cli):
    put_index(registry, IMAGE, "v1.0.0")
    docker("build", "--quiet", "--tag", "one", "examples/backend")
    done = cli("publish", "backend", "v1.1.0", "--image", "one", "--yes")
    assert done.returncode == 1
    assert f"linux/{OTHER}" in done.stderr
    assert ("staging" in registry.tags(IMAGE)) != LISTS_PLATFORMS
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
