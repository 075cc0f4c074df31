"""Where a node of a script stands, and what becomes of its status there."""

import re

from tree_sitter import Node

from rehearsal.cell.syntax import CONDITIONS, ancestors, text, walk, words

_SAYS = ("echo", "printf")
_STATUS = re.compile(r"\"?\$\?\"? (=|==|-eq) [1-9]\d{0,2}")


def is_overlooked(node: Node) -> bool:
    """Whether bash looks at no failure inside a node, but for its own status.

    So it is in a condition, left of || and &&, and behind !.
    """
    for parent in ancestors(node):
        if parent.type == "function_definition":
            return False
        if parent.type in CONDITIONS and _before_then(node, parent):
            return True
        if parent.type == "list" and parent.children[-1] != node:
            return True
        if parent.type == "negated_command" or is_negated(node, parent):
            return True
        node = parent
    return False


def is_question(node: Node) -> bool:
    """Whether a node's failing is an answer: in a condition, or left of || without an end."""
    for parent in ancestors(node):
        if parent.type in CONDITIONS and _before_then(node, parent):
            return True
        left = parent.type == "list" and parent.children[-1] != node
        if left and parent.children[-2].type == "||":
            return not may_fail(parent.children[-1])
        if parent.type not in ("list", "negated_command", "pipeline", "redirected_statement"):
            return False
        node = parent
    return False


def is_last(node: Node) -> bool:
    """Whether a statement's status is that of the whole statement, or of its subshell."""
    parent = node.parent
    if parent is None or parent.type == "program":
        return True
    behind = [child for child in parent.children if child.is_named and child.type != "comment"]
    if parent.type in ("subshell", "command_substitution"):
        return behind[-1] == node
    if parent.type in ("pipeline", "redirected_statement"):
        return is_last(parent)
    return parent.type == "compound_statement" and behind[-1] == node and is_last(parent)


def is_part_of_a_word(node: Node) -> bool:
    """Whether a command stands in a substitution that is not alone in an assignment."""
    kinds = ("command_substitution", "process_substitution")
    outer = (one for one in ancestors(node) if one.type in kinds)
    return any(assignment_of(one) is None for one in outer)


def assignment_of(node: Node) -> Node | None:
    """Return the plain assignment whose one substitution a node is."""
    if node.type != "command_substitution":
        return None
    outer = node.parent
    while outer is not None and outer.type in ("string", "concatenation"):
        outer = outer.parent
    if outer is None or outer.type != "variable_assignment" or outer.parent is None:
        return None
    if outer.parent.type in ("command", "declaration_command", "variable_assignments"):
        return None
    inner = (one for one in walk(outer) if one.type == "command_substitution" and one != node)
    beside = [one for one in inner if not node.start_byte < one.start_byte < node.end_byte]
    return None if beside else outer


def may_fail(node: Node) -> bool:
    """Whether the right side of || ends the cell, or tests for a certain status."""
    if node.type == "redirected_statement":
        return may_fail(node.children[0])
    if node.type == "compound_statement":
        *before, last = [
            child for child in node.children if child.is_named and child.type != "comment"
        ]
        return may_fail(last) and all(map(_says, before))
    if node.type == "test_command":
        return bool(_STATUS.fullmatch(text(node).strip("[ ]")))
    name, *arguments = words(node) if node.type == "command" else [""]
    if name in ("exit", "return") and not arguments:  # with the status of what failed before it
        return node.parent is not None and node.parent.type == "list"
    if name in ("exit", "return"):
        return len(arguments) == 1 and arguments[0].isdigit() and 0 < int(arguments[0]) < 256
    said = " ".join(arguments).removesuffix(" ]")
    return name == "false" or (name in ("test", "[", "[[") and bool(_STATUS.fullmatch(said)))


def _says(node: Node) -> bool:
    inner = node.children[0] if node.type == "redirected_statement" else node
    return inner.type == "command" and words(inner)[0] in _SAYS


def _before_then(node: Node, parent: Node) -> bool:
    """Whether a child of an if, elif, while or until belongs to its condition."""
    ends = [child.start_byte for child in parent.children if child.type in ("then", "do_group")]
    return bool(ends) and node.end_byte <= ends[0]


def is_negated(node: Node, parent: Node) -> bool:
    """Whether ! stands before a pipeline, which tree-sitter reads as part of its first command."""
    return parent.type == "pipeline" and parent.children[0].type == "negated_command"
