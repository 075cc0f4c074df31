"""The IPython extension that makes shell cells strict.

Loaded by the kernelspec, so no notebook holds a set-up cell.
"""

import atexit
import functools
import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

from IPython.core.interactiveshell import InteractiveShell

from rehearsal.cell.bash import Shell
from rehearsal.cell.grammar import OTHER_SHELLS, Finding, check, functions_of
from rehearsal.cell.options import ShellCell, read_cell
from rehearsal.cell.placeholders import Filled, Placeholder, declared_in, fill
from rehearsal.cell.redact import Shown
from rehearsal.cell.rehearsal import Rehearsal
from rehearsal.cell.syntax import FORM
from rehearsal.errors import CannotCheck, RehearsalError, Wrong

if TYPE_CHECKING:
    from rehearsal.cell.production import Production

PRODUCTION = "REHEARSAL_PRODUCTION"
"""Set by the kernelspec `production` alone; without it a kernel works in a room, or not at all."""


class CellFailed(Exception):
    """Shown in the notebook as its one line, without a traceback of this package's own code."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


class RoomUnavailable(CellFailed):
    """The room has no engine or registries: nothing was checked."""


class Bash:
    """`%%bash` of one kernel."""

    def __init__(self, stage: "Rehearsal | Production") -> None:
        self._stage = stage
        self._shell: Shell | None = None
        self._refused: str | None = None
        self._known: dict[str, Placeholder] = {}
        self._secrets: set[str] = set()
        self._functions: frozenset[str] = frozenset()

    def __call__(self, line: str, script: str) -> None:
        """Run one shell cell.

        Raises CellFailed with one line for a person when it does not end as it should.
        """
        shown = Shown(self._secrets)
        try:
            shell = self._open()
            cell = self._with_values(read_cell(line, script))
            filled = self._read(cell.script)
            if why := self._stage.passes_over(cell):
                shown.write(f"{why}.\n".encode())
                shown.end()
                return
            values = {
                name: self._stage.value(placeholder)
                for name, placeholder in filled.variables.items()
            }
            self._secrets |= {
                values[name] for name, placeholder in filled.variables.items() if placeholder.secret
            }
            shown = Shown(self._secrets | self._stage.secrets(self._known.values()))
            with self._stage.around(cell, shown):
                try:
                    shell.run(filled.script, shown.write, values=values, fails=cell.fails)
                finally:
                    shown.end()
        except CannotCheck as error:
            raise RoomUnavailable(shown.hide(str(error))) from None
        except RehearsalError as error:
            raise CellFailed(shown.hide(f"This cell failed: {error}")) from None

    def close(self) -> None:
        """End the shell."""
        if self._shell:
            self._shell.close()
        self._stage.close()

    def _with_values(self, cell: ShellCell) -> ShellCell:
        """Return the cell with its placeholders filled in where it declares what it writes."""

        def value(match: re.Match[str]) -> str:
            if match[1] not in self._known or self._known[match[1]].secret:
                raise Wrong(f"--writes names {match[0]}, which is not declared, or is a secret.")
            return self._stage.value(self._known[match[1]])

        return replace(cell, writes=tuple(FORM.sub(value, reference) for reference in cell.writes))

    def _open(self) -> Shell:
        shell = self._stage.shell()
        if self._shell is None:
            self._known = declared_in(self._stage.folder)
            self._shell = shell
        return shell

    def _read(self, cell: str) -> Filled:
        if self._refused:
            raise Wrong(f"Not run: {self._refused} Restart the kernel and run all cells again.")
        filled = fill(cell, self._known)
        findings = (
            [filled] if isinstance(filled, Finding) else check(filled.script, self._functions)
        )
        if findings or isinstance(filled, Finding):
            self._refused = f"an earlier cell was refused (line {findings[0].line})."
            raise Wrong("; ".join(f"line {finding.line}: {finding.why}" for finding in findings))
        self._functions |= functions_of(filled.script)
        return filled


def load_ipython_extension(ipython: InteractiveShell) -> None:
    """Put the strict `%%bash` in place of IPython's, and refuse every other way to a shell."""
    stage = _stage()
    bash = Bash(stage)
    register: Any = ipython.register_magic_function
    register(bash, "cell", "bash")
    for name in OTHER_SHELLS:
        register(_refuse, "line_cell", name)
    shell: Any = ipython
    shell.system = shell.getoutput = _refuse
    ipython.input_transformers_cleanup.append(functools.partial(_check, stage))
    atexit.register(bash.close)


def _check(stage: "Rehearsal | Production", lines: list[str]) -> list[str]:
    """Return a cell as it is; raise CellFailed if the stage does not let it run."""
    try:
        if lines:
            stage.check("".join(lines))
    except RehearsalError as error:
        raise CellFailed(f"This cell failed: {error}.") from None
    return lines


def _stage() -> "Rehearsal | Production":
    if PRODUCTION not in os.environ:
        return Rehearsal()
    from rehearsal.cell.production import Production

    return Production()


def _refuse(*arguments: object, **options: object) -> NoReturn:
    raise CellFailed(
        "This cell failed: only %%bash may run shell commands here; any other way would hide their"
        " failures."
    )
