"""Signals that a process handles otherwise for a while."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def on_signal(number: signal.Signals, act: Callable[..., Any]) -> Iterator[None]:
    """Call `act` in place of what the process did until now; only in its main thread."""
    before = signal.signal(number, act)
    try:
        yield
    finally:
        signal.signal(number, before)
