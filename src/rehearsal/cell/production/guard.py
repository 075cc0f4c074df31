"""The backend `production`: the person's own engine and registries, guarded and recorded.

Only cells that a rehearsal has run, byte for byte, run here. Before a cell that declares writes,
the person types each full reference; without a person, or with another answer, nothing is sent.
"""

import contextlib
import functools
import json
import os
import shlex
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NoReturn

from rehearsal.cell.bash import Ended, Interrupted, Shell
from rehearsal.cell.logins import secrets_of_person
from rehearsal.cell.options import ShellCell, split_magic
from rehearsal.cell.placeholders import Placeholder
from rehearsal.cell.processes import on_signal
from rehearsal.cell.production import record
from rehearsal.cell.production.allowed_cells import allowed_cells
from rehearsal.cell.production.reaper import Lifeline
from rehearsal.cell.production.surroundings import surroundings
from rehearsal.cell.production.values import Values, ask
from rehearsal.cell.redact import RedactedOutput
from rehearsal.errors import Wrong
from rehearsal.room.docker_config import stored_logins
from rehearsal.settings import load_settings

NOTEBOOK = "REHEARSAL_NOTEBOOK"
"""Variable with the notebook's name; JupyterLab sets JPY_SESSION_NAME."""
VERB = "rehearsal_run"
"""The magic by which a person steers a run: `%rehearsal_run skip`; see handle_command."""


