"""The backend `rehearsal`: cells run in a room, and write what they declare, no more."""

import contextlib
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager

from rehearsal.cell.bash import Shell
from rehearsal.cell.options import NOBODY, NOT_HERE, ShellCell
from rehearsal.cell.placeholders import Placeholder
from rehearsal.cell.redact import RedactedOutput
from rehearsal.errors import CannotCheck, Wrong
from rehearsal.room.engine import read_engine
from rehearsal.room.leftovers import items, without_parts
from rehearsal.room.paths import ENGINE, PROJECT, ROOM, WORK
from rehearsal.room.services import can_run_containers, wait_until_ready
from rehearsal.room.writes import RegistryActivity, WriteLog
from rehearsal.settings import Registry, load_settings

_DECLARE = ': write magic_args="--writes %s" behind the fence\'s bash'
_PATIENCE = 30.0
"""Seconds of silence: in a room nothing that a page asks for takes long."""


class Rehearsal:
    """A room, whose registries' logs are checked after each cell."""

    folder = WORK

    def __init__(self) -> None:
        self._shell: Shell | None = None
        self._writes: WriteLog | None = None
        self._registries: tuple[Registry, ...] = ()
        self._before = dict[str, str]()
        # IPython's own files, so that a kernel in a full room can still say that it is full
        tempfile.tempdir = str(ROOM / "log")

    def shell(self) -> Shell:
        """Return the shell, once the room's engine and registries answer."""
        if not ROOM.is_dir():
            raise CannotCheck("Not in a room: choose the kernel `rehearsal`, which makes one.")
        wait_until_ready()
        if self._shell is None:
            self._registries = load_settings(PROJECT.resolve()).registries
            self._writes = WriteLog(self._registries)
            self._shell = Shell(ROOM / "shell", patience=_PATIENCE)
            self._before = items(self._shell.state())
        return self._shell

    def value(self, placeholder: Placeholder) -> str:
        """Return the declared value."""
        return placeholder.value

    def secrets(self, known: Iterable[Placeholder]) -> set[str]:
        """Return all practice secrets: they are known before any cell runs."""
        return {placeholder.value for placeholder in known if placeholder.secret}

    def reason_to_skip(self, cell: ShellCell) -> str:
        """Return why a cell is not run on this engine, or nothing."""
        if cell.store and read_engine(ENGINE).store != cell.store:
            return f"{NOT_HERE}this cell holds with the store {cell.store} alone"
        return ""

    def check(self, source: str) -> None:
        """Accept every cell: nothing leaves the room."""

    def answer(self, question: str, text: str, cell: ShellCell) -> str:
        """Return the declared answer."""
        return text

    def end_flood(self, why: str) -> None:
        """End the cell: a page shows all that a cell prints."""
        raise Wrong(f"{why}.")

    @contextlib.contextmanager
    def running(self, cell: ShellCell, shown: RedactedOutput) -> Iterator[None]:
        """Let the registry answer as declared; fail the cell if it wrote anything undeclared."""
        if cell.root and not can_run_containers():
            raise CannotCheck("This cell needs root: only root's rooms can run containers.")
        try:
            with self._answering(cell.answers):
                yield
        finally:
            seen = self._writes.since_last() if self._writes else None
        if seen and (why := undeclared_writes(cell, seen)):
            self.shell().fail(f"an earlier cell failed ({why}).")
            raise Wrong(why)

    def left(self) -> list[str]:
        """Return what the cells have made and not removed again, and what they have removed.

        Nothing after a failed cell: what would remove it did not run.
        """
        if (shell := self.shell()).broken:
            return []
        now, before = items(shell.state()), self._before
        made, removed = now.keys() - before.keys(), before.keys() - now.keys()
        changed = (one for one in now.keys() & before.keys() if now[one] != before[one])
        lost = [f"no {one}" for one in without_parts(removed)]
        lost += [f"changed {one}" for one in changed]
        return [*sorted(without_parts(made)), *sorted(lost)]

    def close(self) -> None:
        """End the shell."""
        if self._shell:
            self._shell.close()

    def _answering(self, said: str) -> AbstractContextManager[object]:
        if not said:
            return contextlib.nullcontext()
        # few cells ask for it, and a server takes long to load
        from rehearsal.room.registry import replaced_by
        from rehearsal.room.scripted import words

        if not self._registries:
            raise CannotCheck("The room has no registry: nothing can answer in its place.")
        registry = self._registries[0]
        return replaced_by(registry, None if said == NOBODY else words(said, registry.hosts[0]))


def undeclared_writes(cell: ShellCell, seen: RegistryActivity) -> str | None:
    """Return how a cell's writes differ from those it declares, or None.

    A cell that must fail declares what it would write if it could, so it may write less.
    """
    declared, repositories = frozenset(cell.writes), _repositories(cell.writes)
    if undeclared := sorted(seen.wrote - declared):
        return f"it wrote {', '.join(undeclared)} without declaring it{_DECLARE % undeclared[0]}"
    if undeclared := sorted(seen.refused - repositories):
        tag = _DECLARE % f"{undeclared[0]}:TAG"
        return f"it would have written to {', '.join(undeclared)}, without declaring it{tag}"
    if cell.fails is None and (missing := sorted(declared - seen.wrote)):
        return f"it declares to write {', '.join(missing)}, and did not"
    tried = seen.refused | _repositories(seen.wrote)
    if cell.answers != NOBODY and (missing := sorted(repositories - tried)):
        return f"it declares to write to {', '.join(missing)}, and did not try to"
    return None


def _repositories(references: Iterable[str]) -> set[str]:
    return {reference.rpartition(":")[0] for reference in references}
