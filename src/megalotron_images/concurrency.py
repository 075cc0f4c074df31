"""Waits: none without a limit, none in silence, and as few as possible one after the other."""

import contextlib
import functools
import itertools
import math
import os
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from subprocess import CompletedProcess
from typing import TypeVar

from megalotron_images.errors import CannotTell
from megalotron_images.terminal import step

Result = TypeVar("Result")
SECONDS = 60.0
"""Time limit of one request, with its tokens, retries and waits; MEGALOTRON_IMAGES_SECONDS."""
_SECONDS_IN_SILENCE = 5.0
_AT_ONCE = 8


def seconds() -> float:
    """Return the time limit of one request; raise CannotTell if the variable is no number."""
    said = os.environ.get("MEGALOTRON_IMAGES_SECONDS", str(SECONDS))
    with contextlib.suppress(ValueError):
        if 0 < (limit := float(said)) < math.inf:
            return limit
    raise CannotTell(f"MEGALOTRON_IMAGES_SECONDS is {said!r}: set it to a number of seconds.")


@functools.cache  # once
def _say(what: str) -> None:
    step(f"waiting for {what}")


@contextlib.contextmanager
def say_if_slow(what: str) -> Iterator[None]:
    """Say once on stderr what is waited for, if it takes longer than a person waits in silence."""
    timer = threading.Timer(_SECONDS_IN_SILENCE, _say, [what])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def start_in_thread(call: Callable[[], Result]) -> Callable[..., Result]:
    """Start a call in a thread; return a function that waits for its result, or raises its error.

    Its argument is a limit in seconds, after which it raises TimeoutError; without one, no limit.
    A daemon thread, not a pool: a person who stops the program must not wait for it.
    """
    future = Future[Result]()

    def work() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # it is raised again where it is waited for
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return future.result


def run_concurrently(calls: Iterable[Callable[[], Result]]) -> list[Result]:
    """Make calls, a few at once; return what each returns, or raise the first error."""
    left, results = iter(calls), list[Result]()
    while some := list(itertools.islice(left, _AT_ONCE)):
        results += [wait() for wait in [start_in_thread(call) for call in some]]
    return results


def run_program(words: Sequence[str], limit: float, stdin: str = "") -> CompletedProcess[str]:
    """Return a program's status and output. In a session of its own it cannot ask on the terminal.

    Raises:
        CannotTell: it cannot be run, or takes longer than `limit` seconds.
    """
    try:
        return subprocess.run(
            words,
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=limit,
            start_new_session=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CannotTell(f"{words[0]} does not answer within {limit:g} seconds.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CannotTell(f"{words[0]!r} cannot be run ({reason}).") from None
