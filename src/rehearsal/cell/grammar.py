"""Check a shell cell before it runs, and refuse what would hide a failure from bash.

`set -euo pipefail` alone misses many failures. With these rules and the options of driver.bash, a
cell that ends well means that every one of its commands did.
"""

import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tree_sitter import Node

from rehearsal.cell.rules import refuse
from rehearsal.cell.statuses import IN_A_WORD
from rehearsal.cell.syntax import Script, child_of, inside, line_of, places, text, walk, words
from rehearsal.errors import Wrong

OTHER_SHELLS: tuple[str, ...] = ("sh", "script", "system", "sx", "!", "perl", "ruby")
OTHER_SHELLS += ("python", "python2", "python3", "pypy")
"""IPython's magics that start another program, which nothing would check."""
_SETS_VARIABLES = {"read", "mapfile", "readarray", "printf", "getopts"}
"""Commands that set variables whose names they are given."""


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


def names_of(script: Script) -> frozenset[str]:
    """Return the functions that a script defines, and, with a =, the variables that it sets."""
    return frozenset(name for node in walk(script.tree) for name in _names_of(node))


def _names_of(node: Node) -> Iterator[str]:
    if node.type == "function_definition":
        yield text(child_of(node, "word"))
    elif node.type == "variable_name" and not inside(node, "expansion", "simple_expansion"):
        yield f"{text(node)}="
    elif node.type == "command" and words(node)[0] in _SETS_VARIABLES:
        yield from (f"{word}=" for word in words(node)[1:])


def check(script: Script, names: frozenset[str] = frozenset()) -> None:
    """Raise Refused if bash would overlook a failure of a script; nothing of it is executed.

    names: those of earlier cells.
    """
    syntax = subprocess.run(
        ["bash", "-n"], input=script.text, capture_output=True, text=True, check=False
    )
    if syntax.returncode or syntax.stderr:
        raise Refused([_syntax_error(syntax.stderr)])
    known = names | names_of(script)
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
