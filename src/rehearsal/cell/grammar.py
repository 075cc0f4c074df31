"""Check a shell cell before it runs, and refuse what would hide a failure from bash.

`set -euo pipefail` alone misses many failures. With these rules and the options of driver.bash, a
cell that ends well means that every one of its commands did.
"""

import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rehearsal.cell.rules import IN_A_WORD, refuse
from rehearsal.cell.syntax import Script, child_of, line_of, places, text, walk
from rehearsal.errors import Wrong

OTHER_SHELLS: tuple[str, ...] = ("sh", "script", "system", "sx", "!", "perl", "ruby")
OTHER_SHELLS += ("python", "python2", "python3", "pypy")
"""IPython's magics that start another program, which nothing would check."""


@dataclass(frozen=True)
class Finding:
    """Why a cell is refused, and its line: from 1, the magic line not counted."""

    line: int
    why: str


class Refused(Wrong):
    """A cell that must not run."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("; ".join(f"line {finding.line}: {finding.why}" for finding in findings))
        self.findings = tuple(findings)


def functions_of(script: Script) -> frozenset[str]:
    """Return the names of the functions that a script defines."""
    defined = (node for node in walk(script.tree) if node.type == "function_definition")
    return frozenset(text(child_of(node, "word")) for node in defined)


def check(script: Script, functions: frozenset[str] = frozenset()) -> None:
    """Raise Refused if bash would overlook a failure of a script; nothing of it is executed.

    functions: those that earlier cells define.
    """
    syntax = subprocess.run(
        ["bash", "-n"], input=script.text, capture_output=True, text=True, check=False
    )
    if syntax.returncode or syntax.stderr:
        raise Refused([_syntax_error(syntax.stderr)])
    known = functions | functions_of(script)
    nodes = [(node, refuse(node, known)) for node in walk(script.tree)]
    found = {Finding(node.start_point.row + 1, why) for node, why in nodes if why}
    for match in re.finditer(r"\brehearsal_\w", script.text):
        why = "names that begin with rehearsal_ are the shell's own"
        found.add(Finding(line_of(match), why))
    if found := found | {*_unseen(script)}:
        raise Refused(sorted(found, key=lambda finding: (finding.line, finding.why)))


def _syntax_error(said: str) -> Finding:
    first = said.strip().splitlines()[0]
    _, _, rest = first.partition("line ")
    line, _, message = rest.partition(": ")
    return Finding(int(line) if line.isdigit() else 1, message or first)


def _unseen(script: Script) -> Iterator[Finding]:
    """Find substitutions that the tree shows as text: nobody has read what stands in them."""
    for match in re.finditer(r"(?<!\\)(`|\$\((?!\())", script.text):
        node = script.node_at(match)
        shown = node is not None and node.type == match[0]
        if not shown and not places(node) & {"literal", "comment"}:
            yield Finding(line_of(match), IN_A_WORD)
