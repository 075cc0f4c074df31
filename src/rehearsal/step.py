"""Step through a runbook in a terminal: the prose, the command, then run, skip or stop."""

import os
import re
import signal
import sys
import tempfile
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jupyter_client.blocking.client import BlockingKernelClient
from rich.markdown import Markdown
from rich.syntax import Syntax

from rehearsal.cell.production import record
from rehearsal.cell.production.guard import NOTEBOOK, VERB, refuse_in_ci
from rehearsal.cell.syntax import Script, is_in, walk, words
from rehearsal.errors import CannotCheck
from rehearsal.output import printable
from rehearsal.runbook.kernel import private_manager
from rehearsal.runbook.model import Cell, Runbook
from rehearsal.session import Session, forget_what_was_typed
from rehearsal.settings import KERNEL, SECONDS_VARIABLE, seconds_to_start

_SETTERS = {"declaration_command", "unset_command"}
_CHANGES_STATE = {"cd", "pushd", "popd", "read", "umask"}
_UNDO = re.compile(r"^#+ Undo\b[^\n]*\n*", re.MULTILINE)
_SENTENCE = re.compile(r".+?[.:](?=\s|$)", re.DOTALL)
_WORDS = {"g": "go", "r": "run", "s": "skip", "v": "values", "q": "stop", "u": "undo"}
_WORDS |= {"?": "help", "h": "help", "l": "list"}
_WORDS |= {word: word for word in _WORDS.values()}
_FIRST = "[Enter] run, s skip, ? help, q stop: "
_IN_PRODUCTION = "[Enter] run, s skip, v change values, ? help, q stop: "
_FAILED = "It failed; its changes to the shell are undone. r run again, v change values, s skip, "
_FAILED += "? help, or q to stop: "
_REPLAYED = "Later steps need what this one sets. r run it again, s continue without it, q stop: "
_HELP = """\
  Enter  run the step (after a failure: r)
  s      skip it (a later step may need it; if so, start again)
  v      change a value that you typed (in production)
  l      list all steps, and which are done
  q      stop (in production you can continue later)"""
_STOPPED = {"stop": "Stopped", "failed": "Stopped at a failed step"}
_CALLOUT = re.compile(r"(?<=^> )\[!([A-Z]+)\]\n> ", re.MULTILINE)
_MOVED = "g continue anyway, [Enter] stop here: "
_UNDOES = "u undo, [Enter] stop here: "


def walk_through(runbook: Runbook, kernel: str, project: Path, before: Path | None = None) -> bool:
    """Run a runbook's cells one at a time; return whether all that ran ended well.

    kernel: `rehearsal` or `production`. project: the folder in which runs/ gets a record. before:
    the record of a run that was stopped, to go on with. A cell's own questions are asked here too.
    Raises CannotCheck without a terminal.
    """
    if not sys.stdin.isatty():
        raise CannotCheck("Each step waits for an answer, and there is no terminal: run it in one.")
    production = kernel != KERNEL
    if production:
        refuse_in_ci()
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    new = record.Record.new(project / "runs", runbook.name).file
    # of its own: a home that is full, or read-only, must not end the kernel
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as folder:
        own = {NOTEBOOK: runbook.name, record.VARIABLE: str(new), "JUPYTER_RUNTIME_DIR": folder}
        os.environ |= own
        manager = private_manager(kernel_name=kernel)
        manager.start_kernel(cwd=str(runbook.path.parent))
        client: BlockingKernelClient = manager.client()
        client.start_channels()
        try:
            client.wait_for_ready(seconds_to_start())
            way = _Walk(runbook.text.cells, Session(manager, client), new if production else None)
            if not production:
                known = runbook.placeholders.values()
                values = "".join(f"\n  <{one.name}> is {one.value}" for one in known)
                way.print(f"A rehearsal, in a sealed room: nothing leaves it.{values}")
            return way.through(before)
        except RuntimeError as error:
            why = f"{error}. It printed why above; on a slow machine, raise {SECONDS_VARIABLE}"
            raise CannotCheck(f"The kernel {kernel} does not start: {why}.") from error
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=isinstance(sys.exception(), SystemExit))


