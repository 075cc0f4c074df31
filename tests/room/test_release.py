"""Publishing and promoting against the real engine and the real registry of a room."""

import os
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

import race
from conftest_room import OTHER, PLATFORM, put_image, put_index
from megalotron_images import release
from megalotron_images.convention import (
    MovingTag,
    Reference,
    next_release,
    parse_reference,
    parse_release,
    releases_among,
)
from megalotron_images.convention import parse_stack as stack_of
from megalotron_images.errors import LostRace, Refused
from megalotron_images.plan import Overrides
from megalotron_images.registry.client import Free, Taken
from megalotron_images.status import TagTarget, read_status
from rehearsal.room.paths import ROOM

BACKEND = stack_of("backend")
IMAGE = BACKEND.image


@pytest.fixture
def publish(registry, engine):
    """Publish a local image at a tag of the backend, without a pause before it is read back."""

    def run(tag, image, asked=None, say=lambda step: None):
        reference = parse_reference(f"ghcr.io/{IMAGE}:{tag}")
        plan = release.publish_plan(registry, reference, image, asked or Overrides())
        push = partial(engine.push, progress=lambda *layer: None)
        return release.publish(plan, image, registry, push, say=say, settle=0)

    return run


def promote(registry, version, to=MovingTag.MAIN, **asked):
    what = BACKEND, parse_release(version), to, Overrides(**asked)
    plan, manifest = release.promote_plan(registry, *what)
    return release.put(plan, manifest, registry, say=lambda step: None, settle=0), plan


@pytest.mark.main
def test_a_first_release_is_published_and_read_back(publish, registry, make_image):
    image = make_image("one")
    written = publish("v1.0.0", image)
    assert written.before == Free()
    assert registry.state(IMAGE, "v1.0.0") == Taken(written.digest)
    assert image.is_in(registry.manifest(IMAGE, written.digest))


@pytest.mark.main
def test_the_same_image_again_is_a_success_that_sends_nothing(publish, registry, make_image):
    image, steps = make_image("one"), []
    first = publish("v1.0.0", image)
    assert publish("v1.0.0", image, say=steps.append).digest == first.digest
    assert steps == []


@pytest.mark.main
def test_another_image_under_a_taken_release_is_refused_with_both_digests(
    publish, registry, make_image
):
    first, other = publish("v1.0.0", make_image("one")), make_image("two")
    with pytest.raises(Refused) as refused:
        publish("v1.0.0", other)
    assert first.digest in str(refused.value)
    assert other.id in str(refused.value)
    assert registry.state(IMAGE, "v1.0.0") == Taken(first.digest)


@pytest.mark.main
def test_an_older_release_is_refused_unless_asked_for_and_main_stays(publish, registry, make_image):
    publish("v1.1.0", make_image("one"))
    promote(registry, "v1.1.0")
    main = registry.state(IMAGE, "main")
    with pytest.raises(Refused, match=r"older than v1\.1\.0"):
        publish("v1.0.1", make_image("two"))
    assert registry.state(IMAGE, "v1.0.1") == Free()
    publish("v1.0.1", make_image("two"), Overrides(backport=True))
    assert registry.state(IMAGE, "main") == main


@pytest.mark.main
def test_a_loss_of_platforms_is_refused_unless_asked_for(publish, registry, make_image):
    put_index(registry, IMAGE, "v1.0.0")
    with pytest.raises(Refused, match=f"linux/{OTHER}"):
        publish("v1.1.0", make_image("one"))
    publish("v1.1.0", make_image("one"), Overrides(fewer_platforms=True))


@pytest.mark.main
def test_a_moving_tag_may_be_published_over(publish, registry, make_image):
    first = publish("dev", make_image("one"))
    second = publish("dev", make_image("two"))
    assert second.before == Taken(first.digest)
    assert registry.state(IMAGE, "dev") == Taken(second.digest) != Taken(first.digest)


def test_the_name_for_handing_over_is_not_left_in_the_engine_nor_on_the_board(
    publish, registry, make_image
):
    publish("v1.0.0", make_image("one"))
    names = subprocess.run(
        ["docker", "image", "ls"], capture_output=True, text=True, check=True
    ).stdout
    assert "staging" not in names
    assert "staging" in registry.tags(IMAGE)
    assert list(releases_among(registry.tags(IMAGE))) == [parse_release("v1.0.0")]


@pytest.mark.main
def test_an_index_is_promoted_byte_for_byte_and_skopeo_reads_it(registry):
    index = put_index(registry, IMAGE, "v1.0.0")
    written, _ = promote(registry, "v1.0.0")
    assert written.digest == index.digest
    command = ["skopeo", "inspect", "--raw", f"docker://ghcr.io/{IMAGE}:main"]
    assert subprocess.run(command, capture_output=True, check=True).stdout == index.content