class Production:
    """The person's own machine.

    Attributes:
        _state: a script that makes a new shell as the last one was after its last good cell.
        _values: what the person gave for placeholders.
        _digests_then: what each reference pointed to at the end of the run that is continued.
        _current: the source of the cell that runs.
        _printed: what the last cell printed.
        _failed: the source of the cell that must run again, or be skipped, before another.
    """

    def __init__(self) -> None:
        self.folder = Path.cwd()
        project = load_settings(self.folder)
        self._digest_command = project.digest
        self._shell: Shell | None = None
        self._state = ""
        self._values = Values()
        self._digests_then: dict[str, str | None] = {}
        self._current, self._failed, self._printed = "", "", ""
        self._allowed = frozenset(allowed_cells(self.folder))
        named = os.environ.get(record.VARIABLE)
        new = record.Record.new(project.root / "runs", _notebook())
        self._record = record.Record(Path(named)) if named else new

    @functools.cached_property
    def _lifeline(self) -> Lifeline:
        return Lifeline(self._record.file, self._digest_command)

    def shell(self) -> Shell:
        """Return the shell, in the person's own environment.

        After a failed cell it is a new one, as the old was before that cell.
        """
        if self._shell is None:
            about_run = surroundings(self.folder)
            self._record.add("start", notebook=_notebook(), **about_run)
            self._record.hold()
            self._shell = self._new_shell()
            said = ", ".join(about_run["engine"].values())
            print(f"PRODUCTION: your own engine ({said}). Record: {self._record.file}", flush=True)
        elif self._shell.broken:
            self._shell.close()
            self._shell = self._new_shell()
        return self._shell

    def value(self, placeholder: Placeholder) -> str:
        """Return the person's value, asked for once a run; a secret is not echoed."""
        try:
            return self._values.get(placeholder, self._printed)
        except Wrong as error:
            self._refuse(str(error))

    def secrets(self, known: Iterable[Placeholder]) -> set[str]:
        """Return passwords and tokens of the environment and of Docker's logins."""
        return secrets_of_person()

    def answer(self, question: str, text: str, cell: ShellCell) -> str:
        """Return a reference that the person types to the guard; what else is asked, ask now."""
        return text if text in cell.writes else ask(input, f"{question} ")

    def after_cell(self, result: Any) -> None:
        """Record a cell of Python; let no other cell run until one that failed has run again."""
        source, failed = result.info.raw_cell.strip(), result.error_in_exec is not None
        if not source or source != self._current:
            return  # a word about the run, or a cell that was refused
        self._failed = source if failed else ""
        if split_magic(source)[0] is None:
            self.shell()
            self._record.add("python", code=source, failed=failed)

    @contextlib.contextmanager
    def running(self, cell: ShellCell, shown: RedactedOutput) -> Iterator[None]:
        """Ask before a write, and record the cell as it runs."""
        try:
            self._guard(cell)
        except Wrong as error:
            self._refuse(shown.hide(str(error)), command=shown.hide(cell.script))
        command, values = shown.hide(cell.script), self._values.for_record(shown)
        writes = {"writes": list(cell.writes), "before": self._digests(cell)}
        self._record.add("cell", command=command, values=values, **writes)
        self._lifeline.report(self.shell().process, cell.writes)
        begin, ended = time.monotonic(), {"status": 1}
        try:
            yield
            with _uninterrupted():
                self._state = self.shell().state()
            ended = {"status": cell.fails or 0, "well": True}
        except Ended as error:
            interrupted = {"interrupted": True} if isinstance(error, Interrupted) else {}
            ended = {"status": error.code, **interrupted}
            raise
        finally:
            with _uninterrupted():
                took = round(time.monotonic() - begin, 3)
                self._record.add("end", **ended, seconds=took, output=shown.text)
                self._printed = shown.text
                if cell.writes:
                    self._record.add("after", after=self._digests(cell))
                self._lifeline.report(self.shell().process, ())

    def end_flood(self, why: str) -> None:
        """Say that the rest is not shown; the cell runs on, as it may be halfway through a push."""
        print(f"\nThis cell goes on, and what it prints is no longer shown or recorded: {why}.")

    def reason_to_skip(self, cell: ShellCell) -> str:
        """Return nothing: the cell itself fails where this engine cannot do it."""
        return ""

    def check(self, source: str) -> None:
        """Raise Wrong for a cell that no rehearsal has run, byte for byte.

        After a failed cell, only that one may run.
        """
        source = source.strip()
        if source not in self._allowed:
            self.shell()
            # without its text, which may hold what somebody put in for a placeholder
            why = "so nothing was sent; rehearse it (rehearsal refresh)"
            self._refuse(f"no rehearsal has run this cell as it is, {why}")
        if self._failed not in ("", source):
            how = f"run it again, or %{VERB} skip (%{VERB} values changes what you typed)"
            raise Wrong(f"the cell that failed comes first: {how}")
        self._current, self._failed = source, ""

    def handle_command(self, line: str, text: str = "") -> None:
        """Carry out `%rehearsal_run VERB`; raise Wrong for an unknown verb.

        `skip`: go on without the cell `text`, or the one that failed. `values`: ask for each value
        again. `stop` and `finish`: record how the run ends, and print what is left. `continue`: go
        on with the record `text`. `compare`: see that nobody has moved what that run wrote.
        """
        verb = line.strip()
        verbs: dict[str, Callable[[], None]] = {
            "skip": lambda: self._skip(text),
            "values": self._ask_again,
            "stop": lambda: self._end(verb),
            "finish": lambda: self._end(verb),
            "continue": lambda: self._continue(Path(text.strip())),
            "compare": self._compare,
        }
        if verb not in verbs:
            raise Wrong(f"%{VERB} {verb} is unknown; there is {', '.join(verbs)}")
        self.shell()
        verbs[verb]()

    def close(self) -> None:
        """End the shell and the run's record, and remove the scripts that it ran."""
        if self._shell:
            self._shell.close()
            self._record.add("closed")
            self._lifeline.close()

    def _refuse(self, why: str, **what: object) -> NoReturn:
        self._record.add("refused", **what, why=why)
        raise Wrong(why)

    def _new_shell(self) -> Shell:
        """Return a shell like the last one."""
        shell = Shell(state=self._state)
        self._lifeline.report(shell.process, ())
        return shell

    def _skip(self, source: str) -> None:
        if not (over := source or self._failed):
            raise Wrong("no cell has failed, so there is none to go on without")
        self._record.add("skip", command=split_magic(over)[1].strip())
        self._failed = ""

    def _ask_again(self) -> None:
        self._values.ask_again()
        self._failed = ""

    def _continue(self, file: Path) -> None:
        """Take over the values of another run, and what it wrote; secrets are not in its record.

        Raises Wrong if somebody else is at that run.
        """
        record.Record(file).hold()
        events = record.read_whole(file)
        self._record.add("continue", of=file.name)
        self._values.take_over(record.values_of(events))
        self._digests_then = record.digests_after(events)

    def _compare(self) -> None:
        """Print what each reference points to that the run before wrote; raise Wrong if one moved.

        A reference that cannot be resolved counts as moved.
        """
        moved = []
        for reference, then in self._digests_then.items():
            now = self._digest(reference)
            print(f"{reference}: {record.pointed_to(now)}")
            self._record.add("compared", after={reference: now})
            if then == record.UNKNOWN:
                moved.append(f"what {reference} pointed to at the end of that run is not known")
            elif "digest" not in now or now["digest"] != then:
                moved.append(f"{reference} pointed to {then or 'nothing'} at the end of that run")
        if moved:
            raise Wrong(f"{'; '.join(moved)}: find out who has written it before you continue")

    def _end(self, verb: str) -> None:
        """Record the end; print what was written, what is left, and of a stop how to go on."""
        self._record.add(verb)
        if verb == "stop":
            print(f"Record: {self._record.file}")
            print(f"To continue: rehearsal run {_notebook()} --production --continue")
        for reference, digest in record.digests_after(record.read_whole(self._record.file)).items():
            unknown = "the registry did not answer" if digest == record.UNKNOWN else ""
            print(f"Written: {reference} ({unknown or digest or 'it points to nothing'})")
        for host in stored_logins():
            print(f"Still stored on this machine: the login for {host} (docker logout {host})")

    def _guard(self, cell: ShellCell) -> None:
        """Ask for each reference; raise Wrong, before anything is sent, for another answer.

        The declared ones are all that a cell writes: a rehearsal fails one that writes another.
        """
        if cell.writes:
            refuse_in_ci()
        for reference in cell.writes:
            typed = ask(input, f"This cell writes {reference}. Type it in full to go on: ")
            if typed != reference:
                # what was typed is not kept: it may be a token in the wrong place
                raise Wrong(f"that is not {reference}: nothing was sent")
            self._record.add("confirmed", typed=typed)

    def _digests(self, cell: ShellCell) -> dict[str, dict[str, Any]]:
        """Return the digest command's answer for each reference."""
        return {one: self._digest(one) for one in cell.writes if self._digest_command}

    def _digest(self, reference: str) -> dict[str, Any]:
        """Return the digest command's answer, asked in the shell, with what it exports.

        What it says of its waiting, on its standard error, is shown as it comes.
        """
        shell = self.shell()
        shown = RedactedOutput(secrets_of_person() | self._values.secrets)
        file, program = shell.folder / "digest", self._digest_command.split()[0]
        # in an if, as its failure must not end the strict shell
        asked = f"{self._digest_command} {shlex.quote(reference)} > {shlex.quote(str(file))}"
        missing = f"else echo 'no {program} here'; fi"
        there = f"if command -v {program} > /dev/null; then"
        try:
            shell.ask(f"{there} if {asked}; then :; fi; {missing}", shown.write)
            shown.end()
            return dict(json.loads(file.read_text()))
        except (OSError, TypeError, ValueError, Wrong) as error:
            return {record.UNKNOWN: shown.text.strip() or str(error)}


def refuse_in_ci() -> None:
    """Raise Wrong where the environment says that this is CI."""
    if os.environ.get("CI", "").lower() not in ("", "0", "false", "no"):
        raise Wrong("CI is set, and only a person may write to a registry: nothing was sent")


def _uninterrupted() -> AbstractContextManager[None]:
    """Let Ctrl-C wait until the record is complete."""
    wait = "Interrupted: asking the registry what was written, please wait."
    return on_signal(signal.SIGINT, lambda *_: print(wait, flush=True))


def _notebook() -> str:
    return Path(os.environ.get(NOTEBOOK) or os.environ.get("JPY_SESSION_NAME") or "notebook").stem
