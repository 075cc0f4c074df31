"""Which release each server runs, beside `main`.

The docker command is asked, not its SDK: it knows contexts, and reaches engines over SSH.
"""

import json
import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from megalotron_images.concurrency import run_concurrently, say_if_slow, seconds
from megalotron_images.convention import DIGEST, ORGANISATION, REGISTRY, Stack
from megalotron_images.errors import EngineFailed, RegistryFailed
from megalotron_images.registry.client import Registry, Unknown
from megalotron_images.status import StackStatus, TagTarget, read_status

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
        image: None if it runs no image of the stack, or could not be asked.
        board: the stack's line on the board; None if the server runs none of several stacks.
        runs: the image's digest, with its release.
        unknown: why the server could not be asked.
    """

    server: str
    image: Image | None = None
    board: StackStatus | None = None
    runs: TagTarget | None = None
    unknown: str = ""

    @property
    def row(self) -> tuple[str, str, str, str]:
        """Server, stack, what it runs, and what `main` points to."""
        stack, _, main, _ = self.board.row if self.board else ("-",) * 4
        runs = "unknown" if self.unknown else "nothing"
        if self.runs:
            runs = str(self.runs) + ("" if self.runs.release else " (no release found)")
        elif self.image:
            runs = f"{self.image.name} (no registry digest)"
        return self.server, stack, runs, main

    @property
    def data(self) -> dict[str, object]:
        """The same for programs."""
        board = self.board.data if self.board else {"stack": None, "main": None}
        image, release = self.image, self.runs and self.runs.release
        runs = {"image": image and image.name, "digest": image and image.digest}
        runs |= {"release": str(release) if release else None, "unknown": self.unknown or None}
        return {"server": self.server, "stack": board["stack"], **runs, "main": board["main"]}

    @property
    def is_main(self) -> bool:
        """Whether the server runs what `main` points to."""
        main = self.board.main if self.board else None
        return bool(self.runs and isinstance(main, TagTarget) and main.digest == self.runs.digest)

    @property
    def unknowns(self) -> list[str]:
        """Why the server, and what `main` points to, could not be asked."""
        main = self.board.main if self.board else None
        return [*filter(None, [self.unknown, main.reason if isinstance(main, Unknown) else ""])]


def current_context() -> str:
    """Return the name of the Docker context in use; raise EngineFailed without docker."""
    return _docker("context", "show").strip()


def read_running(
    registry: Registry, stacks: Sequence[Stack], servers: Sequence[str]
) -> list[Running]:
    """Return what each server runs of the stacks; the servers are asked concurrently.

    A single stack is shown, with its `main`, also beside a server that does not run it.
    """
    answers = run_concurrently(partial(_ask, server, stacks) for server in servers)
    images = {image for found, _ in answers for image in found}
    seen = stacks if len(stacks) == 1 else {image.stack for image in images}
    boards = {
        one.stack: one for one in run_concurrently(partial(_board, registry, one) for one in seen)
    }
    releases = {one.stack: _releases(registry, one, images) for one in boards.values()}
    lines, alone = list[Running](), boards.get(stacks[0]) if len(stacks) == 1 else None
    for server, (found, unknown) in zip(servers, answers, strict=True):
        if not found:
            lines.append(Running(server, board=alone, unknown=unknown))
        for image in found:
            runs = releases[image.stack].get(image.digest)
            lines.append(Running(server, image, boards[image.stack], runs))
    return lines


def _board(registry: Registry, stack: Stack) -> StackStatus:
    try:
        return read_status(registry, stack)
    except RegistryFailed as error:
        return StackStatus(stack, (), None, Unknown(str(error)), None)


def _releases(
    registry: Registry, board: StackStatus, images: set[Image]
) -> dict[str | None, TagTarget]:
    """Return each digest that runs of a stack, with its release."""
    sought = {one.digest for one in images if one.stack == board.stack and one.digest}
    found = registry.releases_of(board.stack.image, board.releases, sought)
    return {digest: TagTarget(digest, found.get(digest)) for digest in sought}


def _ask(server: str, stacks: Sequence[Stack]) -> tuple[list[Image], str]:
    """Return the images of stacks that a server runs, and why it could not be asked."""
    try:
        with say_if_slow(f"the server {server}"):
            return list(dict.fromkeys(_images(server, stacks))), ""
    except EngineFailed as error:
        reason = f"{server} could not be asked: {error}."
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
    """Return what a docker command prints; raise EngineFailed, in its words, if it fails.

    In a session of its own, SSH cannot ask on the terminal.
    """
    limit = min(_SECONDS, seconds())
    try:
        done = subprocess.run(
            ["docker", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=limit,
            start_new_session=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise EngineFailed(f"no answer within {limit:g} seconds") from None
    except OSError as error:
        raise EngineFailed(f"The docker command cannot be run ({error.strerror})") from None
    if done.returncode and "No such image" not in done.stderr:
        said = done.stderr.rpartition("stderr=")[2]  # SSH's own, after Docker's about it
        raise EngineFailed(" ".join(said.split()).rstrip("."))
    return done.stdout
