"""In a room: this client beside skopeo and docker's own commands, on the same registry.

Prints a figure a line.
"""

import functools
import itertools
import os
import resource
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from measure import Figure, alternate, ratio

from megalotron_images import release
from megalotron_images.convention import (
    MovingTag,
    parse_reference,
    parse_release,
    parse_stack,
    releases_among,
)
from megalotron_images.engine import Engine
from megalotron_images.plan import Overrides
from megalotron_images.registry.client import Registry
from megalotron_images.registry.credentials import find_credentials

STACK = parse_stack("backend")
NAME = f"ghcr.io/{STACK.image}"
STORE = Path("/run/room/registries/ghcr.io/docker")
TAGS = 10_000
MEGABYTE = 2**20
SECONDS_ABOVE = 0.25
CRANE = str(Path(__file__).parent.parent / "engines" / "debian-14" / "usr" / "bin" / "crane")
MOST_OF_BARE = 4.0


def run(*command: str) -> None:
    """Run a command, quietly; if it fails, show what it said and raise."""
    done = subprocess.run(
        command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    if done.returncode:
        print(done.stderr, file=sys.stderr)
    done.check_returncode()


def seconds(action: Callable[[], object]) -> float:
    """Return how long an action took."""
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


@functools.cache
def client() -> Registry:
    """Return the client of this process.

    It keeps its connection and its tokens as long as they are good.
    """
    return Registry("ghcr.io", find_credentials("ghcr.io"), writes=True)


def build(name: str, megabytes: int, layers: int = 1) -> None:
    """Put an image of random bytes into the engine."""
    folder = Path("/tmp") / uuid.uuid4().hex
    folder.mkdir()
    for layer in range(layers):
        with open(folder / f"content-{layer}", "wb") as content:
            for _ in range(megabytes // layers):
                content.write(os.urandom(MEGABYTE))
    (folder / "Dockerfile").write_text(
        "FROM scratch\n" + "".join(f"COPY content-{n} /\n" for n in range(layers))
    )
    # with an attestation, an image that was pulled could not be pushed under another name
    run("docker", "build", "-q", "--provenance=false", "-t", name, str(folder))
    shutil.rmtree(folder)


VERSIONS = itertools.cycle(("v1.0.0", "v1.1.0"))


def promote() -> None:
    """Move `main` to the other one of two releases."""
    registry, version = client(), next(VERSIONS)
    plan, manifest = release.promote_plan(
        registry, STACK, parse_release(version), MovingTag.MAIN, Overrides()
    )
    release.put(plan, manifest, registry, say=lambda step: None, settle=0)


def promotions() -> list[Figure]:
    """`promote` beside skopeo and beside pull, tag and push of a 50 MB image."""
    shutil.rmtree(STORE)
    for version in ("v1.0.0", "v1.1.0"):
        build("fifty", 50, layers=10)
        run("docker", "tag", "fifty", f"{NAME}:{version}")
        run("docker", "push", f"{NAME}:{version}")
    run("docker", "image", "rm", "-f", "fifty", f"{NAME}:v1.0.0", f"{NAME}:v1.1.0")

    def copy() -> None:
        run("skopeo", "copy", f"docker://{NAME}:v1.0.0", f"docker://{NAME}:dev")

    def through_the_engine() -> None:
        run("docker", "pull", f"{NAME}:v1.0.0")
        run("docker", "tag", f"{NAME}:v1.0.0", f"{NAME}:dev")
        run("docker", "push", f"{NAME}:dev")

    def from_scratch() -> float:
        took = seconds(through_the_engine)
        run("docker", "image", "rm", "-f", f"{NAME}:v1.0.0", f"{NAME}:dev")
        return took

    ours = "promote of 50 MB in 10 layers, in a process that runs, settling time apart"
    return [
        ratio(
            ours, "skopeo copy", *alternate(lambda: seconds(promote), lambda: seconds(copy)), 0.25
        ),
        ratio(
            ours,
            "docker pull, tag and push",
            *alternate(lambda: seconds(promote), from_scratch),
            0.1,
        ),
    ]


def newest() -> Figure:
    """The newest of 10,000 tags."""
    tags = STORE / "registry/v2/repositories" / STACK.image / "_manifests/tags"
    for number in range(TAGS):
        shutil.copytree(tags / "v1.0.0", tags / f"v2.{number}.0")
    ours, theirs = alternate(
        lambda: seconds(lambda: next(releases_among(client().tags(STACK.image)))),
        lambda: seconds(lambda: run("skopeo", "list-tags", f"docker://{NAME}")),
    )
    for number in range(TAGS):
        shutil.rmtree(tags / f"v2.{number}.0")
    return ratio(
        "the newest of 10,000 tags, in a process that runs", "skopeo list-tags", ours, theirs, 0.5
    )


def check() -> Figure:
    """`check` as a whole process, beside `skopeo inspect` and a quarter of a second."""
    ours, theirs = alternate(
        lambda: seconds(lambda: run("megalotron-images", "check", f"{NAME}:v1.2.0")),
        lambda: (
            seconds(lambda: run("skopeo", "inspect", f"docker://{NAME}:v1.0.0")) + SECONDS_ABOVE
        ),
    )
    return ratio(
        "check, the whole process", f"skopeo inspect + {SECONDS_ABOVE} s", ours, theirs, 1.0
    )


def processor(*command: str) -> float:
    """Return the seconds of processor time that a whole process takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run(*command)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def processors() -> Iterator[Figure]:
    """Processor time of whole processes, beside skopeo's and crane's.

    That of `digest` also beside Python's own start with what any client needs.
    """
    versions = itertools.cycle(("v1.0.0", "v1.1.0"))
    helper = partial(processor, "megalotron-images")
    first, source = f"{NAME}:v1.0.0", f"docker://{NAME}:v1.0.0"
    verbs: dict[str, Callable[[], float]] = {
        "digest": lambda: helper("digest", first),
        "check": lambda: helper("check", f"{NAME}:v1.2.0"),
        "status": lambda: helper("status", STACK.name),
        "promote": lambda: helper("promote", STACK.name, next(versions), "--yes"),
    }
    others = (
        ("digest", sys.executable, "-c", "import argparse, http.client, ssl, json"),
        ("digest", "skopeo", "inspect", "--no-tags", source),
        ("digest", CRANE, "digest", first),
        ("check", "skopeo", "inspect", source),
        ("check", CRANE, "config", first),
        ("status", "skopeo", "list-tags", f"docker://{NAME}"),
        ("status", CRANE, "ls", NAME),
        ("promote", "skopeo", "copy", "--all", source, f"docker://{NAME}:copied"),
        ("promote", CRANE, "tag", first, "copied"),
    )
    for verb, program, *rest in others:
        ours, theirs = alternate(verbs[verb], partial(processor, program, *rest))
        bar = MOST_OF_BARE if program == sys.executable else None
        against = " ".join([Path(program).name, *rest])
        yield ratio(f"processor time of {verb}", against, ours, theirs, bar)


def publish(tag: str, name: str) -> None:
    """Publish a local image, without a settling time."""
    engine, registry = Engine(find_credentials("ghcr.io")), client()
    image, reference = engine.image(name), parse_reference(f"{NAME}:{tag}")
    plan = release.publish_plan(registry, reference, image, Overrides())
    push = partial(engine.push, progress=lambda *layer: None)
    release.publish(plan, image, registry, push, say=lambda step: None, settle=0)


def publication() -> Figure:
    """`publish` of 200 MB beside `docker push`, each into an empty registry."""
    build("large", 200)
    run("docker", "tag", "large", f"{NAME}:v1.0.0")

    def emptied(action: Callable[[], object]) -> float:
        shutil.rmtree(STORE, ignore_errors=True)
        return seconds(action)

    ours, theirs = alternate(
        lambda: emptied(lambda: publish("v1.0.0", "large")),
        lambda: emptied(lambda: run("docker", "push", f"{NAME}:v1.0.0")),
    )
    return ratio("publish of 200 MB, settling time apart", "docker push", ours, theirs, 1.1)


def memory() -> Figure:
    """The most memory that a publication takes: 200 MB beside 1 MB."""

    def most(name: str) -> float:
        shutil.rmtree(STORE, ignore_errors=True)
        child = os.fork()
        if not child:
            publish("v1.0.0", name)
            os._exit(0)
        _, status, usage = os.wait4(child, 0)
        assert status == 0
        return usage.ru_maxrss / 1024

    build("small", 1)
    ours, theirs = alternate(lambda: most("large"), lambda: most("small"))
    return ratio("memory of publish, 200 MB", "1 MB", ours, theirs, 1.1, "MiB")


def main() -> None:
    """Print one figure a line."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    token = b"practice-token-may-push"
    login = ["docker", "login", "ghcr.io", "-u", "octocat", "--password-stdin"]
    subprocess.run(login, input=token, check=True, capture_output=True)
    for figure in (*promotions(), newest(), check(), *processors(), publication(), memory()):
        figure.show()


if __name__ == "__main__":
    main()
