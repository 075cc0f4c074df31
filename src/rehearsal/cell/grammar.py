"""Check a shell cell before it runs, and refuse what would hide a failure from bash.

`set -euo pipefail` alone misses many failures. With these rules and the options of driver.bash, a
cell that ends well means that every one of its commands did.
"""

import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile, zip_longest

from tree_sitter import Node

from rehearsal.cell.rules import RULES
from rehearsal.cell.syntax import CONDITIONS, Script, is_certain, places, text, walk, words
from rehearsal.errors import Wrong

OTHER_SHELLS = (
    "sh",
    "script",
    "system",
    "sx",
    "!",
    "perl",
    "ruby",
    "python",
    "python2",
    "python3",
    "pypy",
)
"""IPython's magics that start another program, which nothing would check."""
_COMPOUND = {
    "compound_statement",
    "subshell",
    "for_statement",
    "c_style_for_statement",
    "while_statement",
}
_COMPOUND |= {"if_statement", "case_statement"}
_OVERLOOKED = (
    "in a condition, or left of ||, bash overlooks failures inside this; run it before, and test"
    " its result"
)


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
    names = (child for node in defined for child in node.children if child.type == "word")
    return frozenset(map(text, names))


def check(script: Script, functions: frozenset[str] = frozenset()) -> None:
    """Raise Refused if bash would overlook a failure of a script; nothing of it is executed.

    functions: those that earlier cells define.
    """
    syntax = subprocess.run(
        ["bash", "-n"], input=script.text, capture_output=True, text=True, check=False
    )
    if syntax.returncode or syntax.stderr:
        raise Refused([_syntax_error(syntax.stderr)])
    tree = script.tree
    found = {
        Finding(node.start_point.row + 1, why) for node in walk(tree) if (why := _refuse(node))
    }
    known = functions | functions_of(script)
    found |= {Finding(node.start_point.row + 1, _OVERLOOKED) for node in _overlooked(tree, known)}
    found |= {*_hidden_substitutions(script), *_unwaited(script)}
    if found:
        raise Refused(sorted(found, key=lambda finding: (finding.line, finding.why)))


def _syntax_error(said: str) -> Finding:
    first = said.strip().splitlines()[0]
    _, _, rest = first.partition("line ")
    line, _, message = rest.partition(": ")
    return Finding(int(line) if line.isdigit() else 1, message or first)


def _refuse(node: Node) -> str | None:
    rule = RULES.get(node.type)
    return rule(node) if rule else None


def _conditions(tree: Node) -> Iterator[Node]:
    """Yield what runs where errexit is off: conditions, and left sides of || and &&."""
    for node in walk(tree):
        if node.type in CONDITIONS:
            yield from _condition(node)
        elif node.type == "list":
            yield node.children[0]


def _condition(node: Node) -> list[Node]:
    """Return the nodes of a condition: those before `then` or `do`."""
    return list(takewhile(lambda child: child.type not in ("then", "do_group"), node.children))


def _overlooked(tree: Node, known: frozenset[str]) -> Iterator[Node]:
    for node in (inner for condition in _conditions(tree) for inner in walk(condition)):
        calls = node.type == "command" and words(node)[0] in known
        several = (
            node.type == "command_substitution"
            and sum(child.is_named for child in node.children) > 1
        )
        if node.type in _COMPOUND or calls or several:
            yield node
    for node in (node for node in walk(tree) if node.type in CONDITIONS):
        yield from [
            child for child in _condition(node) if child.is_named and child.type != "comment"
        ][:-1]


def _hidden_substitutions(script: Script) -> Iterator[Finding]:
    """Find backticks, and each $( that the tree shows as text: their failures would be lost."""
    content, tree = script.text.encode(), script.tree
    for match in re.finditer(rb"(?<!\\)(`|\$\((?!\())", content):
        node = tree.descendant_for_byte_range(match.start(), match.end())
        shown = match[0] == b"$(" and node is not None and node.type == "$("
        if not shown and not places(node) & {"literal", "comment"}:
            line = content.count(b"\n", 0, match.start()) + 1
            yield Finding(
                line,
                "the failure of this substitution would be lost; write name=$(…) on a line of"
                " its own",
            )


def _unwaited(script: Script) -> Iterator[Finding]:
    """Find background jobs without a `wait` of their own: their failures could be missed."""
    tree = script.tree
    found = [node for node in walk(tree) if node.type == "&" and not _is_bit_operator(node)]
    for node in (node for node in found if node.parent != tree):
        yield Finding(
            node.start_point.row + 1,
            "a job started in here cannot be waited for; start it in the cell",
        )
    jobs = [node for node in found if node.parent == tree]
    waits = [
        node
        for node in walk(tree)
        if node.type == "command" and words(node)[0] == "wait" and is_certain(node)
    ]
    for node, following in zip_longest(jobs, jobs[1:]):
        until = following.start_byte if following else tree.end_byte
        named = re.match(r"\s*(\w+)=\"?\$!", script.text.encode()[node.end_byte : until].decode())
        once = named and len(re.findall(rf"\b{named[1]}=", text(tree))) == 1
        later = [wait for wait in waits if wait.start_byte > node.end_byte]
        own = any("$!" in text(wait) and wait.start_byte < until for wait in later)
        if not own and not (
            named and once and any(re.search(rf"\$\{{?{named[1]}\b", text(wait)) for wait in later)
        ):
            yield Finding(
                node.start_point.row + 1, "nobody waits for this job; add a `wait $!` of its own"
            )


def _is_bit_operator(node: Node) -> bool:
    return node.parent is not None and node.parent.type == "binary_expression"
