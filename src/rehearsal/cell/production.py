"""The backend `production`: the person's own engine and registries, guarded and recorded.

Only cells that a rehearsal has run, byte for byte, run here. Before a cell that declares writes,
the person types each full reference; without a person, or with another answer, nothing is sent.
"""

import base64
import contextlib
import getpass
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rehearsal.cell.bash import Ended, Shell
from rehearsal.cell.options import NOT_HERE, ShellCell
from rehearsal.cell.placeholders import Filled, Placeholder, runbooks
from rehearsal.cell.record import Record
from rehearsal.cell.redact import Shown
from rehearsal.errors import Wrong
from rehearsal.settings import KERNEL, load_settings

NOTEBOOK = "REHEARSAL_NOTEBOOK"
"""Variable with the notebook's name; JupyterLab sets JPY_SESSION_NAME."""
_SECRET_NAME = re.compile(r"TOKEN|PASSWORD|PASSWD|SECRET|(^|_)PAT($|_)|API_?KEY", re.IGNORECASE)
_SHORTEST_SECRET = 6
_SECONDS = 90


class Production:
    """The person's own machine."""

    def __init__(self) -> None:
        self.folder = Path.cwd()
        project = load_settings(self.folder)
        self._command = project.digest
        self._shell: Shell | None = None
        self._values: dict[str, str] = {}
        self._rehearsed = frozenset(_rehearsed(self.folder))
        self._record = Record(project.root / "runs", _notebook())

    def shell(self) -> Shell:
        """Return the shell, in the person's own environment."""
        if self._shell is None:
            shell = Shell(Path(tempfile.mkdtemp(prefix="rehearsal-")))
            engine = _engine()
            self._record.add("start", notebook=_notebook(), person=getpass.getuser(), engine=engine)
            self._shell = shell
            said = ", ".join(engine.values())
            print(f"PRODUCTION: your own engine ({said}). Record: {self._record.file}", flush=True)
        return self._shell

    def value(self, placeholder: Placeholder) -> str:
        """Return the person's value, asked for once a run; a secret is not echoed."""
        if placeholder.name not in self._values:
            ask = getpass.getpass if placeholder.secret else input
            answer = _ask(ask, f"{placeholder.what}\n<{placeholder.name}>: ").strip()
            if not answer:
                raise Wrong(f"<{placeholder.name}> was left empty, so the cell did not run.")
            self._values[placeholder.name] = answer
        return self._values[placeholder.name]

    def secrets(self, known: Iterable[Placeholder]) -> set[str]:
        """Return passwords and tokens of the environment and of Docker's logins."""
        long = {name: value for name, value in os.environ.items() if len(value) >= _SHORTEST_SECRET}
        return {value for name, value in long.items() if _SECRET_NAME.search(name)} | _stored()

    @contextlib.contextmanager
    def running(self, cell: ShellCell, shown: Shown) -> Iterator[None]:
        """Ask before a write, and record the cell as it runs."""
        try:
            self._guard(cell)
        except Wrong as error:
            self._record.add("refused", command=shown.hide(cell.script), why=str(error))
            raise
        values = {
            name: "*****" if shown.hide(value) != value else value
            for name, value in self._values.items()
        }
        before = self._digests(cell)
        self._record.add(
            "cell",
            command=shown.hide(cell.script),
            values=values,
            writes=list(cell.writes),
            before=before,
        )
        begin, status = time.monotonic(), 1
        try:
            yield
            status = cell.fails or 0
        except Ended as error:
            status = error.code
            raise
        finally:
            took = round(time.monotonic() - begin, 3)
            self._record.add("end", status=status, seconds=took, output=shown.text)
            if cell.writes:
                self._record.add("after", after=self._digests(cell))

    def passes_over(self, cell: ShellCell) -> str:
        """Return nothing: the cell itself says what this engine cannot do."""
        return ""

    def check(self, source: str) -> None:
        """Raise Wrong for a cell that no rehearsal has run as it is: nobody has verified it."""
        if source.strip() not in self._rehearsed:
            why = (
                "no rehearsal has run this cell as it stands, so nothing was sent; rehearse it"
                " (rehearsal refresh)"
            )
            self.shell()
            # not its text, which may hold what somebody put in for a placeholder
            self._record.add("refused", why=why)
            raise Wrong(why)

    def close(self) -> None:
        """End the shell, and remove the scripts that it ran."""
        if self._shell:
            self._shell.close()
            shutil.rmtree(self._shell.folder, ignore_errors=True)

    def _guard(self, cell: ShellCell) -> None:
        """Ask for each reference; raise Wrong, before anything is sent, for another answer."""
        if not cell.writes:
            return
        if os.environ.get("CI", "").lower() in ("1", "true", "yes"):
            raise Wrong("CI is set, and only a person may write to a registry: nothing was sent")
        for reference in cell.writes:
            typed = _ask(input, f"This cell writes {reference}. Type it in full to go on: ").strip()
            if typed != reference:
                raise Wrong(f"that is not {reference}: nothing was sent")

    def _digests(self, cell: ShellCell) -> dict[str, object]:
        """Return what the project's digest command says of each reference."""
        return (
            {reference: self._digest(reference) for reference in cell.writes}
            if self._command
            else {}
        )

    def _digest(self, reference: str) -> object:
        program, command = self._command.split()[0], f"{self._command} {shlex.quote(reference)}"
        said = bytearray()
        shell = self.shell()
        try:
            if shell.broken:
                done = subprocess.run(
                    shlex.split(command), capture_output=True, timeout=_SECONDS, check=False
                )
                said += done.stdout or done.stderr
            else:
                asked = f"if {command} 2>&1; then :; fi"
                there = (
                    f"if command -v {program} > /dev/null; then {asked}; else echo 'no {program}"
                    " here'; fi"
                )
                shell.run(Filled(there, ((0, there),), {}), said.extend, values={})
            return json.loads(said)
        except (OSError, ValueError, Wrong, subprocess.TimeoutExpired) as error:
            return {"unknown": said.decode(errors="replace").strip() or str(error)}


