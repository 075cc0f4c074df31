"""The one strict bash of a kernel: what a cell exports, the next one has, as in a terminal.

A cell that fails ends the shell, and no later cell runs. Processes that a cell leaves behind are
killed, and count as a failure.
"""

import contextlib
import os
import re
import secrets
import selectors
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path

import psutil

from rehearsal.cell.placeholders import Filled
from rehearsal.cell.questions import Answer, Questions
from rehearsal.errors import Wrong
from rehearsal.room import linux

_SECONDS_TO_END = 2.0
_SECONDS_TO_NOTE = 0.5
_NO_COMMAND = 127
_PART = "a part of the cell"
_HINTS = {
    "127": " (no such command, or what it needs is missing)",
    "141": " (the command after a | ended before it had read everything)",
}
_JOBS = {
    "job": "a job that nobody waited for has failed: wait for it in the cell (wait $!)",
    "running": "it left a job running: wait for it in the cell",
}
Write = Callable[[bytes], None]


class NotRun(Wrong):
    """A cell was not run, as an earlier one has broken the shell."""


class Interrupted(Wrong):
    """Somebody stopped a cell while it ran."""


class Ended(Wrong):
    """A cell ended otherwise than declared; `code` is the shell's exit status."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.code = status


class Shell:
    """A running bash, until it is closed, interrupted, or a cell fails; then `broken` says why."""

    def __init__(self, folder: Path | None = None, state: str = "") -> None:
        linux.adopt_orphans()
        self.folder = folder or Path(tempfile.mkdtemp(prefix="rehearsal-"))
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self.broken: str | None = None
        self._ran: list[Filled] = []
        self._state = state
        self._questions = Questions()
        self._report, self._missing, self._last, self._at = (
            self.folder / f"report{end}" for end in ("", ".missing", ".last", ".at")
        )
        self._at.touch()
        requests, self._requests = os.pipe()
        self._answers, answers = os.pipe()
        self._output, output = os.pipe()
        driver = resources.files("rehearsal.cell") / "driver.bash"
        self._bash = subprocess.Popen(
            [
                "bash",
                "--noprofile",
                "--norc",
                str(driver),
                str(requests),
                str(answers),
                str(self._report),
                str(self._questions.terminal),
            ],
            stdin=subprocess.DEVNULL,  # a terminal here would be the one of bash's session
            stdout=output,
            stderr=output,
            pass_fds=(requests, answers, self._questions.terminal),
            start_new_session=True,
        )
        for theirs in (requests, answers, output):
            os.close(theirs)
        os.set_blocking(self._output, False)

    def run(
        self,
        filled: Filled,
        write: Write,
        *,
        values: Mapping[str, str],
        fails: int | None = None,
        answers: Sequence[Answer] = (),
    ) -> None:
        """Run one cell, passing its output to `write` as it comes.

        values: variables to set first. fails: the exit status that the cell must end with. answers:
        what it asks, in order, and what is typed. Raises Wrong unless it ends as declared; then no
        later cell runs.
        """
        self.check()
        try:
            self._questions.expect(answers)
            self._run(filled, write, values, fails)
            self._questions.check()
        except KeyboardInterrupt:
            self.fail("the shell was interrupted.")
            raise Interrupted("Interrupted: what the cell had started was ended.") from None
        except Wrong as error:
            self.fail(f"an earlier cell failed ({error}).")
            raise

    def check(self) -> None:
        """Raise NotRun if an earlier cell has broken the shell."""
        if self.broken:
            raise NotRun(f"Not run: {self.broken} Restart the kernel and run all cells again.")

    def state(self) -> str:
        """Return what makes another shell like this one, as the driver says it."""
        said, script = bytearray(), 'rehearsal_state "$@"'
        self.run(Filled(script, ((0, script),), {}), said.extend, values={})
        drop = "for rehearsal_name in $(compgen -e); do unset -v $rehearsal_name; done\n"
        return drop + said.decode(errors="surrogateescape")

    @property
    def process(self) -> int:
        """The number of the shell's process, which leads a session of its own."""
        return self._bash.pid

    def fail(self, why: str) -> None:
        """End the shell; `why` is what later cells say."""
        self.broken = why  # first: a second Ctrl-C may come while it is ended
        self._kill(signal.SIGTERM)

    def close(self) -> None:
        """End the shell and everything it started."""
        self._kill(signal.SIGKILL)
        self._questions.close()
        for number in (self._requests, self._answers, self._output):
            with contextlib.suppress(OSError):
                os.close(number)

    def _run(
        self, filled: Filled, write: Write, values: Mapping[str, str], fails: int | None
    ) -> None:
        cell = self._write(filled)
        nonce = secrets.token_hex(16)
        assignments = " ".join(f"{name}={shlex.quote(value)}" for name, value in values.items())
        request = (
            nonce,
            f"{self._state}\n{assignments}",
            str(cell),
            str(len(filled.statements)),
            "no" if fails is None else "yes",
            "yes" if self._questions.expected else "no",
            "",
        )
        self._state = ""
        with contextlib.suppress(BrokenPipeError):  # then the answer is that the shell has ended
            _write_all(self._requests, "\0".join(request).encode(errors="surrogateescape"))
        status = self._answer(nonce, write)
        ended = self._bash.wait() if status is None else 0
        if fails != _NO_COMMAND and self._missing.exists():
            raise Ended(self._failure(self._missing, _NO_COMMAND), _NO_COMMAND)
        if status is None:
            raise Ended(self._failure(self._report, ended), ended)
        self._end_leftovers()
        late = self._bash.poll() is not None  # by a process substitution
        if late or (self._report.exists() and (fails is None or self._last.exists())):
            raise Ended(self._failure(self._report, 1), 1)
        if fails is not None and not self._last.exists():
            why = self._failure(self._report, status)
            raise Ended(
                f"it failed before its last statement, the one that is declared to fail: {why}",
                status,
            )
        if fails is not None and status != fails:
            raise Ended(
                f"it ended with status {status}, and is declared to fail with {fails}", status
            )

    def _write(self, filled: Filled) -> Path:
        """Write each statement of a cell to a file, on its line of the cell."""
        self._ran.append(filled)
        cell = self.folder / f"cell-{len(self._ran)}"
        for n, (lines, statement) in enumerate(filled.statements, 1):
            Path(f"{cell}.{n}").write_text("\n" * lines + f"{statement}\n")
        for stale in (self._report, self._missing, self._last):
            stale.unlink(missing_ok=True)
        return cell

    def _failure(self, report: Path, status: int) -> str:
        """Return a failure as text: its line, or an earlier cell's, its status and command."""
        lines = report.read_text().splitlines() if report.exists() else []
        if not lines:
            return self._ended_early(status)
        said, number, source = lines[-1].split("\t")
        if source in _JOBS:
            return _JOBS[source]
        place = re.fullmatch(rf"{re.escape(str(self.folder))}/cell-(\d+)\.\d+", source)
        if place is None:  # a list, whose parts bash does not report, or a file of the reader's
            cell, line = self._ran[-1], self._statement_line()
        else:
            cell, line = self._ran[int(place[1]) - 1], int(number)
            if line > cell.source.count("\n") + 1:  # of a redirection bash gives the driver's line
                line = self._statement_line()
        before = "" if cell is self._ran[-1] else " of an earlier cell"
        return (
            f"line {line}{before}: status {said}: {_line(cell.source, line)}{_HINTS.get(said, '')}"
        )

    def _ended_early(self, status: int) -> str:
        line = self._statement_line()
        status = status if status >= 0 else 128 - status
        return (
            f"line {line}: the shell ended with status {status} before the cell did:"
            f" {_line(self._ran[-1].source, line)}"
        )

    def _statement_line(self) -> int:
        """Return the first line of the statement that ran last."""
        n = int((self._at.read_text().splitlines() or ["1"])[-1])
        before, statement = self._ran[-1].statements[n - 1]
        skipped = re.match(r"(\s|#[^\n]*)*", statement)
        return before + 1 + (skipped[0].count("\n") if skipped else 0)

    def _answer(self, nonce: str, write: Write) -> int | None:
        """Pass output on until the cell has ended; return its status, None if the shell ended."""
        answer = b""
        with selectors.DefaultSelector() as ready:
            ready.register(self._output, selectors.EVENT_READ)
            ready.register(self._answers, selectors.EVENT_READ)
            while not answer.endswith(b"\n"):
                for key, _ in ready.select():
                    if key.fd == self._output:
                        self._pass_on(write)
                    elif part := os.read(self._answers, 4096):
                        answer += part
                    else:
                        self._pass_on(write)
                        return None
        self._pass_on(write)
        said, _, status = answer.decode().strip().partition(" ")
        return int(status) if said == nonce else None

    def _pass_on(self, write: Write) -> None:
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._output, 65536):
                write(data)
                if typed := self._questions.answer(data):
                    write(typed)

    def _end_leftovers(self) -> None:
        """Kill what the cell left running; raise Wrong if there was anything."""
        left = self._descendants()
        if parts := [process for process in left if _command(process) == _PART]:
            psutil.wait_procs(parts, timeout=_SECONDS_TO_NOTE)
            left = self._descendants()
        running = [words for process in left if (words := _command(process))]
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=_SECONDS_TO_END)
        if running:
            raise Wrong(f"it left a job running ({'; '.join(running)}): wait for it in the cell")

    def _descendants(self) -> list[psutil.Process]:
        """Return the shell's processes except bash: its children, and orphans that we adopted."""
        found = []
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(ProcessLookupError):
                if process.pid != self._bash.pid and os.getsid(process.pid) != os.getsid(0):
                    found.append(process)
        return found

    def _kill(self, first: signal.Signals) -> None:
        """Kill bash's process group and all that left it: politely first, then for certain."""
        if self._bash.returncode is None:  # once it is reaped, its number may be another's
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._bash.pid, first)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._bash.wait(_SECONDS_TO_END)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._bash.pid, signal.SIGKILL)
        for process in self._descendants():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._bash.wait()


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _line(source: str, number: int) -> str:
    lines = source.splitlines()
    return lines[number - 1].strip() if 0 < number <= len(lines) else ""


def _command(process: psutil.Process) -> str:
    """Return a process's command line, or nothing if it has ended."""
    with contextlib.suppress(psutil.NoSuchProcess):
        if process.status() != psutil.STATUS_ZOMBIE:
            said = " ".join(process.cmdline()) or process.name()
            return _PART if "driver.bash" in said else said
    return ""
