"""Waits: none without a limit, and none in silence."""

import contextlib
import math
import os
import sys
import threading
from collections.abc import Iterator

from megalotron_images.errors import CannotTell

SECONDS = 60.0
"""Time limit of one question, with its tokens, retries and waits; MEGALOTRON_IMAGES_SECONDS."""
_SECONDS_IN_SILENCE = 5.0


def seconds() -> float:
    """Return the time limit of one question; raise CannotTell if the variable is no number."""
    said = os.environ.get("MEGALOTRON_IMAGES_SECONDS", str(SECONDS))
    with contextlib.suppress(ValueError):
        if 0 < (limit := float(said)) < math.inf:
            return limit
    raise CannotTell(f"MEGALOTRON_IMAGES_SECONDS is {said!r}: give it a number of seconds.")


@contextlib.contextmanager
def announced(what: str) -> Iterator[None]:
    """Say once on stderr what is waited for, if it takes longer than a person waits in silence."""

    def say() -> None:
        print(f"waiting for {what}", file=sys.stderr, flush=True)

    timer = threading.Timer(_SECONDS_IN_SILENCE, say)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
