"""Syntax trees of shell and Python cells; where a node stands, and what becomes of its status."""

import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import dropwhile, pairwise

import tree_sitter_bash
from tree_sitter import Language, Node, Parser

FORM = re.compile(r"(?<!<)<([A-Za-z](?:[^<>\n]*[^<>\s])?)>")
"""A placeholder: words in angle brackets, without spaces next to them."""
CONDITIONS = {"if_statement", "elif_clause", "while_statement"}
_LOST = re.compile(r"[1&]?>{1,2}\|?\s*[\"']?/dev/null[\"']?")
_BRANCHES = {"for_statement", "c_style_for_statement", "case_statement"}
_SETTERS = {"declaration_command", "unset_command", "function_definition"}
_CHANGES_STATE = {"cd", "pushd", "popd", "read", "mapfile", "set", "shopt", "umask", "source", "."}
_SAYS = ("echo", "printf")
_STATUS = re.compile(r"\"?\$\?\"? (=|==|-eq) [1-9]\d{0,2}")
_AROUND_A_STATUS = {"list", "negated_command", "pipeline", "redirected_statement"}
_REDIRECTIONS = {"file_redirect", "herestring_redirect", "heredoc_redirect"}
_PARSER = Parser(Language(tree_sitter_bash.language()))


@dataclass(frozen=True)
class Script:
    """A shell cell's script, parsed once.

    For bash a placeholder is two redirections. So `text`, which is parsed, has a variable of as
    many bytes in its place: positions in the tree are positions in the source.
    """

    source: str

    @functools.cached_property
    def text(self) -> str:
        """The source with a variable in place of each placeholder."""
        return FORM.sub(lambda match: "$" + "P" * (len(match[0].encode()) - 1), self.source)

    @functools.cached_property
    def tree(self) -> Node:
        """The root of the syntax tree."""
        return parse(self.text)

    @functools.cached_property
    def statements(self) -> tuple[int, ...]:
        """Where each statement begins, in characters; what stands before the first is of it."""
        named = [child for child in self.tree.children if child.is_named]
        starts = [child.start_byte for child in named if child.type != "comment"][1:]
        content = self.source.encode()
        return (0, *(len(content[:start].decode()) for start in starts))

    def node_at(self, match: re.Match[str]) -> Node | None:
        """Return the node of what was found in the source or in `text`."""
        start = len(match.string[: match.start()].encode())
        return self.tree.descendant_for_byte_range(start, start + len(match[0].encode()))

    def said(self, node: Node) -> str:
        """Return the source of a node, placeholders and all."""
        return self.source.encode()[node.start_byte : node.end_byte].decode()


def line_of(match: re.Match[str]) -> int:
    """Return the line on which something was found, from 1."""
    return match.string.count("\n", 0, match.start()) + 1


def parse(script: str) -> Node:
    """Return the syntax tree of a bash script without placeholders."""
    return _PARSER.parse(script.encode()).root_node


def walk(node: Node) -> Iterator[Node]:
    """Yield a node and everything below it."""
    yield node
    for child in node.children:
        yield from walk(child)


def text(node: Node | None) -> str:
    """Return a node's source; nothing without a node."""
    return node.text.decode() if node is not None and node.text is not None else ""


def content(node: Node) -> list[Node]:
    """Return what stands directly in a node, without comments and punctuation."""
    return [child for child in node.named_children if child.type != "comment"]


def child_of(node: Node, kind: str) -> Node | None:
    """Return a node's first child of a type."""
    return next((child for child in node.children if child.type == kind), None)


def ancestors(node: Node) -> Iterator[Node]:
    """Yield a node's ancestors, the nearest first."""
    while (parent := node.parent) is not None:
        yield parent
        node = parent


def steps_up(node: Node) -> Iterator[tuple[Node, Node]]:
    """Yield a node with its parent, then that one with its own, up to the root."""
    return pairwise((node, *ancestors(node)))


def inside(node: Node, *kinds: str) -> bool:
    """Whether a node has an ancestor of one of some types."""
    return any(one.type in kinds for one in ancestors(node))


def is_in(node: Node, *kinds: str) -> bool:
    """Whether a node's parent is of one of some types."""
    return node.parent is not None and node.parent.type in kinds