@pytest.mark.main
def test_going_back_is_the_same_verb_and_says_so(registry):
    put_image(registry, IMAGE, "v1.0.0")
    put_image(registry, IMAGE, "v1.1.0")
    promote(registry, "v1.1.0")
    written, plan = promote(registry, "v1.0.0")
    assert "This goes back from v1.1.0 to v1.0.0." in plan.notes
    assert registry.state(IMAGE, "main") == registry.state(IMAGE, "v1.0.0") == Taken(written.digest)


@pytest.mark.main
def test_a_promotion_stops_where_the_tag_is_not_what_is_expected(registry):
    put_image(registry, IMAGE, "v1.0.0")
    moved = put_image(registry, IMAGE, "main")
    with pytest.raises(Refused, match="someone has moved it"):
        promote(registry, "v1.0.0", expect="sha256:" + "0" * 64)
    assert registry.state(IMAGE, "main") == Taken(moved.digest)
    promote(registry, "v1.0.0", expect=moved.digest)
    with pytest.raises(Refused, match="someone has moved it"):
        promote(registry, "v1.0.0", expect=moved.digest)  # though it is v1.0.0 already


def test_a_pre_release_becomes_main_only_when_asked_for(registry):
    put_image(registry, IMAGE, "v1.0.0-rc.1")
    with pytest.raises(Refused, match="pre-release"):
        promote(registry, "v1.0.0-rc.1")
    assert registry.state(IMAGE, "main") == Free()
    promote(registry, "v1.0.0-rc.1", MovingTag.DEV)
    promote(registry, "v1.0.0-rc.1", prerelease=True)


@pytest.mark.main
def test_a_release_that_is_not_there_cannot_be_promoted(registry):
    with pytest.raises(Refused, match="There is no release"):
        promote(registry, "v1.0.0")


@pytest.mark.main
def test_a_tag_that_changed_since_the_plan_is_not_overwritten(registry):
    put_image(registry, IMAGE, "v1.0.0")
    plan, manifest = release.promote_plan(
        registry, BACKEND, parse_release("v1.0.0"), MovingTag.MAIN, Overrides()
    )
    other = put_image(registry, IMAGE, "main")
    with pytest.raises(LostRace) as lost:
        release.put(plan, manifest, registry, say=lambda step: None, settle=0)
    assert other.digest in str(lost.value)
    assert manifest.digest in str(lost.value)
    assert registry.state(IMAGE, "main") == Taken(other.digest)


@pytest.mark.main
def test_who_is_overwritten_in_the_meantime_is_told_both_digests_and_restores_nothing(registry):
    mine = put_image(registry, IMAGE, "v1.0.0")
    plan, manifest = release.promote_plan(
        registry, BACKEND, parse_release("v1.0.0"), MovingTag.MAIN, Overrides()
    )
    others = []

    def say(step):
        if step == "read it back":
            others.append(put_image(registry, IMAGE, "main"))

    with pytest.raises(LostRace, match=mine.digest):
        release.put(plan, manifest, registry, say=say, settle=0)
    assert registry.state(IMAGE, "main") == Taken(others[0].digest)


def test_a_read_that_still_shows_what_was_there_before_is_no_lost_race(registry, monkeypatch):
    put_image(registry, IMAGE, "v1.0.0")
    old = put_image(registry, IMAGE, "main")
    plan, manifest = release.promote_plan(
        registry, BACKEND, parse_release("v1.0.0"), MovingTag.MAIN, Overrides()
    )
    stale = [
        Taken(old.digest)
    ] * 3  # the last look before the write, then two reads that lag behind
    state = registry.state
    monkeypatch.setattr(registry, "state", lambda *what: stale.pop() if stale else state(*what))
    written = release.put(plan, manifest, registry, say=lambda step: None, settle=0)
    assert written.digest == manifest.digest
    assert stale == []


def test_two_pushes_from_one_engine_do_not_mix_their_images(publish, registry, make_image, engine):
    image, other, pushes = make_image("one"), make_image("two"), []

    def push(wanted, repository, tag):
        pushes.append(wanted)
        # the first time, the other process's name is pushed
        given = other if len(pushes) == 1 else wanted
        return engine.push(given, repository, tag, progress=lambda *layer: None)

    plan = release.publish_plan(
        registry, Reference(BACKEND, parse_release("v1.0.0")), image, Overrides()
    )
    written = release.publish(plan, image, registry, push, say=lambda step: None, settle=0)
    assert len(pushes) == 2
    assert image.is_in(registry.manifest(IMAGE, written.digest))


