"""Step through a runbook in a terminal: the prose, the command, then run, skip or stop."""

import contextlib
import getpass
import os
import queue
import re
import signal
import sys
import termios
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager
from rich.console import Console
from rich.markdown import Markdown
from rich.syntax import Syntax

from rehearsal.cell.production import NOTEBOOK, VERB
from rehearsal.cell.record import commands_done, commands_skipped, read_whole
from rehearsal.cell.syntax import Script, is_in, walk, words
from rehearsal.errors import CannotCheck, Wrong
from rehearsal.output import printable
from rehearsal.runbook.kernel import DIED, private_manager
from rehearsal.runbook.model import Cell, Runbook
from rehearsal.settings import KERNEL

_SECONDS_TO_START = 60
_PAUSE = 0.05
_SETTERS = {"declaration_command", "unset_command"}
_CHANGES_STATE = {"cd", "pushd", "popd", "read", "umask"}
_UNDO = re.compile(r"^#+ Undo\b", re.MULTILINE)
_WORDS = {"g": "go", "r": "run", "s": "skip", "v": "values", "q": "stop", "u": "undo"}
_WORDS |= {word: word for word in _WORDS.values()}
_FIRST = "[Enter] run, s skip, q stop: "
_IN_PRODUCTION = "[Enter] run, s skip, v change values, q stop: "
_FAILED = (
    "It failed; the shell is as it was before this cell. r run again, v change values, s skip,"
    " or q to stop: "
)
_ENDS = {"stop": "Stopped", "failed": "Failed"}
_MOVED = "g go on all the same, [Enter] stop here: "
_BEFORE_UNDO = "What follows undoes what you did. u go on and undo, [Enter] stop here: "


def walk_through(runbook: Runbook, kernel: str, before: Path | None = None) -> bool:
    """Run a runbook's cells one at a time; return whether all that ran ended well.

    kernel: `rehearsal` or `production`. before: the record of a run that was stopped, to go on
    with. A cell's own questions are asked here too. Raises CannotCheck without a terminal.
    """
    if not sys.stdin.isatty():
        raise CannotCheck("Each step is asked for, and nobody is there to ask: use a terminal.")
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, _leave)
    manager = private_manager(kernel_name=kernel)
    manager.start_kernel(cwd=str(runbook.path.parent), env=os.environ | {NOTEBOOK: runbook.name})
    client: BlockingKernelClient = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(_SECONDS_TO_START)
        return _Walk(manager, client, production=kernel != KERNEL).through(runbook, before)
    except RuntimeError as error:
        said = f"The kernel {kernel} ended. What it said stands above."
        raise CannotCheck(said) from error
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=isinstance(sys.exception(), SystemExit))


def _leave(number: int, frame: object) -> NoReturn:
    """End this process: the terminal has been closed, or somebody asks for it."""
    sys.exit(128 + number)


