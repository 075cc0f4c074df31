"""Publishing what an engine holds, whatever its image store: pulled and built images."""

import json

import pytest

from conftest_room import BOTH, MAY_PUSH, PLATFORM, digest_of, docker, put_image, put_index
from megalotron_images import release
from megalotron_images.convention import parse_reference, parse_stack
from megalotron_images.engine import Engine
from megalotron_images.errors import EngineFailed, NotThere
from megalotron_images.plan import Overrides
from megalotron_images.registry.client import Manifest, Taken, platform_name
from rehearsal.room.engine import CONTAINERD, read_engine
from rehearsal.room.paths import ENGINE

IMAGE = parse_stack("backend").image
HERE = read_engine(ENGINE)


@pytest.fixture
def pulled():
    docker("pull", "--quiet", "alpine")
    return "alpine"


@pytest.fixture
def built():
    docker("build", "--quiet", "--tag", "built", "examples/backend")
    return "built"


@pytest.mark.main
@pytest.mark.parametrize("kind", ["pulled", "built"])
def test_an_image_of_the_engine_is_published_and_again_is_done(kind, registry, cli, request):
    name = request.getfixturevalue(kind)
    first = cli("publish", "backend", "v1.0.0", "--image", name, "--yes")
    assert first.returncode == 0, first.stderr
    digest = first.stdout.strip().rpartition("@")[2]
    assert registry.state(IMAGE, "v1.0.0") == Taken(digest)
    again = cli("publish", "backend", "v1.0.0", "--image", name, "--yes")
    assert (again.returncode, again.stdout.strip().rpartition("@")[2]) == (0, digest)
    assert "already points to this image" in again.stderr


@pytest.mark.main
def test_an_image_keeps_its_digest_where_the_store_is_containerds(registry, cli, pulled):
    digest = (
        cli("publish", "backend", "v1.0.0", "--image", pulled, "--yes")
        .stdout.strip()
        .rpartition("@")[2]
    )
    theirs = json.loads(docker("image", "inspect", "alpine"))[0]["RepoDigests"][0].partition("@")[2]
    assert (digest == theirs) == (HERE.store == CONTAINERD)


def test_a_built_image_is_for_one_platform_however_it_is_attested(built):
    assert Engine().image(built).platforms == {PLATFORM}


def test_a_push_that_the_registry_shows_as_something_else_is_not_somebody_elses(
    registry, cli, built, monkeypatch
):
    monkeypatch.setattr(release, "_PAUSE", 0)
    image = Engine().image(built)
    plan = release.publish_plan(
        registry, parse_reference(f"ghcr.io/{IMAGE}:v1.0.0"), image, Overrides()
    )

    def push(image, repository, tag):
        if "staging" not in registry.tags(IMAGE):
            put_image(registry, IMAGE, "staging")

    with pytest.raises(EngineFailed, match="knows built by another digest"):
        release.publish(plan, image, registry, push, say=print, settle=0)

    def others(image, repository, tag):
        put_image(registry, IMAGE, "staging")

    with pytest.raises(EngineFailed, match="someone else is pushing"):
        release.publish(plan, image, registry, others, say=print, settle=0)


def test_a_tag_that_takes_a_moment_to_be_readable_is_waited_for(registry, cli, built, monkeypatch):
    image, read, pushes = Engine().image(built), registry.manifest, []
    plan = release.publish_plan(
        registry, parse_reference(f"ghcr.io/{IMAGE}:v1.0.0"), image, Overrides()
    )

    def push(image, repository, tag):
        pushes.append(tag)
        Engine(MAY_PUSH).push(image, repository, tag, progress=lambda *layer: None)

    def late(repository, tag):
        if tag == "staging" and len(pushes) == 1:
            raise NotThere("not yet", "manifest unknown")
        return read(repository, tag)

    monkeypatch.setattr(registry, "manifest", late)
    written = release.publish(plan, image, registry, push, say=print, settle=0)
    assert registry.state(IMAGE, "v1.0.0") == Taken(written.digest)
    assert len(pushes) == 2


@pytest.mark.parametrize(
    ("architecture", "variants"),
    [("arm", ("", "v7")), ("arm64", ("", "v8")), ("amd64", ("", "v1"))],
)
def test_variants_that_containerd_takes_for_one_are_one(architecture, variants):
    names = {platform_name("linux", architecture, variant) for variant in variants}
    assert len(names) == 1
    assert platform_name("linux", architecture, "v6") not in names


def test_platforms_are_read_from_an_index_in_an_index_and_beside_attestations(registry):
    inner = put_index(registry, IMAGE, "inner")
    plain = put_image(registry, IMAGE, "plain", "s390x")
    attestation = put_image(registry, IMAGE, "attestation", "unknown")
    kind = inner.media_type
    parts = [
        {"mediaType": kind, "size": len(inner.content), "digest": inner.digest},
        {"mediaType": plain.media_type, "size": len(plain.content), "digest": plain.digest},
        {
            "mediaType": attestation.media_type,
            "size": len(attestation.content),
            "digest": attestation.digest,
            "platform": {"architecture": "unknown", "os": "unknown"},
        },
    ]
    body = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": parts}).encode()
    outer = Manifest(digest_of(body), kind, body)
    registry.put(IMAGE, "v1.0.0", outer)
    assert registry.platforms(IMAGE, registry.manifest(IMAGE, "v1.0.0")) == BOTH | {"linux/s390x"}
