"""The IPython extension that installs the strict `%%bash`.

The kernelspec loads it, so no notebook needs a set-up cell.
"""

import atexit
import functools
import json
import os
import re
from dataclasses import replace
from typing import Any, NoReturn

from IPython.core.interactiveshell import InteractiveShell

from rehearsal.cell.allowed import Refused
from rehearsal.cell.bash import Shell
from rehearsal.cell.options import ShellCell, read_cell
from rehearsal.cell.placeholders import Filled, Placeholder, declared_in, fill
from rehearsal.cell.production.guard import VERB, Production
from rehearsal.cell.questions import Answer
from rehearsal.cell.redact import RedactedOutput
from rehearsal.cell.rehearsal import Rehearsal
from rehearsal.cell.syntax import FORM
from rehearsal.errors import CannotCheck, RehearsalError, Wrong

_OTHER_SHELLS = ["sh", "script", "system", "sx", "!", "perl", "ruby", "pypy"]
_OTHER_SHELLS += ["python", "python2", "python3"]
"""IPython's magics that start another program, which nothing would check."""
PRODUCTION = "REHEARSAL_PRODUCTION"
"""Set by the kernelspec `production` alone; without it a kernel works in a room only."""

Backend = Rehearsal | Production
_OURS = re.compile(r"%rehearsal_\w+ *\w*\s*|%%rehearsal_\w+ *\w* *\n.*", re.ASCII | re.DOTALL)
"""`%rehearsal_run WORD` alone: code after it would run unchecked, and IPython evaluates braces."""
LEFT = "rehearsal_left"
"""The line magic that prints what the cells have left in the room, as JSON."""


class Bash:
    """`%%bash` of one kernel."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._secrets: set[str] = set()

    def __call__(self, line: str, script: str) -> None:
        """Run one shell cell.

        Raises Wrong unless it ends as declared, and CannotCheck where it could not run.
        """
        shown = RedactedOutput(self._secrets)
        try:
            shell = self._backend.shell()
            shell.check()
            cell = read_cell(line, script)
            cell = replace(cell, writes=tuple(self._put_in(one, "--writes") for one in cell.writes))
            filled = self._fill_and_check(cell, shell)
            if why := self._backend.reason_to_skip(cell):
                print(f"{why}.")
                return
            values = {name: self._value(one) for name, one in filled.variables.items()}
            answers = [self._answer(*asked, cell) for asked in cell.asked]
            hidden = self._secrets | self._backend.secrets(self._placeholders.values())
            shown = RedactedOutput(hidden, self._backend.end_flood)
            with self._backend.running(cell, shown):
                try:
                    shell.run(filled, shown.write, values=values, fails=cell.fails, answers=answers)
                finally:
                    shown.end()
        except RehearsalError as error:
            failed = "" if isinstance(error, CannotCheck) else "This cell failed: "
            error.args = (shown.hide(f"{failed}{error}"),)
            raise

    @functools.cached_property
    def _placeholders(self) -> dict[str, Placeholder]:
        return declared_in(self._backend.folder)

    def _value(self, placeholder: Placeholder) -> str:
        """Return a placeholder's value, remembering a secret one."""
        value = self._backend.value(placeholder)
        if placeholder.secret:
            self._secrets.add(value)
        return value

    def _put_in(self, text: str, option: str) -> str:
        def value(match: re.Match[str]) -> str:
            placeholder = self._placeholders.get(match[1])
            if placeholder is None or placeholder.secret:
                raise Wrong(f"{option} holds {match[0]}, which is not declared, or is a secret.")
            return self._value(placeholder)

        return FORM.sub(value, text)

    def _answer(self, question: str, text: str, cell: ShellCell) -> Answer:
        """Return what is typed where the cell asks; a secret is a placeholder by itself."""
        whole = FORM.fullmatch(text)
        if whole and (one := self._placeholders.get(whole[1])) and one.secret:
            return Answer(question, self._value(one), secret=True)
        said = self._put_in(text, "--asked")
        return Answer(question, self._backend.answer(question, said, cell))

    def _fill_and_check(self, cell: ShellCell, shell: Shell) -> Filled:
        try:
            return fill(cell.parsed, self._placeholders)
        except Refused as refused:
            shell.fail(f"an earlier cell was refused (line {refused.findings[0].line}).")
            raise


def load_ipython_extension(ipython: InteractiveShell) -> None:
    """Install the strict `%%bash`, and refuse every other way to a shell."""
    backend = Production() if PRODUCTION in os.environ else Rehearsal()
    register: Any = ipython.register_magic_function
    register(Bash(backend), "cell", "bash")
    for name in _OTHER_SHELLS:
        register(_refuse, "line_cell", name)
    if isinstance(backend, Rehearsal):
        register(lambda line: print(json.dumps(backend.left())), "line", LEFT)
    if isinstance(backend, Production):
        register(backend.handle_command, "line_cell", VERB)
        ipython.events.register("post_run_cell", backend.after_cell)
    shell: Any = ipython
    shell.system = shell.getoutput = _refuse  # what IPython makes of !command
    ipython.input_transformers_cleanup.append(functools.partial(_check, backend))
    atexit.register(backend.close)


def _check(backend: Backend, lines: list[str]) -> list[str]:
    """Return a cell unchanged; raise an error if it must not run here."""
    source = "".join(lines)
    if lines and not _OURS.fullmatch(source):
        try:
            backend.check(source)
        except RehearsalError as error:
            error.args = (f"This cell failed: {error}.",)
            raise
    return lines


def _refuse(*arguments: object, **options: object) -> NoReturn:
    why = "any other way would hide their failures"
    raise Wrong(f"This cell failed: only %%bash may run shell commands here; {why}.")