def _ask(ask: object, prompt: str) -> str:
    """Return a person's answer; raise Wrong if nobody can be asked."""
    from IPython.core.error import StdinNotImplementedError

    try:
        return str(ask(prompt))  # type: ignore[operator] # input or getpass, which the kernel puts in their places
    except (StdinNotImplementedError, EOFError):
        raise Wrong(
            "nobody is there to ask: run it in JupyterLab or a terminal; nothing was sent"
        ) from None
    except KeyboardInterrupt:
        raise Wrong("you stopped it: nothing was sent") from None


def _rehearsed(folder: Path) -> Iterator[str]:
    """Yield the sources of a folder's cells that a rehearsal ran well, and that are in the text."""
    import jupytext

    for path in runbooks(folder):
        with contextlib.suppress(Exception):  # what cannot be read was not rehearsed
            notebook = json.loads(path.with_suffix(".ipynb").read_text())
            if notebook["metadata"]["kernelspec"]["name"] == KERNEL:
                ran = {
                    "".join(cell["source"]).strip() for cell in notebook["cells"] if _ran_well(cell)
                }
                yield from ran & {cell.source.strip() for cell in jupytext.read(path).cells}


def _ran_well(cell: dict[str, Any]) -> bool:
    """Whether a code cell ran, did not fail, and was not passed over for another image store."""
    outputs = cell.get("outputs", ())
    failed = any(output["output_type"] == "error" for output in outputs)
    over = any("".join(output.get("text", "")).startswith(NOT_HERE) for output in outputs)
    ran = cell["cell_type"] == "code" and cell["execution_count"] is not None
    return ran and not failed and not over


def _stored() -> set[str]:
    """Return the passwords that Docker has stored in its configuration."""
    found = set()
    with contextlib.suppress(OSError, ValueError, AttributeError, TypeError):
        file = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"
        for login in json.loads(file.read_text()).get("auths", {}).values():
            found.add(base64.b64decode(login.get("auth", "")).decode().partition(":")[2])
    return {password for password in found if len(password) >= _SHORTEST_SECRET}


def _notebook() -> str:
    return Path(os.environ.get(NOTEBOOK) or os.environ.get("JPY_SESSION_NAME") or "notebook").stem


def _engine() -> dict[str, str]:
    """Return the engine's address, and its name and version if it answers."""
    found = {"address": os.environ.get("DOCKER_HOST", "the default")}
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        command = ["docker", "info", "--format", "{{.Name}} {{.ServerVersion}}"]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
        found["name"] = done.stdout.strip() or "does not answer"
    return found
