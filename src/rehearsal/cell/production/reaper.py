"""A process that outlives a lost production kernel: it ends what the kernel's cell had started.

A closed terminal, a dropped connection and a killed JupyterLab end the kernel, but not the shell,
which leads a session of its own. This process reads from a pipe which shell there is and what its
cell writes. When the pipe ends without a last word, it ends the shell's processes and records what
is known of each reference.
"""

import contextlib
import json
import os
import select
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from rehearsal.cell import processes
from rehearsal.cell.production.record import Record

_SECONDS_TO_ASK = 90
_WHY = (
    "the terminal or JupyterLab of this run went away; what the cell had started was ended, and"
    " this is what its references point to now"
)


class Lifeline:
    """The kernel's end of the pipe: it reports to the process that outlives the kernel."""

    def __init__(self, record: Path, digest: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(record), digest, str(os.getppid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,  # in the kernel's session, but not killed with its group
        )
        assert self._process.stdin
        self._words = self._process.stdin

    def report(self, shell: int, writes: Sequence[str]) -> None:
        """Report the process of the shell, and the references that its cell writes."""
        self._write({"shell": shell, "writes": list(writes)})

    def close(self) -> None:
        """Report that nothing is lost."""
        self._write({})
        with contextlib.suppress(BrokenPipeError):
            self._words.close()
        self._process.wait()

    def _write(self, word: Mapping[str, object]) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._words.write(json.dumps(word).encode() + b"\n")
            self._words.flush()


def main(record: str, digest: str, runner: str) -> None:
    """Read the kernel's messages until the pipe closes; clean up unless the last is a normal end.

    runner: the number of the process that has started the kernel.
    """
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    kernel = os.getppid()
    if last := _last_word(os.pidfd_open(int(runner))):
        if os.getppid() == kernel:  # it would go on for a moment, and have the last word
            os.kill(kernel, signal.SIGKILL)
        environment = _end_session(last["shell"])
        after = {one: _ask(digest, one, environment) for one in last["writes"]} if digest else {}
        Record(Path(record)).add("lost", why=_WHY, after=after)


def _last_word(runner: int) -> dict[str, Any]:
    """Return the last word of the kernel, once it or the process that runs it has ended."""
    said, kernel, ended = b"", sys.stdin.fileno(), False
    while not ended:
        ready = select.select([kernel, runner], [], [])[0]
        part = os.read(kernel, 65536) if kernel in ready else b""
        said += part
        ended = runner in ready or not part
    words = said.splitlines()
    return dict(json.loads(words[-1])) if words else {}


def _end_session(leader: int) -> dict[str, str]:
    """End a session's processes; return the environment of one, which may hold a login."""
    found, environment = processes.in_session(leader), dict(os.environ)
    for process in found:
        with contextlib.suppress(psutil.Error):  # such as another user's, by sudo
            environment = process.environ() or environment
    # at once what would start the next command
    processes.end([one for one in found if processes.DRIVER in processes.command_of(one)])
    processes.end(found, signal.SIGTERM)
    processes.end({*found, *processes.in_session(leader)})
    return environment


def _ask(digest: str, reference: str, environment: Mapping[str, str]) -> dict[str, Any]:
    try:
        asked = [*shlex.split(digest), reference]
        done = subprocess.run(
            asked, env=environment, capture_output=True, timeout=_SECONDS_TO_ASK, check=False
        )
        return dict(json.loads(done.stdout))
    except (OSError, TypeError, ValueError, subprocess.TimeoutExpired) as error:
        return {"unknown": str(error)}


if __name__ == "__main__":
    main(*sys.argv[1:])
