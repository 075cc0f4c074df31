"""The processes of a kernel's shell: which there are, and how they are ended or interrupted."""

import contextlib
import os
import signal
from collections.abc import Callable, Collection, Iterator
from typing import Any

import psutil

DRIVER = "driver.bash"
SECONDS_TO_END = 2.0


def adopted(shell: int) -> list[psutil.Process]:
    """Return this kernel's processes except its shell and its helpers, orphans included."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(ProcessLookupError):
            # helpers (reaper.py) are in the kernel's own session
            if process.pid != shell and os.getsid(process.pid) != os.getsid(0):
                found.append(process)
    return found


def in_session(leader: int) -> list[psutil.Process]:
    """Return a session's processes, and what they have started in sessions of their own."""
    found = dict[psutil.Process, None]()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getsid(process.pid) == leader:
                found |= dict.fromkeys([process, *process.children(recursive=True)])
    return list(found)


def command_of(process: psutil.Process) -> str:
    """Return a process's command line, or nothing if it has ended."""
    with contextlib.suppress(psutil.Error):
        if process.status() != psutil.STATUS_ZOMBIE:
            return " ".join(process.cmdline()) or str(process.name())
    return ""


def end(processes: Collection[psutil.Process], sent: signal.Signals = signal.SIGKILL) -> None:
    """Send processes a signal, and wait a moment for their end."""
    for process in processes:
        with contextlib.suppress(psutil.Error):  # such as another user's, by sudo
            process.send_signal(sent)
    psutil.wait_procs(processes, timeout=SECONDS_TO_END)


@contextlib.contextmanager
def on_signal(number: signal.Signals, act: Callable[..., Any]) -> Iterator[None]:
    """Call `act` in place of what this process did until now; only in its main thread."""
    before = signal.signal(number, act)
    try:
        yield
    finally:
        signal.signal(number, before)