@dataclass(frozen=True)
class _Walk:
    """One person's way through one runbook.

    Attributes:
        cells: what is run.
        session: the person and the kernel.
        record: the run's record, in production: it decides how a step ended.
        states: what became of each cell, by its number.
    """

    cells: Sequence[Cell]
    session: Session
    record: Path | None
    states: dict[int, str] = field(default_factory=dict)

    def through(self, before: Path | None) -> bool:
        first = self._resume(before) if before else 0
        if first is None:
            return self._stop("Stopped", well=False)
        for number in range(first, len(self.cells)):
            step = self._step if self.cells[number].kind == "code" else self._read
            self.states[number] = outcome = step(number)
            if outcome in ("stop", "failed"):
                return self._stop(_STOPPED[outcome], outcome == "stop")
        self._tell_kernel("finish")
        done = Counter(self.states.values())
        self.print(f"Finished: {done['done']} steps done, {done['skipped']} skipped.")
        return True

    def _stop(self, how: str, well: bool) -> bool:
        gone = "" if self.record else " The room is deleted, with everything in it: start again."
        done = Counter(self.states.values())["done"]
        self.print(f"{how}: {done} of {len(self._code())} steps done.{gone}")
        self._tell_kernel("stop")
        return well

    def _resume(self, before: Path) -> int | None:
        """Return the first cell that a stopped run has not done; None if the person stops.

        The shell is made as it was then: what sets something in it runs again. What that run wrote
        is compared with the registry.
        """
        events = record.read_whole(before)
        first = resume_index(self.cells, record.commands_done(events))
        skipped = record.commands_skipped(events)
        self.print(f"Continuing {before.name}, started by {events[0].get('person')}:")
        if not self._tell_kernel("continue", str(before)):
            return None
        for number, cell in enumerate(self.cells[:first]):
            if cell.kind == "code":
                over = cell.script is not None and cell.script.strip() in skipped
                self.states[number] = "skipped" if over else "done"
                self.print(f"  {self.states[number]}: {cell.first_line}")
        goes_on = self._replay_state() and (
            self._tell_kernel("compare") or self._ask(_MOVED, enter="stop") == "go"
        )
        return first if goes_on else None

    def _replay_state(self) -> bool:
        """Run the cells again that set something and write nothing.

        Returns whether the person goes on.
        """
        for number in [n for n, state in self.states.items() if state == "done"]:
            shell = self.cells[number].shell
            if shell and not shell.writes and _sets_state(shell.parsed):
                self.print(f"  run again, for what it sets: {self.cells[number].first_line}")
                while not self._run(number):
                    choice = self._ask(_REPLAYED)
                    if choice == "stop":
                        return False
                    if choice == "skip":
                        self._tell_kernel("skip", self.cells[number].source)
                        break
        return True

    def _read(self, number: int) -> str:
        """Show a text; return stop if it is an Undo and the person does not want that."""
        source = self.cells[number].source
        self.session.console.print(Markdown(_CALLOUT.sub(r"**\1:** ", printable(source))), "")
        if self.record and (heading := _UNDO.search(source)):
            sentences = _SENTENCE.findall(source[heading.end() :]) or ["see the next step."]
            self.print(f"Undo starts here: {' '.join(sentences[-1].split())}")
            return "read" if self._ask(_UNDOES, enter="stop") == "undo" else "stop"
        return "read"

    def _step(self, number: int) -> str:
        """Let the person run or skip one cell; return done, skipped, stop or failed."""
        cell, code = self.cells[number], self._code()
        self.print(f"Step {code.index(number) + 1} of {len(code)}", style="bold")
        shown = printable(cell.source if cell.script is None else cell.script)
        self.session.console.print(Syntax(shown, cell.language, theme="ansi_dark", word_wrap=True))
        question = _IN_PRODUCTION if self.record else _FIRST
        enter, stopped = "run", "stop"
        while (choice := self._ask(question, enter)) != "stop":
            if choice == "skip":
                self._tell_kernel("skip", cell.source)
                return "skipped"
            if choice == "values" and self.record:
                self._tell_kernel("values")
                if not self._replay_state():
                    return stopped
            if choice == "run":
                if self._run(number):
                    return "done"
                if not self.record:
                    return "failed"
                question, enter, stopped = _FAILED, "", "failed"
        return stopped

    def _code(self) -> list[int]:
        return [number for number, cell in enumerate(self.cells) if cell.kind == "code"]

    def _ask(self, question: str, enter: str = "") -> str:
        """Return a choice; Enter is `enter`, or asks again. Without a person it is stop."""
        prefix = "PRODUCTION: " if self.record else ""
        while True:
            try:
                forget_what_was_typed()
                typed = input(f"{prefix}{question}").strip()
            except (EOFError, KeyboardInterrupt):
                self.print("")
                return "stop"
            choice = _WORDS.get(typed.lower()) or (enter if not typed else "")
            if choice == "list":
                self._list()
            elif choice == "help" or not choice:
                wrong = f"{typed!r} is not a choice:\n" if typed and not choice else ""
                self.print(f"{wrong}{_HELP}")
            else:
                return choice

    def _list(self) -> None:
        for position, number in enumerate(self._code(), 1):
            state = self.states.get(number, "not yet")
            self.print(f"  {position:2} {state:14} {self.cells[number].first_line}")

    def _tell_kernel(self, verb: str, text: str = "") -> bool:
        """Tell a production kernel about the run; return whether it went well."""
        source = f"%%{VERB} {verb}\n{text}" if text else f"%{VERB} {verb}"
        return not self.record or self.session.run(source)

    def _run(self, number: int) -> bool:
        """Run a cell; return whether it ended well: in production that is what is on record."""
        if not self.record:
            return self.session.run(self.cells[number].source)
        before = len(record.read_record(self.record)) if self.record.exists() else 0
        self.session.run(self.cells[number].source)
        return self.record.exists() and record.ended_well(record.read_record(self.record)[before:])

    def print(self, text: str, style: str = "") -> None:
        self.session.console.print(printable(text), style=style)


def resume_index(cells: Sequence[Cell], done: Sequence[str]) -> int:
    """Return how many cells come before the first shell cell that is not the next one done."""
    scripts = [(n, cell.script.strip()) for n, cell in enumerate(cells) if cell.script is not None]
    known, passed = {script for _, script in scripts}, set[str]()
    # a cell of Python that was skipped is on record too
    left = deque(one.strip() for one in done if one.strip() in known)
    for number, script in scripts:
        while left and left[0] != script and left[0] in passed:
            left.popleft()  # it ran again, as a value was changed
        if not left or left.popleft() != script:
            return number
        passed.add(script)
    return len(cells)


def _sets_state(script: Script) -> bool:
    """Whether a script sets something that later cells could need: a variable, the folder."""
    return any(
        node.type in _SETTERS
        or (node.type == "variable_assignment" and not is_in(node, "command"))
        or (node.type == "command" and words(node)[0] in _CHANGES_STATE)
        for node in walk(script.tree)
    )
