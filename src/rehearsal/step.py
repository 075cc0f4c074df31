"""Step through a runbook in a terminal: the prose, the command, then run, skip or stop."""

import getpass
import os
import queue
import sys
import termios
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager
from rich.console import Console
from rich.markdown import Markdown
from rich.syntax import Syntax

from rehearsal.cell.production import NOTEBOOK
from rehearsal.errors import CannotCheck
from rehearsal.runbook.kernel import private_manager
from rehearsal.runbook.model import Cell, Runbook
from rehearsal.settings import KERNEL

_SECONDS_TO_START = 60
_PAUSE = 0.05
_CHOICES = {"": "run", "r": "run", "s": "skip", "q": "stop"}
_CHOICES |= {word: word for word in ("run", "skip", "stop")}


def walk_through(runbook: Runbook, kernel: str) -> bool:
    """Run a runbook's cells one at a time; return whether all that ran ended well.

    A cell's own questions are asked here too. Raises CannotCheck without a terminal.
    """
    if not sys.stdin.isatty():
        raise CannotCheck("Each step is asked for, and nobody is there to ask: use a terminal.")
    manager = private_manager(kernel_name=kernel)
    manager.start_kernel(cwd=str(runbook.path.parent), env=os.environ | {NOTEBOOK: runbook.name})
    client: BlockingKernelClient = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(_SECONDS_TO_START)
        console = Console()
        if kernel == KERNEL:
            known = runbook.placeholders.values()
            values = ", ".join(f"<{one.name}> is {one.value}" for one in known)
            said = f"A rehearsal, in a sealed room: nothing leaves it. {values}"
            console.print(said, highlight=False)
        place = "" if kernel == KERNEL else "PRODUCTION: "
        return _Walk(manager, client, console, place).through(runbook.text.cells)
    except RuntimeError as error:
        raise CannotCheck(f"The kernel {kernel} ended. What it said stands above.") from error
    finally:
        client.stop_channels()
        manager.shutdown_kernel()


@dataclass(frozen=True)
class _Walk:
    """The session of one person with one runbook; `place` is a prefix of each question."""

    manager: KernelManager
    client: BlockingKernelClient
    console: Console
    place: str

    def through(self, cells: Iterable[Cell]) -> bool:
        done = {"run": 0, "skip": 0}
        for cell in cells:
            if cell.kind == "markdown":
                self.console.print(Markdown(cell.source), "")
            elif cell.kind == "code":
                choice = self._step(cell)
                if choice in ("stop", "failed"):
                    said = "Stopped" if choice == "stop" else "Failed"
                    self.console.print(f"{said} after {done['run']} cells.")
                    return choice == "stop"
                done[choice] += 1
        self.console.print(f"At the end: {done['run']} cells run, {done['skip']} skipped.")
        return True

    def _step(self, cell: Cell) -> str:
        shown = cell.source if cell.script is None else cell.script
        colours = Syntax(shown, cell.language, background_color="default", word_wrap=True)
        self.console.print(colours)
        choice = None
        while choice is None:
            try:
                _forget_what_was_typed()
                typed = input(f"{self.place}[Enter] run, s skip, q stop: ")
                choice = _CHOICES.get(typed.strip().lower())
            except (EOFError, KeyboardInterrupt):
                choice = "stop"
        if choice == "run" and not self._run(cell.source):
            return "failed"
        return choice

    def _run(self, source: str) -> bool:
        """Run one cell, showing its output and answering its questions; return its success."""
        identifier = self.client.execute(source, allow_stdin=True)
        well = True
        while True:
            try:
                if self.client.stdin_channel.msg_ready():
                    self._answer(self.client.get_stdin_msg(timeout=1)["content"])
                message = self.client.get_iopub_msg(timeout=_PAUSE)
            except queue.Empty:
                if not self.manager.is_alive():
                    raise RuntimeError("it has ended.") from None
                continue
            except KeyboardInterrupt:
                self.manager.interrupt_kernel()
                continue
            if message["parent_header"].get("msg_id") == identifier:
                well = self._show(message) and well
                if message["content"].get("execution_state") == "idle":
                    return well

    def _answer(self, asked: dict[str, Any]) -> None:
        try:
            _forget_what_was_typed()
            ask = getpass.getpass if asked["password"] else input
            self.client.input(ask(asked["prompt"]))
        except (EOFError, KeyboardInterrupt):
            self.manager.interrupt_kernel()

    def _show(self, message: dict[str, Any]) -> bool:
        content = message["content"]
        if message["msg_type"] == "stream":
            self.console.out(content["text"], end="", highlight=False)
        elif message["msg_type"] in ("display_data", "execute_result"):
            self.console.out(content["data"].get("text/plain", ""), highlight=False)
        elif message["msg_type"] == "error":
            self.console.out(content["evalue"], style="red", highlight=False)
            return False
        return True


def _forget_what_was_typed() -> None:
    """Drop typed-ahead input: a second Enter must not run a cell that nobody has read."""
    termios.tcflush(sys.stdin, termios.TCIFLUSH)
