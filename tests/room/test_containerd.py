"""Publishing images for several platforms, which containerd's image store alone can hold: all
there, or in part.
"""

import pytest

from conftest_room import BOTH, docker, put_index
from megalotron_images.convention import parse_stack
from megalotron_images.engine import Engine
from megalotron_images.registry.client import Taken
from rehearsal.room.engine import machine_architecture, read_engine
from rehearsal.room.paths import ENGINE

IMAGE = parse_stack("backend").image
HERE = read_engine(ENGINE)
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


def test_an_image_for_two_platforms_is_published_whole(registry, cli, both):
    image = Engine().image(both)
    assert (image.platforms, image.absent) == (BOTH, frozenset())
    done = cli("publish", "backend", "v1.0.0", "--image", both, "--yes")
    assert done.returncode == 0, done.stderr
    assert registry.state(IMAGE, "v1.0.0") == Taken(image.id)
    assert registry.platforms(IMAGE, registry.manifest(IMAGE, "v1.0.0")) == BOTH


def test_an_image_that_is_partly_there_is_refused_where_a_release_had_more(registry, cli, partly):
    put_index(registry, IMAGE, "v1.0.0")
    image = Engine().image(partly)
    assert (image.platforms, image.absent) == ({PULLED}, {ABSENT})
    done = cli("publish", "backend", "v1.1.0", "--image", partly, "--yes")
    assert done.returncode == 1
    assert ABSENT in done.stderr
    assert "v1.1.0" not in registry.tags(IMAGE)


def test_an_image_that_is_partly_there_is_published_only_with_the_engines_own_word(
    registry, cli, partly
):
    done = cli("publish", "backend", "v1.0.0", "--image", partly, "--yes")
    assert "and your engine does not hold that" in done.stderr
    if HERE.major < 28:
        assert done.returncode == 3
        assert "not all of them are available locally" in done.stderr
        assert "v1.0.0" not in registry.tags(IMAGE)
    else:
        assert done.returncode == 0, done.stderr
        assert f"pushes only {PULLED}" in done.stderr
        assert registry.platforms(IMAGE, registry.manifest(IMAGE, "v1.0.0")) == {PULLED}
