"""Diagnosis of this machine's engine, login, token and network, with next steps."""

from collections.abc import Iterable, Iterator

from megalotron_images.concurrency import seconds
from megalotron_images.convention import REGISTRY, Stack
from megalotron_images.engine import Engine
from megalotron_images.errors import ImageError, RegistryFailed
from megalotron_images.plan import Finding, Verdict
from megalotron_images.registry.client import Registry
from megalotron_images.registry.credentials import TOKEN, USERNAME, find_credentials


def examine(stacks: Iterable[Stack]) -> Iterator[Finding]:
    """Yield the findings one by one; nothing in a registry is changed."""
    yield _engine()
    try:
        credentials = find_credentials(REGISTRY)
    except ImageError as error:
        yield Finding("login", Verdict.NO, str(error))
        return
    if credentials is None:
        step = f"Run docker login {REGISTRY}, or set {USERNAME} and {TOKEN}."
        yield Finding("login", Verdict.NO, f"You are not logged in to {REGISTRY}. {step}")
    else:
        yield Finding("login", Verdict.YES, f"{credentials.name}, from {credentials.source}")
    registry = Registry(REGISTRY, credentials, min(20.0, seconds()))
    for stack in stacks:
        reads = _read(registry, stack.image)
        yield reads
        if reads.about == "network":
            return
        if credentials is not None and reads.verdict is Verdict.YES:
            yield _write(registry, stack.image)


def _read(registry: Registry, repository: str) -> Finding:
    try:
        registry.tags(repository)
    except RegistryFailed as error:
        return Finding("read" if error.message else "network", Verdict.NO, str(error))
    return Finding("read", Verdict.YES, f"{REGISTRY} answers, and {repository} can be read")


def _engine() -> Finding:
    try:
        return Finding("engine", Verdict.YES, f"Docker {Engine().version()} answers")
    except ImageError as error:
        return Finding("engine", Verdict.NO, str(error))


def _write(registry: Registry, repository: str) -> Finding:
    try:
        registry.check_push(repository)
    except RegistryFailed as error:
        return Finding("write", Verdict.NO, str(error))
    return Finding("write", Verdict.YES, f"this login may push to {repository}")
