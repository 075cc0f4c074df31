"""The terminal on which a cell's commands are answered, if the cell declares what they ask.

A person reads a question and types: so the answer is typed when the question stands at the end of
what was printed, and a secret only once the terminal shows nothing of what is typed.
"""

import fcntl
import os
import pty
import re
import select
import termios
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from rehearsal.errors import Wrong

_ENDS_OF_FILE = b"\x04" * 64
"""One for each read after the last answer."""
_KEYS = re.compile(r"[\x00-\x1f\x7f]")
"""What a terminal does not pass on, but acts upon."""
_LONGEST = 4000
"""Bytes; of a longer line a terminal drops the rest."""
_SECONDS = 5.0
_PAUSE = 0.01


@dataclass(frozen=True)
class Answer:
    """What a cell's command asks, and what is typed.

    Attributes:
        question: a part of the line before the cursor.
        text: what is typed, without Enter.
        secret: whether it must not be shown.
    """

    question: str
    text: str
    secret: bool = False


class Questions:
    """The terminal of one shell: what its commands read of `terminal` is typed here."""

    def __init__(self) -> None:
        self._keyboard, terminal = pty.openpty()
        # above the driver's own descriptors
        self.terminal = fcntl.fcntl(terminal, fcntl.F_DUPFD_CLOEXEC, 10)
        os.close(terminal)
        modes = termios.tcgetattr(self.terminal)
        modes[1] &= ~termios.OPOST
        modes[3] &= ~termios.ECHOCTL
        termios.tcsetattr(self.terminal, termios.TCSANOW, modes)
        self._expected = deque[Answer]()
        self._line = b""

    @property
    def expected(self) -> bool:
        """Whether an answer has not been typed."""
        return bool(self._expected)

    def expect(self, answers: Iterable[Answer]) -> None:
        """Forget what was typed before, and wait for these questions."""
        termios.tcflush(self.terminal, termios.TCIFLUSH)
        self._expected, self._line = deque(answers), b""

    def answer(self, printed: bytes) -> bytes:
        """Type the next answer if its question is at the end; after the last, close the input.

        Returns what the terminal shows of it. Raises Wrong where that would be a secret.
        """
        if not self._expected:
            return b""
        self._line = (self._line + printed).rpartition(b"\n")[2]
        if self._expected[0].question.encode() not in self._line:
            return b""
        answer, self._line = self._expected.popleft(), b""
        typed = answer.text.encode()
        if _KEYS.search(answer.text) or len(typed) > _LONGEST:
            why = "holds control characters, or more than a terminal takes: it was not typed"
            raise Wrong(f"what answers the question `{answer.question}` {why}")
        if answer.secret:
            self._wait_until_hidden(answer.question)
        hidden = self._hides()  # asked before: a program shows what is typed again once it has read
        os.write(self._keyboard, typed + b"\n" + (b"" if self._expected else _ENDS_OF_FILE))
        return b"" if hidden else self._echo()

    def check(self, before: str = "") -> None:
        """Raise Wrong if a question was not asked; the message begins with `before`."""
        if self._expected:
            question, line = self._expected[0].question, self._line.decode(errors="replace").strip()
            stands = f"; before the cursor is `{line}`" if line else ""
            why = f"it declares (--asked) the question `{question}`, and did not ask it"
            raise Wrong(f"{before}{why}{stands}")

    def close(self) -> None:
        """Close both ends."""
        os.close(self._keyboard)
        os.close(self.terminal)

    def _hides(self) -> bool:
        return not termios.tcgetattr(self.terminal)[3] & termios.ECHO

    def _echo(self) -> bytes:
        shown = b""
        while not shown.endswith(b"\n") and select.select([self._keyboard], [], [], _SECONDS)[0]:
            shown += os.read(self._keyboard, 4096)
        return shown

    def _wait_until_hidden(self, question: str) -> None:
        end = time.monotonic() + _SECONDS
        while not self._hides():
            if time.monotonic() > end:
                raise Wrong(f"the question `{question}` shows the secret that is typed: read -s")
            time.sleep(_PAUSE)
