"""The highest layer: what failed for a moment is asked again, within one time limit."""

import time
from collections.abc import Callable

from megalotron_images.concurrency import say_if_slow
from megalotron_images.registry.https import READS, Transient
from megalotron_images.registry.response import Request, Response, origin

_TRIES = 6
_FIRST_WAIT = 0.1


def send_with_retries(send: Callable[[Request], Response], request: Request) -> Response:
    """Return the response, sent again where that is safe: failed reads, and refused writes.

    Any other write is sent once: a second one could replace what somebody else has put there since.

    Args:
        send: the layer below.

    Raises:
        RegistryFailed: there is no reliable response.
    """
    wait = _FIRST_WAIT
    with say_if_slow(origin(request.url)[0]):  # with its pauses and its token
        for tries_left in reversed(range(_TRIES)):
            try:
                return send(request)
            except Transient as error:
                # its parts alone: with its traceback it would keep connections open
                failure, asked, unsent = error.failure, error.wait, error.unsent
            wait = max(wait, asked)
            late = time.monotonic() + wait > request.end
            if late or not tries_left or not (unsent or request.method in READS):
                break
            time.sleep(wait)
            wait *= 2
    asks = f" It asks you to wait {asked:.0f} s." if late and asked else ""
    raise type(failure)(f"{failure}{asks}", failure.message)
