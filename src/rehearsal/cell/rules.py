"""The rules for the strict shell, by the kind of a node in a script's syntax tree.

What bash and driver.bash notice themselves needs no rule: see `statuses` and `commands`.
"""

import re
from collections.abc import Callable

from tree_sitter import Node

from rehearsal.cell import commands, statuses
from rehearsal.cell.syntax import child_of, is_overlooked, is_part_of_a_word, text, words


def _error(node: Node) -> str:
    return "this cannot be read for certain; write it in a simpler way"


def _heredoc(node: Node) -> str | None:
    start = child_of(node, "heredoc_start")
    if start is None or any(child.is_missing for child in node.children):
        return _error(node)
    line = (node.text or b"")[start.end_byte - node.start_byte :].partition(b"\n")[0].decode()
    if re.search(r";|\|\||(?<!>)&(?!>)", line):  # and not the & of >& and &>
        return "what follows a heredoc on its line may hide a failure; put it on a line of its own"
    return None


def _expansion(node: Node) -> str | None:
    """`${x@P}` expands the value as a prompt, and so runs a $(…) that stands in it."""
    if re.fullmatch(r"\$\{!?[\w@*]+(\[[^]]*\])?@P\}", text(node)):
        return "what this works out is not read for failures; write it into the cell"
    return None


_RULES: dict[str, Callable[[Node], str | None]] = {
    "ERROR": _error,
    "command_substitution": statuses.substitution,
    "process_substitution": statuses.substitution,
    "list": statuses.list_of_commands,
    "negated_command": statuses.negation,
    "heredoc_redirect": _heredoc,
    "file_redirect": statuses.redirection,
    "expansion": _expansion,
    "test_command": statuses.test_command,
    "function_definition": commands.function,
    "command": commands.command,
    "&": commands.job,
    "elif_clause": statuses.condition,
    **dict.fromkeys(statuses.COMPOUND, statuses.compound),
}


def refuse(node: Node, known: frozenset[str]) -> str | None:
    """Return why a node is refused, or None.

    known: the functions that the script may call, and, with a =, the variables that are set. Where
    bash overlooks what fails in a function, it must not be called.
    """
    # these two need `known`
    if node.type == "pipeline":
        return statuses.pipeline(node, known)
    if node.type == "command" and words(node)[0] in known:
        if is_overlooked(node):
            return statuses.OVERLOOKED
        if is_part_of_a_word(node):
            return statuses.IN_A_WORD
    rule = _RULES.get(node.type)
    return rule(node) if rule else None
