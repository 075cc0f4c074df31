"""Go through a runbook in a terminal, step by step: the prose, the command, then run, skip or stop.

No editing.
"""

import getpass
import os
import queue
import sys
import termios
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager
from nbformat import NotebookNode
from rich.console import Console
from rich.markdown import Markdown
from rich.syntax import Syntax

from rehearsal.cell.placeholders import declared
from rehearsal.cell.production import NOTEBOOK
from rehearsal.errors import CannotCheck
from rehearsal.runbook.model import Pair, private_manager, script_of

_SECONDS_TO_START = 60
_PAUSE = 0.05
_CHOICES = {
    "": "run",
    "r": "run",
    "run": "run",
    "s": "skip",
    "skip": "skip",
    "q": "stop",
    "stop": "stop",
}


def walk_through(pair: Pair, kernel: str) -> bool:
    """Run a notebook's cells one by one as the person says; return whether all that ran ended well.

    Raises CannotCheck without a terminal to ask in. What a cell asks for itself is asked here too.
    """
    if not sys.stdin.isatty():
        raise CannotCheck(
            "Each step is asked for, and nobody is there to ask: run it in a terminal."
        )
    notebook = pair.read_text()
    manager = private_manager(kernel_name=kernel)
    manager.start_kernel(cwd=str(pair.text.parent), env=os.environ | {NOTEBOOK: pair.name})
    client: BlockingKernelClient = manager.client()
    client.start_channels()
    try:
        _wait_until_ready(client, kernel)
        stage = "PRODUCTION: " if kernel == "production" else ""
        if not stage:
            values = ", ".join(
                f"<{one.name}> is {one.value}" for one in declared(notebook.metadata).values()
            )
            Console().print(
                f"A rehearsal, in a sealed room: nothing leaves it. {values}", highlight=False
            )
        return _Walk(manager, client, Console(), stage).through(notebook)
    except RuntimeError as error:
        raise CannotCheck(f"The kernel {kernel} has ended. What it said stands above.") from error
    finally:
        client.stop_channels()
        manager.shutdown_kernel()


def _wait_until_ready(client: BlockingKernelClient, kernel: str) -> None:
    try:
        client.wait_for_ready(_SECONDS_TO_START)
    except RuntimeError as error:
        raise CannotCheck(
            f"The kernel {kernel} does not start: {error} What it said stands above."
        ) from error


class _Walk:
    """One person's way through one notebook."""

    def __init__(
        self, manager: KernelManager, client: BlockingKernelClient, console: Console, stage: str
    ) -> None:
        self._stage = stage
        self._manager = manager
        self._client = client
        self._console = console

    def through(self, notebook: NotebookNode) -> bool:
        done = {"run": 0, "skip": 0}
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                self._console.print(Markdown(cell.source), "")
            elif cell.cell_type == "code":
                choice = self._step(cell)
                if choice in ("stop", "failed"):
                    self._console.print(
                        f"{'Stopped' if choice == 'stop' else 'Failed'} after {done['run']} cells."
                    )
                    return choice == "stop"
                done[choice] += 1
        self._console.print(f"At the end: {done['run']} cells run, {done['skip']} skipped.")
        return True

    def _step(self, cell: NotebookNode) -> str:
        script = script_of(cell)
        shown = cell.source if script is None else script
        language = "python" if script is None else "bash"
        self._console.print(Syntax(shown, language, background_color="default", word_wrap=True))
        choice = None
        while choice is None:
            try:
                termios.tcflush(
                    sys.stdin, termios.TCIFLUSH
                )  # an Enter too many must not run what nobody has read
                choice = _CHOICES.get(
                    input(f"{self._stage}[Enter] run, s skip, q stop: ").strip().lower()
                )
            except (EOFError, KeyboardInterrupt):
                choice = "stop"
        if choice == "run" and not self._run(cell.source):
            return "failed"
        return choice

    def _run(self, source: str) -> bool:
        """Run one cell, passing on what it prints and asks; return whether it ended well."""
        identifier = self._client.execute(source, allow_stdin=True)
        well = True
        while True:
            try:
                if self._client.stdin_channel.msg_ready():
                    self._answer(self._client.get_stdin_msg(timeout=1)["content"])
                message = self._client.get_iopub_msg(timeout=_PAUSE)
            except queue.Empty:
                if not self._manager.is_alive():
                    raise RuntimeError("it has ended.") from None
                continue
            except KeyboardInterrupt:
                self._manager.interrupt_kernel()
                continue
            if message["parent_header"].get("msg_id") == identifier:
                well = self._show(message) and well
                if message["content"].get("execution_state") == "idle":
                    return well

    def _answer(self, asked: dict[str, Any]) -> None:
        try:
            termios.tcflush(sys.stdin, termios.TCIFLUSH)
            ask = getpass.getpass if asked["password"] else input
            self._client.input(ask(asked["prompt"]))
        except (EOFError, KeyboardInterrupt):
            self._manager.interrupt_kernel()

    def _show(self, message: dict[str, Any]) -> bool:
        content = message["content"]
        if message["msg_type"] == "stream":
            self._console.out(content["text"], end="", highlight=False)
        elif message["msg_type"] in ("display_data", "execute_result"):
            self._console.out(content["data"].get("text/plain", ""), highlight=False)
        elif message["msg_type"] == "error":
            self._console.out(content["evalue"], style="red", highlight=False)
            return False
        return True
