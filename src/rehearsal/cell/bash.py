"""The one strict bash of a kernel: what a cell exports, the next one has, as in a terminal.

A cell that fails ends the shell, and no later cell runs. Processes that a cell leaves behind are
killed, and count as a failure.
"""

import contextlib
import os
import re
import secrets
import select
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path

import psutil

from rehearsal.cell import processes
from rehearsal.cell.placeholders import Filled
from rehearsal.cell.questions import Answer, Questions
from rehearsal.errors import CannotCheck, Wrong
from rehearsal.room import linux

_SECONDS_TO_NOTE = 0.5
_NO_COMMAND = 127
_STATUS_OF_INTERRUPT = 130
_PART = "a part of the cell"
_HINTS = {"127": " (no such command, or what it needs is missing)"}
_HINTS["141"] = " (the command after a | ended before it had read everything)"
Write = Callable[[bytes], None]


class NotRun(Wrong):
    """A cell was not run, as an earlier one has broken the shell."""


class Ended(Wrong):
    """A cell ended otherwise than declared; `code` is the shell's exit status."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.code = status


class Interrupted(Ended):
    """Somebody stopped a cell while it ran."""


class Shell:
    """A running bash, until it is closed, interrupted, or a cell fails.

    Attributes:
        folder: the statements of its cells, and the driver's report.
        broken: why no cell runs any more, or None.
        process: the number of its process, which leads a session of its own.
        _ran: the cells so far.
        _state: what the first cell must find; see `state`.
        _patience: seconds of silence after which a question that is expected will not come. None
            where a cell may end without having asked it, as what it does was done before.
    """

    def __init__(
        self, folder: Path | None = None, state: str = "", patience: float | None = None
    ) -> None:
        linux.adopt_orphans()
        try:
            self.folder = folder or Path(tempfile.mkdtemp(prefix="rehearsal-"))
            self.folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            full = f"No file can be made for the shell ({error.strerror})"
            raise CannotCheck(f"{full}: free space, or set REHEARSAL_ROOM_SIZE.") from error
        self.broken: str | None = None
        self._ran: list[Filled] = []
        self._state, self._patience = state, patience
        self._questions = Questions()
        self._report = self.folder / "report"
        self._answers, answers = os.pipe()
        driver = resources.files("rehearsal.cell") / processes.DRIVER
        words = map(str, (driver, answers, self._report, self._questions.terminal))
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc", *words],
            stdin=subprocess.PIPE,  # a terminal here would be the one of bash's session
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(answers, self._questions.terminal),
            start_new_session=True,
        )
        os.close(answers)
        self.process = self._bash.pid
        assert self._bash.stdin
        assert self._bash.stdout
        self._requests, self._output = self._bash.stdin, self._bash.stdout
        os.set_blocking(self._output.fileno(), False)

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
            self._ran.append(filled)
            nonce = self._send(values, fails is not None)
            status = self._answer(nonce, write)
            self._judge(status, fails, write)
            if self._patience is not None:  # a person is never asked again for what is done already
                self._questions.check()
        except KeyboardInterrupt:
            self.fail("the shell was interrupted.")
            why = "Interrupted: what the cell had started was ended."
            raise Interrupted(why, _STATUS_OF_INTERRUPT) from None
        except Wrong as error:
            self.fail(f"an earlier cell failed ({error}).")
            raise

    def check(self) -> None:
        """Raise NotRun if an earlier cell has broken the shell."""
        if self.broken:
            raise NotRun(f"Not run: {self.broken} Restart the kernel and run all cells again.")

    def ask(self, script: str, write: Write | None = None) -> str:
        """Return what a script prints, if it does not go to `write`; raise Wrong where it fails."""
        said = bytearray()
        self.run(Filled(script, ((0, script),), {}), write or said.extend, values={})
        return said.decode(errors="surrogateescape")

    def state(self) -> str:
        """Return what makes another shell like this one, as the driver prints it."""
        return self.ask("rehearsal_state")

    def fail(self, why: str) -> None:
        """End the shell; later cells print `why`."""
        self.broken = why  # first: a second Ctrl-C may come while it is ended
        self._kill(signal.SIGTERM)

    def close(self) -> None:
        """End the shell and everything it started."""
        self._kill(signal.SIGKILL)
        self._questions.close()
        self._output.close()
        with contextlib.suppress(OSError):  # a request that nobody has read
            self._requests.close()
        os.close(self._answers)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _judge(self, status: int | None, fails: int | None, write: Write) -> None:
        """Raise Ended unless a cell has ended as declared; `status` is None if the shell ended.

        What the driver reports stands at its top: `last` comes only if the last statement is run.
        """
        if fails != _NO_COMMAND and "missing" in self._read_report():
            raise self._ended("missing", _NO_COMMAND)
        if status is None:
            raise self._ended("failed", self._bash.wait())
        self._end_leftovers()
        self._pass_on(write)  # what it printed at its end
        reported = self._read_report()
        early = fails is not None and "last" not in reported
        if self._bash.poll() is not None or ("failed" in reported and not early):
            raise self._ended("failed", 1)
        if early:
            why = "it failed before its last statement, the one that is declared to fail: "
            raise self._ended("failed", status, why)
        if fails not in (None, status):
            why = f"it ended with status {status}, and is declared to fail with {fails}"
            raise Ended(why, status)

    def _send(self, values: Mapping[str, str], fails: bool) -> str:
        """Ask the driver to run the last cell; return the nonce with which it will answer.

        Each statement is a file, on its line of the cell.
        """
        cell, statements = self.folder / f"cell-{len(self._ran)}", self._ran[-1].statements
        for n, (lines, statement) in enumerate(statements, 1):
            Path(f"{cell}.{n}").write_text("\n" * lines + f"{statement}\n")
        self._report.write_text("")
        nonce = secrets.token_hex(16)
        variables = {
            "rehearsal_nonce": nonce,
            "rehearsal_cell": str(cell),
            "rehearsal_count": str(len(statements)),
            "rehearsal_fails": "yes" if fails else "no",
            "rehearsal_asked": "yes" if self._questions.expected else "no",
            **values,
        }
        assignments = "".join(f"\n{name}={shlex.quote(said)}" for name, said in variables.items())
        request = f"{self._state}{assignments}\0"
        self._state = ""
        with contextlib.suppress(BrokenPipeError):  # then the answer is that the shell has ended
            self._requests.write(request.encode(errors="surrogateescape"))
            self._requests.flush()
        return nonce

    def _read_report(self) -> dict[str, list[str]]:
        """Return what the driver has noted of the last cell: of each kind the last note."""
        lines = self._report.read_text(errors="replace").splitlines()
        return {kind: rest for kind, *rest in (line.split("\t", 3) for line in lines)}

    def _ended(self, kind: str, status: int, said: str = "") -> Ended:
        """Return the failure that the driver has noted: its line, its status and its command."""
        reported, cell = self._read_report(), self._ran[-1]
        running = int(reported["at"][0]) - 1 if "at" in reported else 0
        line = _first_line(*cell.statements[running])
        if kind not in reported:
            shown = status if status >= 0 else 128 - status
            how = f"the shell ended with status {shown} before the cell did"
            return Ended(f"{said}line {line}: {how}: {_line(cell.source, line)}", status)
        noted, number, source = reported[kind]
        # else it is a list, whose parts bash does not report, or a file of the reader's
        if place := re.fullmatch(rf"{re.escape(str(self.folder))}/cell-(\d+)\.\d+", source):
            cell = self._ran[int(place[1]) - 1]
            # of a redirection bash gives the driver's line
            line = int(number) if int(number) <= cell.source.count("\n") + 1 else line
        before = "" if cell is self._ran[-1] else " of an earlier cell"
        words = f"{_line(cell.source, line)}{_HINTS.get(noted, '')}"
        return Ended(f"{said}line {line}{before}: status {noted}: {words}", status)

    def _answer(self, nonce: str, write: Write) -> int | None:
        """Pass output on until the cell has ended; return its status, None if the shell ended."""
        answer = b""
        while not answer.endswith(b"\n"):
            patience = self._patience if self._questions.expected else None
            ready = select.select([self._output.fileno(), self._answers], [], [], patience)[0]
            if not ready:
                self._questions.check(f"for {patience:g} s it has printed nothing, and ")
            self._pass_on(write)
            if self._answers in ready:
                part = os.read(self._answers, 4096)
                if not part:
                    return None
                answer += part
        said, _, status = answer.decode().strip().partition(" ")
        return int(status) if said == nonce else None

    def _pass_on(self, write: Write) -> None:
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._output.fileno(), 65536):
                write(data)
                if typed := self._questions.answer(data):
                    write(typed)

    def _end_leftovers(self) -> None:
        """Kill what the cell left running; raise Wrong if there was anything."""
        psutil.wait_procs(processes.adopted(self.process), timeout=_SECONDS_TO_NOTE)
        left = processes.adopted(self.process)
        commands = filter(None, map(processes.command_of, left))
        running = [_PART if processes.DRIVER in one else one for one in commands]
        processes.end(left)
        if running:
            raise Wrong(f"it left a program running ({'; '.join(running)}): let it end in the cell")

    def _kill(self, first: signal.Signals) -> None:
        """Kill bash's process group and all that left it: politely first, then for certain."""
        if self._bash.returncode is None:  # once it is reaped, its number may be another's
            for sent in (first, signal.SIGKILL):
                # a program that runs as another user, by sudo, ends by the terminal's own signal
                with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                    os.killpg(self.process, sent)
                    self._bash.wait(processes.SECONDS_TO_END)
        processes.end(processes.adopted(self.process))
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._bash.wait(processes.SECONDS_TO_END)


def _first_line(before: int, statement: str) -> int:
    """Return the line of a statement's first word; `before` are the lines before it."""
    skipped = re.match(r"(\s|#[^\n]*)*", statement)
    return before + 1 + (skipped[0].count("\n") if skipped else 0)


def _line(source: str, number: int) -> str:
    lines = source.splitlines()
    return lines[number - 1].strip() if 0 < number <= len(lines) else ""