def places(node: Node | None) -> set[str]:
    """Return the types of a node and its ancestors, up to a `$(…)`.

    `literal` is among them where bash expands nothing.
    """
    found = set[str]()
    for one in () if node is None else (node, *ancestors(node)):
        if one.type == "command_substitution":
            break
        heredoc = one.type == "heredoc_redirect"
        quoted = heredoc and text(child_of(one, "heredoc_start")).startswith(("'", '"', "\\"))
        found |= {one.type, "literal"} if quoted else {one.type}
    return found | ({"literal"} if found & {"raw_string", "ansi_c_string"} else set())


def words(command: Node, source: Callable[[Node], str] = text) -> list[str]:
    """Return a command's words without quotes, and without `command`, `builtin` or `time`.

    source: gives a node's text; Script.said gives it with placeholders.
    """
    kinds = {"variable_assignment", *_REDIRECTIONS}
    said = [child for child in command.children if child.type not in kinds]
    found = [re.sub(r"[\"'\\]", "", source(child)) for child in said]
    while found and found[0] in ("command", "builtin", "time"):
        rest = list(dropwhile(("-p", "--").__contains__, found[1:]))
        if rest[:1] and rest[0].startswith("-"):
            break
        found = rest
    return found or [""]


def is_condition_of(node: Node, parent: Node) -> bool:
    """Whether a child of an if, elif, while or until belongs to its condition."""
    end = child_of(parent, "do_group" if parent.type == "while_statement" else "then")
    return parent.type in CONDITIONS and end is not None and node.end_byte <= end.start_byte


def in_condition(node: Node) -> bool:
    """Whether a node's status is the condition of an if, elif, while or until."""
    for child, parent in steps_up(node):
        if parent.type not in _AROUND_A_STATUS:
            return is_condition_of(child, parent)
    return False


def sets_state(script: Script) -> bool:
    """Whether a script sets something that later cells could need: a variable, the folder."""
    for node in walk(script.tree):
        if node.type in _SETTERS:
            return True
        if node.type == "variable_assignment" and not is_in(node, "command"):
            return True
        if node.type == "command" and words(node)[0] in _CHANGES_STATE:
            return True
    return False


def is_certain(node: Node) -> bool:
    """Whether a statement always runs: it is in no branch, loop or function."""
    behind = any(
        parent.type == "list" and parent.children[0] != child for child, parent in steps_up(node)
    )
    return not behind and not inside(node, "function_definition", *CONDITIONS, *_BRANCHES)


def is_shown(node: Node) -> bool:
    """Whether a statement's output is not discarded."""
    around = (node, *ancestors(node))
    return not any(_LOST.fullmatch(text(child)) for one in around for child in one.children)


def is_overlooked(node: Node) -> bool:
    """Whether bash ignores failures inside a node, and sees only its exit status.

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
        if parent.type not in _AROUND_A_STATUS:
            return is_condition_of(child, parent)
    return False


def is_last(node: Node) -> bool:
    """Whether a statement's status is that of the whole statement, or of its subshell."""
    parent = node.parent
    if parent is None or parent.type == "program":
        return True
    if parent.type in ("pipeline", "redirected_statement"):
        return is_last(parent)
    if content(parent)[-1:] != [node]:
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
    if node.type in ("compound_statement", "subshell"):
        *before, last = content(node)
        return may_fail(last) and all(map(_says, before))
    if node.type == "test_command":
        return bool(_STATUS.fullmatch(text(node).strip("[ ]")))
    name, *arguments = words(node) if node.type == "command" else [""]
    # with the status of what failed before it
    if name in ("exit", "return") and arguments in ([], ["$?"]):
        return is_in(node, "list")
    said = " ".join(arguments)
    if name in ("exit", "return"):
        return said.isdigit() and 0 < int(said) < 256
    asks = name in ("test", "[", "[[") and _STATUS.fullmatch(said.removesuffix(" ]"))
    return name == "false" or bool(asks)


def _says(node: Node) -> bool:
    inner = node.children[0] if node.type == "redirected_statement" else node
    return inner.type == "command" and words(inner)[0] in _SAYS


def _is_left(node: Node, parent: Node) -> bool:
    """Whether something follows a node in a list of commands."""
    return parent.type == "list" and parent.children[-1] != node


def is_negated(node: Node) -> bool:
    """Whether ! stands before its pipeline, which tree-sitter reads as part of a first command."""
    pipe = node.parent
    return (
        pipe is not None and is_in(node, "pipeline") and pipe.children[0].type == "negated_command"
    )