@pytest.mark.main
def test_the_board_names_main_and_dev_by_digest_and_release(registry):
    releases = [put_image(registry, IMAGE, f"v1.{minor}.0") for minor in range(12)]
    promote(registry, "v1.9.0")
    dev = put_image(registry, IMAGE, "dev")
    line = read_status(registry, BACKEND)
    assert line.targets["newest"] == TagTarget(releases[11].digest, parse_release("v1.11.0"))
    assert line.targets["main"] == TagTarget(releases[9].digest, parse_release("v1.9.0"))
    assert line.targets["dev"] == TagTarget(dev.digest, None)


@pytest.mark.main
def test_the_next_version_follows_the_newest(registry):
    assert str(next_release(next(releases_among(registry.tags(IMAGE)), None), "patch")) == "v1.0.0"
    for tag in ("v1.9.0", "v1.10.0", "main", "staging", "v2"):
        put_image(registry, IMAGE, tag)
    assert str(next_release(next(releases_among(registry.tags(IMAGE)), None), "minor")) == "v1.11.0"


STEPS = 5


@pytest.mark.parametrize("step", range(STEPS + 1))
def test_a_publication_killed_at_any_step_ends_right_when_run_again(
    step, publish, registry, make_image
):
    image = make_image("one")
    code = Path(__file__).with_name("killed.py")
    done = subprocess.run(
        [sys.executable, code, "one", "v1.0.0", str(step)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == (-signal.SIGKILL if step < STEPS else 0), done.stderr
    written = publish("v1.0.0", image)
    assert registry.state(IMAGE, "v1.0.0") == Taken(written.digest)
    assert image.is_in(registry.manifest(IMAGE, written.digest))
    assert [tag for tag in registry.tags(IMAGE) if tag != "staging"] == ["v1.0.0"]


def test_a_publication_killed_in_mid_push_leaves_the_tag_free_and_goes_on(
    publish, registry, make_image
):
    image = make_image("large", size=30_000_000)
    command = [sys.executable, Path(__file__).with_name("killed.py"), "large", "v1.0.0", "push"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert registry.state(IMAGE, "v1.0.0") == Free()
    publish("v1.0.0", image)


def test_of_two_who_publish_the_same_version_at_once_never_both_are_told_yes(registry):
    races = int(os.environ.get("RACES", "5"))
    outcomes = race.run(races)
    assert len(outcomes) == races
    assert [outcome for outcome in outcomes if not outcome.right] == []


@pytest.fixture(autouse=True)
def _room_does_not_fill():
    yield
    shutil.rmtree(ROOM / "registries" / "ghcr.io" / "docker", ignore_errors=True)


@pytest.mark.main
def test_main_moves_to_fewer_platforms_only_when_asked_for(registry, cli):
    put_index(registry, IMAGE, "v1.0.0")
    put_index(registry, IMAGE, "main")
    one = put_image(registry, IMAGE, "v1.1.0")
    done = cli("promote", "backend", "v1.1.0", "--yes")
    assert done.returncode == 1
    assert f"runs on linux/{OTHER}, but v1.1.0 only on {PLATFORM}" in done.stderr
    assert registry.state(IMAGE, "main") != Taken(one.digest)
    done = cli("promote", "backend", "v1.1.0", "--yes", "--fewer-platforms")
    assert done.returncode == 0, done.stderr
    assert registry.state(IMAGE, "main") == Taken(one.digest)


def test_an_index_with_nothing_in_it_is_neither_promoted_nor_compared_with(registry, cli):
    put_index(registry, IMAGE, "v1.0.0", architectures=())
    done = cli("promote", "backend", "v1.0.0", "--yes")
    assert done.returncode == 1
    assert "has no platform" in done.stderr
    assert "main" not in registry.tags(IMAGE)


def test_a_release_that_cannot_be_read_does_not_take_the_others_away(registry, cli):
    for version in ("v1.0.0", "v1.1.0", "v1.2.0"):
        odd = put_image(registry, IMAGE, version)
        if version == "v1.1.0":
            folder = ROOM / "registries/ghcr.io/docker/registry/v2/blobs/sha256"
            number = odd.digest.removeprefix("sha256:")
            (folder / number[:2] / number / "data").unlink()
    done = cli("status", "backend", "--releases")
    assert done.returncode == 3
    assert "v1.1.0 cannot be read" in done.stderr
    assert "v1.0.0" in done.stdout
    assert "v1.2.0" in done.stdout


def test_an_event_that_publishes_nothing_says_so(cli):
    done = cli("tags-for", "refs/tags/v1.0.0", "--event", "release", "--github-output")
    assert (done.returncode, done.stdout) == (0, "tag=\n")
    assert "release publishes nothing" in done.stderr
