"""A kernel that one person talks to in a terminal: a cell runs, and is answered where it asks."""

import queue
import select
import signal
import sys
import termios
import threading
from dataclasses import dataclass, field
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager
from rich.console import Console

from rehearsal.cell.processes import on_signal
from rehearsal.errors import CannotCheck
from rehearsal.output import printable
from rehearsal.runbook.kernel import DIED

_PAUSE = 0.05


@dataclass(frozen=True)
class Session:
    """One person with one kernel.

    Attributes:
        manager: of the kernel.
        client: of the kernel.
        console: where everything is shown.
    """

    manager: KernelManager
    client: BlockingKernelClient
    console: Console = field(default_factory=lambda: Console(highlight=False, markup=False))

    def run(self, source: str) -> bool:
        """Run one cell, showing its output and answering its questions.

        Returns whether it printed no error.
        """
        stopped = threading.Event()
        # noted and not raised: a message that is being read then must not be lost
        with on_signal(signal.SIGINT, lambda *_: stopped.set()):
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
                        self.console.out()  # the output may not end with a newline
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
            with on_signal(signal.SIGINT, signal.default_int_handler):
                forget_what_was_typed()
                ask = _ask_hidden if asked["password"] else input
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


def forget_what_was_typed() -> None:
    """Drop typed-ahead input: a second Enter must not run a cell that nobody has read."""
    termios.tcflush(sys.stdin, termios.TCIFLUSH)


def _ask_hidden(prompt: str) -> str:
    """Return what the person types, which the terminal does not show.

    After Ctrl-Z and `fg` it is hidden again: meanwhile the person's shell shows what is typed.
    """
    before = termios.tcgetattr(sys.stdin)
    try:
        while True:
            modes = termios.tcgetattr(sys.stdin)
            if modes[3] & termios.ECHO:
                modes[3] &= ~termios.ECHO
                termios.tcsetattr(sys.stdin, termios.TCSAFLUSH, modes)
                print(prompt, end="", flush=True)
            if select.select([sys.stdin], [], [], _PAUSE)[0]:
                if not (line := sys.stdin.readline()):
                    raise EOFError
                return line.rstrip("\n")
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
        print()
