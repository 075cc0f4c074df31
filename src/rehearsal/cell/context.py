"""Where a node of a script stands, and what becomes of its status there."""

import re

from tree_sitter import Node

from rehearsal.cell.syntax import (
    AROUND_A_STATUS,
    ancestors,
    commands,
    is_condition_of,
    is_in,
    steps_up,
    text,
    walk,
    words,
)

SAYS = ("echo", "printf")
_STATUS = re.compile(r"\"?\$\?\"? (=|==|-eq) [1-9]\d{0,2}")


def is_overlooked(node: Node) -> bool:
    """Whether bash looks at no failure inside a node, but for its own status.

    So it is in a condition, left of || and &&, and behind !.
    """
    for child, parent in steps_up(node):
        if parent.type == "function_definition":
            return False
        negated = parent.type == "negated_command" or is_negated(child)
        if negated or _is_left(child, parent) or is_condition_of(child, parent):
            return True
    return False


def is_question(node: Node) -> bool:
    """Whether a node's failing is an answer: in a condition, or left of || without an end."""
    for child, parent in steps_up(node):
        if _is_left(child, parent) and parent.children[-2].type == "||":
            return not may_fail(parent.children[-1])
        if parent.type not in AROUND_A_STATUS:
            return is_condition_of(child, parent)
    return False


def is_last(node: Node) -> bool:
    """Whether a statement's status is that of the whole statement, or of its subshell."""
    parent = node.parent
    if parent is None or parent.type == "program":
        return True
    if parent.type in ("pipeline", "redirected_statement"):
        return is_last(parent)
    if commands(parent)[-1:] != [node]:
        return False
    group = parent.type == "compound_statement" and is_last(parent)
    return group or parent.type in ("subshell", "command_substitution")


def is_part_of_a_word(node: Node) -> bool:
    """Whether a command stands in a substitution that is not alone in an assignment."""
    kinds = ("command_substitution", "process_substitution")
    return any(one.type in kinds and assignment_of(one) is None for one in ancestors(node))


def assignment_of(node: Node) -> Node | None:
    """Return the plain assignment whose one substitution a node is."""
    outer = next(
        (one for one in ancestors(node) if one.type not in ("string", "concatenation")), None
    )
    if node.type != "command_substitution" or outer is None or outer.type != "variable_assignment":
        return None
    part = is_in(outer, "command", "declaration_command", "variable_assignments")
    return outer if not part and _substitutions(outer) == _substitutions(node) else None


def _substitutions(node: Node) -> int:
    return sum(one.type == "command_substitution" for one in walk(node))


def may_fail(node: Node) -> bool:
    """Whether the right side of || ends the cell, or tests for a certain status."""
    if node.type == "redirected_statement":
        return may_fail(node.children[0])
    if node.type == "compound_statement":
        *before, last = commands(node)
        return may_fail(last) and all(map(_says, before))
    if node.type == "test_command":
        return bool(_STATUS.fullmatch(text(node).strip("[ ]")))
    name, *arguments = words(node) if node.type == "command" else [""]
    if name in ("exit", "return") and not arguments:  # with the status of what failed before it
        return is_in(node, "list")
    said = " ".join(arguments)
    if name in ("exit", "return"):
        return said.isdigit() and 0 < int(said) < 256
    asks = name in ("test", "[", "[[") and _STATUS.fullmatch(said.removesuffix(" ]"))
    return name == "false" or bool(asks)


def _says(node: Node) -> bool:
    inner = node.children[0] if node.type == "redirected_statement" else node
    return inner.type == "command" and words(inner)[0] in SAYS


def _is_left(node: Node, parent: Node) -> bool:
    """Whether something follows a node in a list of commands."""
    return parent.type == "list" and parent.children[-1] != node


def is_negated(node: Node) -> bool:
    """Whether ! stands before its pipeline, which tree-sitter reads as part of a first command."""
    pipe = node.parent
    return (
        pipe is not None and is_in(node, "pipeline") and pipe.children[0].type == "negated_command"
    )
