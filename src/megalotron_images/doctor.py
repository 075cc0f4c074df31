"""Diagnosis of this machine's engine, login, token and network, with next steps."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from megalotron_images.convention import REGISTRY, Stack
from megalotron_images.engine import Engine
from megalotron_images.errors import CannotTell, ImageError, RegistryFailed
from megalotron_images.plan import Finding, Verdict
from megalotron_images.registry.client import connect
from megalotron_images.registry.credentials import TOKEN, USERNAME


def examine(stacks: Iterable[Stack]) -> Iterator[Finding]:
    """Yield the findings one by one; nothing in a registry is changed."""
    yield _finding("engine", "Docker {} answers", lambda: Engine().version())
    try:
        registry = connect()
    except CannotTell as error:
        yield Finding("login", Verdict.NO, str(error))
        return
    if registry.login is None:
        step = f"Run docker login {REGISTRY}, or set {USERNAME} and {TOKEN}."
        yield Finding("login", Verdict.NO, f"You are not logged in to {REGISTRY}. {step}")
    else:
        login = registry.login
        yield Finding("login", Verdict.YES, f"{login.name}, from {login.source}")
    for stack in stacks:
        text = f"{REGISTRY} answers, and {stack.image} can be read"
        yield (reads := _finding("read", text, partial(registry.tags, stack.image)))
        if reads.about == "network":
            return
        if registry.login and reads.verdict is Verdict.YES:
            text = f"this login may push to {stack.image}"
            yield _finding("write", text, partial(registry.check_push, stack.image))


def _finding(about: str, text: str, call: Callable[[], object]) -> Finding:
    """Return whether a call succeeds; its result is put into the text.

    Where the registry itself said nothing, the finding is about the network.
    """
    try:
        return Finding(about, Verdict.YES, text.format(call()))
    except ImageError as error:
        unreached = isinstance(error, RegistryFailed) and not error.message
        return Finding("network" if unreached else about, Verdict.NO, str(error))