@dataclass(frozen=True)
class _Walk:
    """The session of one person with one runbook; `ran` are the cells that ended well."""

    manager: KernelManager
    client: BlockingKernelClient
    production: bool
    console: Console = field(default_factory=lambda: Console(highlight=False, markup=False))
    ran: list[Cell] = field(default_factory=list)

    def through(self, runbook: Runbook, before: Path | None) -> bool:
        if not self.production:
            known = runbook.placeholders.values()
            values = ", ".join(f"<{one.name}> is {one.value}" for one in known)
            self.console.print(f"A rehearsal, in a sealed room: nothing leaves it. {values}")
        cells: Sequence[Cell] = runbook.text.cells
        gone = "" if self.production else " The room and all that was in it are gone: start again."
        commands, done = [id(cell) for cell in cells if cell.kind == "code"], Counter[str]()
        for cell in self._go_on(cells, before) if before else cells:
            if cell.kind == "code":
                number = commands.index(id(cell)) + 1
                self.console.print(f"Command {number} of {len(commands)}", style="bold")
            outcome = self._step(cell) if cell.kind == "code" else self._read(cell)
            if outcome in _ENDS:
                self._steer("stop")
                self.console.print(f"{_ENDS[outcome]} after {done['run']} cells.{gone}")
                return outcome == "stop"
            done[outcome] += 1
        self._steer("finish")
        self.console.print(f"At the end: {done['run']} cells run, {done['skip']} skipped.")
        return True

    def _go_on(self, cells: Sequence[Cell], record: Path) -> Sequence[Cell]:
        """Return the cells that a stopped run has not done, once the shell is as it was then.

        What sets something in the shell runs again; what it wrote is compared with the registry.
        """
        events = read_whole(record)
        passed, skipped = first_not_done(cells, commands_done(events)), commands_skipped(events)
        self.console.print(f"Going on with {record.name}, begun by {events[0].get('person')}:")
        if not self._steer("continue", str(record)):
            raise Wrong("The run does not go on.")
        for cell in cells[:passed]:
            if cell.kind == "code":
                over = cell.script is not None and cell.script.strip() in skipped
                self._list("skipped" if over else "done", cell)
                self.ran.extend(() if over else (cell,))
        if not self._set_again():
            raise Wrong("What was set cannot be set again: begin anew, without --continue.")
        if not self._steer("compare") and self._ask(_MOVED, enter="stop") != "go":
            raise Wrong("The run does not go on.")
        return cells[passed:]

    def _set_again(self) -> bool:
        """Run the cells again that set something and write nothing, if all end well."""
        for cell in self.ran:
            if cell.shell and not cell.shell.writes and _sets_state(cell.shell.parsed):
                self._list("again, for what it sets", cell)
                if not self._run(cell.source):
                    return False
        return True

    def _list(self, what: str, cell: Cell) -> None:
        self.console.print(printable(f"  {what}: {cell.first_line}"))

    def _read(self, cell: Cell) -> str:
        """Show a text; return stop if what follows is an Undo and the person does not want it."""
        self.console.print(Markdown(printable(cell.source)), "")
        undoes = self.production and _UNDO.search(cell.source)
        stops = undoes and self._ask(_BEFORE_UNDO, enter="stop") != "undo"
        return "stop" if stops else "read"

    def _step(self, cell: Cell) -> str:
        """Let the person run or skip one cell; return run, skip, stop or failed."""
        shown = printable(cell.source if cell.script is None else cell.script)
        self.console.print(
            Syntax(
                shown, cell.language, theme="ansi_dark", background_color="default", word_wrap=True
            )
        )
        question = _IN_PRODUCTION if self.production else _FIRST
        enter, stopped = "run", "stop"
        while (choice := self._ask(question, enter)) != "stop":
            if choice == "skip":
                self._steer("skip", cell.source)
                return "skip"
            if choice == "values" and self.production:
                self._steer("values")
                self._set_again()
            if choice == "run":
                if self._run(cell.source):
                    self.ran.append(cell)
                    return "run"
                if not self.production:
                    return "failed"
                question, enter, stopped = _FAILED, "", "failed"
        return stopped

    def _ask(self, question: str, enter: str = "") -> str:
        """Return a choice; Enter is `enter`, or asks again. Without a person it is stop."""
        prefix = "PRODUCTION: " if self.production else ""
        while True:
            try:
                _forget_what_was_typed()
                typed = input(f"{prefix}{question}").strip().lower()
            except (EOFError, KeyboardInterrupt):
                return "stop"
            if choice := _WORDS.get(typed) or (enter if not typed else ""):
                return choice

    def _steer(self, verb: str, text: str = "") -> bool:
        """Tell a production kernel about the run; return whether it went well."""
        source = f"%%{VERB} {verb}\n{text}" if text else f"%{VERB} {verb}"
        return not self.production or self._run(source)

    def _run(self, source: str) -> bool:
        """Run one cell, showing its output and answering its questions; return its success."""
        stopped = threading.Event()
        # noted and not raised: a message that is being read then must not be lost
        with _at_interrupt(lambda *_: stopped.set()):
            identifier = self.client.execute(source, allow_stdin=True)
            well = True
            while True:
                if stopped.is_set():
                    stopped.clear()
                    self.manager.interrupt_kernel()
                message = self._hear()
                if message and message["parent_header"].get("msg_id") == identifier:
                    well = self._show(message) and well
                    if message["content"].get("execution_state") == "idle":
                        return well

    def _hear(self) -> dict[str, Any] | None:
        """Return the kernel's next message, if there is one soon; answer what it asks."""
        try:
            if self.client.stdin_channel.msg_ready():
                self._answer(self.client.get_stdin_msg(timeout=1)["content"])
            return dict(self.client.get_iopub_msg(timeout=_PAUSE))
        except queue.Empty:
            if not self.manager.is_alive():
                raise CannotCheck(DIED) from None
            return None

    def _answer(self, asked: dict[str, Any]) -> None:
        try:
            with _at_interrupt(signal.default_int_handler):
                _forget_what_was_typed()
                ask = getpass.getpass if asked["password"] else input
                self.client.input(ask(printable(asked["prompt"])))
        except (EOFError, KeyboardInterrupt):
            self.manager.interrupt_kernel()

    def _show(self, message: dict[str, Any]) -> bool:
        content = message["content"]
        if message["msg_type"] == "stream":
            self.console.out(content["text"], end="")
        elif message["msg_type"] in ("display_data", "execute_result"):
            self.console.out(content["data"].get("text/plain", ""))
        elif message["msg_type"] == "error":
            self.console.out(printable(content["evalue"]), style="red")
            return False
        return True


@contextlib.contextmanager
def _at_interrupt(act: Callable[[int, FrameType | None], Any]) -> Iterator[None]:
    """Let Ctrl-C do something else for a while."""
    before = signal.signal(signal.SIGINT, act)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def first_not_done(cells: Sequence[Cell], done: Sequence[str]) -> int:
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


def _forget_what_was_typed() -> None:
    """Drop typed-ahead input: a second Enter must not run a cell that nobody has read."""
    termios.tcflush(sys.stdin, termios.TCIFLUSH)


def _sets_state(script: Script) -> bool:
    """Whether a script sets something that later cells could need: a variable, the folder."""
    return any(
        node.type in _SETTERS
        or (node.type == "variable_assignment" and not is_in(node, "command"))
        or (node.type == "command" and words(node)[0] in _CHANGES_STATE)
        for node in walk(script.tree)
    )
