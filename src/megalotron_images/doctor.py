"""Diagnosis of this machine's engine, login, token and network, with next steps."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from megalotron_images.convention import REGISTRY, Stack
from megalotron_images.engine import Engine
from megalotron_images.errors import ImageError, RegistryFailed
from megalotron_images.plan import Finding, Verdict
from megalotron_images.registry.client import Registry, connect
from megalotron_images.registry.credentials import TOKEN, USERNAME


def examine(stacks: Iterable[Stack]) -> Iterator[Finding]:
    """Yield the findings one by one; nothing in a registry is changed."""
    yield _finding("engine", "Docker {} answers", lambda: Engine().version())
    registry = connect()
    if registry.login is None:
        step = f"Run docker login {REGISTRY}, or set {USERNAME} and {TOKEN}."
        yield Finding("login", Verdict.NO, f"You are not logged in to {REGISTRY}. {step}")
    else:
        found = f"{registry.login.name}, from {registry.login.source}"
        yield Finding("login", Verdict.YES, found)
    for stack in stacks:
        reads = _read(registry, stack.image)
        yield reads
        if reads.about == "network":
            return
        if registry.login and reads.verdict is Verdict.YES:
            text, check = f"this login may push to {stack.image}", registry.check_push
            yield _finding("write", text, partial(check, stack.image))


def _read(registry: Registry, repository: str) -> Finding:
    try:
        registry.tags(repository)
    except RegistryFailed as error:
        return Finding("read" if error.message else "network", Verdict.NO, str(error))
    return Finding("read", Verdict.YES, f"{REGISTRY} answers, and {repository} can be read")


def _finding(about: str, text: str, call: Callable[[], object]) -> Finding:
    """Return whether a call succeeds; its result is put into the text."""
    try:
        return Finding(about, Verdict.YES, text.format(call()))
    except ImageError as error:
        return Finding(about, Verdict.NO, str(error))
