"""Bash's branches and loops: what is taken or not, and both where nobody can tell."""

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from tree_sitter import Node

from megalotron_images.audit.conditions import fits
from megalotron_images.audit.expansions import text_of, word, words
from megalotron_images.audit.texts import either, merged, unknown, variants

if TYPE_CHECKING:
    from megalotron_images.audit.shell import Result, Shell

_ASKS = re.compile(r"\b(test|e?grep|diff|cmp|which|command -v|exit|return|break|continue)\b")
"""Commands whose success is an answer, and those that end what is being followed."""
_MOST_ITEMS = 50
Branch = tuple[bool | None, list[Node]]
"""Whether a branch is taken, None if nobody can tell, and its statements."""


def follow_list(shell: "Shell", node: Node, stdin: str) -> "Result":
    """Follow `a && b` or `a || b`."""
    left, right = node.named_children[0], node.named_children[-1]
    sign = next((one.type for one in node.children if one.type in ("&&", "||")), "&&")
    status, printed = shell.statement(left, stdin)
    if node.parent and node.parent.type == "redirected_statement":
        printed = ""  # the grammar gives the list what bash gives its last command
    is_decided = status is not None and status is not (sign == "&&")
    if is_decided:
        return status, printed
    is_test = left.type in ("test_command", "list", "negated_command")
    if status is None and (sign == "||" or is_test or _ASKS.search(text_of(node))):
        return None, printed + _perhaps(shell, [[right]], stdin)[1]
    status, more = shell.statement(right, stdin)
    return status, printed + more


def follow_if(shell: "Shell", node: Node, stdin: str) -> "Result":
    """Follow `if`; no condition behind one that certainly holds."""
    others = [one for one in node.named_children if one.type in ("elif_clause", "else_clause")]

    def branches() -> Iterator[Branch]:
        for clause in (node, *others):
            parts = [one for one in clause.named_children if one not in others]
            if clause.type == "else_clause":
                yield True, parts
            else:
                yield shell.statement(parts[0], stdin)[0], parts[1:]

    return _one_of(shell, branches(), stdin)


def follow_case(shell: "Shell", node: Node, stdin: str) -> "Result":
    """Follow `case`."""
    value = word(shell, node.named_children[0])

    def branches() -> Iterator[Branch]:
        for item in node.named_children[1:]:
            patterns = item.children_by_field_name("value")
            answers = {fits(value, word(shell, one)) for one in patterns}
            holds = True if True in answers else None if None in answers else False
            yield holds, [one for one in item.named_children if one not in patterns]

    return _one_of(shell, branches(), stdin)


def _one_of(shell: "Shell", branches: Iterable[Branch], stdin: str) -> "Result":
    """Follow the branches that may be taken: those up to the first that certainly is."""
    bodies, is_certain = list[list[Node]](), False
    for holds, body in branches:
        bodies += [body] * (holds is not False)
        if is_certain := bool(holds):
            break
    if is_certain and len(bodies) == 1:
        return None, shell.statements(bodies[0], stdin)
    return _perhaps(shell, bodies, stdin, maybe_none=not is_certain) if bodies else (None, "")


def _perhaps(
    shell: "Shell", bodies: Iterable[list[Node]], stdin: str, maybe_none: bool = True
) -> "Result":
    """Follow branches of which nobody can tell which is taken; merge what they assign.

    maybe_none: whether it may be none of them.
    """
    before, start, printed, how = shell.env, dict(shell.run.files), list[str](), ""
    ends, written = ([dict(before)], [start]) if maybe_none else ([], [])
    for body in bodies:
        shell.env = dict(before)
        shell.set_files([start])
        printed.append(shell.statements(body, stdin))
        if not shell.ended:
            ends.append(shell.env)
            written.append(dict(shell.run.files))
        how, shell.ended = shell.ended or how, ""
    shell.env = merged(ends) if ends else before
    shell.set_files(written)
    shell.ended = "" if ends else how
    return None, either([*printed, *[""] * maybe_none]) if any(printed) else ""


def follow_for(shell: "Shell", node: Node, stdin: str) -> "Result":
    """Follow `for`."""
    values = node.children_by_field_name("value")
    texts = [part for one in values for text in words(shell, one) for part in variants(text)]
    items = [item for text in texts for item in text.split()]
    return _each(shell, text_of(node.child_by_field_name("variable")), items, node, stdin)


def follow_while(shell: "Shell", node: Node, stdin: str) -> "Result":
    """Follow `while read` once for each line, `getopts` for each option; another loop once."""
    head, body = node.named_children[0], node.named_children[-1:]
    if letters := re.search(r"\bgetopts\s+[\"']?([\w:]+)[\"']?\s+(\w+)", text_of(head)):
        return _getopts(shell, letters[1], letters[2], body)
    if re.search(r"\bshift\b", text_of(node)):
        before = ""
        while (given := shell.env.get("@", "")) != before:
            before = given
            shell.statements(body, stdin)
        return None, ""
    match = re.search(r"\bread\s+(?:-\w+\s+)*(\w+)$", text_of(head).strip())
    if not match:
        shell.statement(head, stdin)
        return _perhaps(shell, [body], stdin)
    lines = [one.strip() for one in stdin.splitlines() if one.strip()]
    return _each(shell, match[1], lines if stdin else [unknown("a line read")], node, "")


def _getopts(shell: "Shell", letters: str, name: str, body: list[Node]) -> "Result":
    """Follow the body of `while getopts` for each option that is given."""
    given = iter(shell.env.get("@", "").split())
    for one in given:
        has_value = f"{one[1:2]}:" in letters
        shell.env |= {name: one[1:2], "OPTARG": one[2:] or (has_value and next(given, "")) or ""}
        shell.statements(body)
    return None, ""


def _each(shell: "Shell", name: str, items: list[str], loop: Node, stdin: str) -> "Result":
    """Follow the body of a loop for each item."""
    printed = ""
    if len(items) > _MOST_ITEMS:
        shell.run.doubt(f"a loop over {len(items)} items: {_MOST_ITEMS} are looked at")
    for item in items[:_MOST_ITEMS]:
        shell.assign(name, item, loop)
        printed += shell.statements(loop.named_children[-1:], stdin)
    return None, printed
