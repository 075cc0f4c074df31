"""Which release each server runs, beside `main`.

The docker command is asked, not its SDK: it knows contexts, and reaches engines over SSH.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from megalotron_images.concurrency import run_concurrently, run_program, say_if_slow, seconds
from megalotron_images.convention import DIGEST, ORGANISATION, REGISTRY, Stack
from megalotron_images.errors import CannotTell, EngineFailed, RegistryFailed
from megalotron_images.registry.client import Registry, Unknown
from megalotron_images.status import TagTarget, Target, read_status, shown

_SECONDS = 20.0
"""How long a server may take for one command; MEGALOTRON_IMAGES_SECONDS may be less."""
_NAME = re.compile(rf"(.*/)?([^/:@]+)(?::[^/:@]*)?(?:@({DIGEST.pattern}))?")
"""An image's name: where it is kept, what it is called, and its digest."""


@dataclass(frozen=True)
class Image:
    """The image of a container: the name it was started by, and its digest in the registry."""

    stack: Stack
    name: str
    digest: str | None


@dataclass(frozen=True)
class Running:
    """What a server runs of a stack, beside `main`.

    Attributes:
        stack: None if the server runs none of several stacks.
        image: the name that it was started by; None if the server runs no image of the stack.
        runs: the image's digest, with its release.
        main: what the stack's `main` points to.
        unknown: why the server could not be asked.
    """

    server: str
    stack: Stack | None
    main: Target
    image: str | None = None
    runs: TagTarget | None = None
    unknown: str = ""

    @property
    def row(self) -> tuple[str, str, str, str]:
        """Server, stack, what it runs, and what `main` points to."""
        runs = "unknown" if self.unknown else "nothing"
        if self.runs:
            runs = str(self.runs) + ("" if self.runs.release else " (no release found)")
        elif self.image:
            runs = f"{self.image} (no registry digest)"
        return self.server, self.stack.name if self.stack else "-", runs, shown(self.main)

    @property
    def data(self) -> dict[str, object]:
        """The same for programs."""
        about = {"server": self.server, "stack": self.stack and self.stack.name}
        runs = self.runs.data if self.runs else {"digest": None, "release": None}
        main = self.main and self.main.data
        return about | {"image": self.image, **runs, "unknown": self.unknown or None, "main": main}

    @property
    def is_main(self) -> bool:
        """Whether the server runs what `main` points to."""
        return bool(self.runs and self.main and self.runs.digest == self.main.digest)

    @property
    def unknowns(self) -> list[str]:
        """Why the server, and what `main` points to, could not be asked."""
        main = self.main.reason if isinstance(self.main, Unknown) else ""
        return [*filter(None, [self.unknown, main])]


def read_running(
    registry: Registry, stacks: Sequence[Stack], servers: Sequence[str]
) -> list[Running]:
    """Return what each server runs of the stacks; the servers are asked concurrently.

    They are Docker contexts; without any, the current one is asked. A single stack is shown, with
    its `main`, also beside a server that does not run it.
    """
    servers = servers or [_docker("context", "show").strip()]
    answers = run_concurrently(partial(_ask, server, stacks) for server in servers)
    images = {image for found, _ in answers for image in found}
    alone = stacks[0] if len(stacks) == 1 else None
    seen = [alone] if alone else list({image.stack for image in images})
    known = run_concurrently(partial(_known, registry, one, images) for one in seen)
    boards, lines = dict(zip(seen, known, strict=True)), list[Running]()
    for server, (found, unknown) in zip(servers, answers, strict=True):
        if not found:
            main = boards[alone][0] if alone else None
            lines.append(Running(server, alone, main, unknown=unknown))
        for image in found:
            main, releases = boards[image.stack]
            runs = releases.get(image.digest)
            lines.append(Running(server, image.stack, main, image.name, runs))
    return lines


def _known(
    registry: Registry, stack: Stack, images: set[Image]
) -> tuple[Target, dict[str | None, TagTarget]]:
    """Return what `main` points to, and each digest that runs of a stack, with its release."""
    sought = {one.digest for one in images if one.stack == stack and one.digest}
    try:
        board = read_status(registry, stack)
        found = registry.releases_of(stack.image, board.releases, sought)
    except RegistryFailed as error:
        return Unknown(str(error)), {digest: TagTarget(digest, None) for digest in sought}
    return board.targets["main"], {one: TagTarget(one, found.get(one)) for one in sought}


def _ask(server: str, stacks: Sequence[Stack]) -> tuple[list[Image], str]:
    """Return the images of stacks that a server runs, and why it could not be asked."""
    try:
        with say_if_slow(f"the server {server}"):
            return list(dict.fromkeys(_images(server, stacks))), ""
    except CannotTell as error:
        reason = f"{server} could not be asked: {error}"
        return [], f"{reason} Try: docker --context {server} version"


def _images(server: str, stacks: Sequence[Stack]) -> Iterator[Image]:
    if not (started := _docker("--context", server, "ps", "--quiet", "--no-trunc").split()):
        return
    containers = _inspect(server, "container", started)
    images = _inspect(server, "image", {one["Image"] for one in containers})
    pulled = {one["Id"]: one.get("RepoDigests") or [] for one in images}
    for one in containers:
        yield from _image([one["Config"]["Image"], *pulled.get(one["Image"], [])], stacks)


def _image(names: Sequence[str], stacks: Sequence[Stack]) -> Iterator[Image]:
    """Yield the image with these names, if one of them is a stack's, in whatever registry."""
    known = {stack.name: stack for stack in stacks}
    own = [found for name in names if (found := _NAME.fullmatch(name)) and found[2] in known]
    digests = (one[3] for one in own if one[3] and one[1] == f"{REGISTRY}/{ORGANISATION}/")
    if own:
        yield Image(known[own[0][2]], own[0][0], next(digests, None))


def _inspect(server: str, kind: str, names: Iterable[str]) -> list[dict[str, Any]]:
    words = ("--context", server, kind, "inspect", "--format", "{{json .}}")
    return [json.loads(line) for line in _docker(*words, *names).splitlines()]


def _docker(*words: str) -> str:
    """Return what a docker command prints; raise CannotTell, in its words, if it fails."""
    done = run_program(["docker", *words], min(_SECONDS, seconds()))
    if done.returncode and "No such image" not in done.stderr:
        said = done.stderr.rpartition("stderr=")[2]  # SSH's own, after Docker's about it
        raise EngineFailed(f"{' '.join(said.split()).rstrip('.')}.")
    return done.stdout
