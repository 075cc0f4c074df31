"""Syntax trees of shell cells, and where a node is."""

import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import tree_sitter_bash
from tree_sitter import Language, Node, Parser

FORM = re.compile(r"(?<!<)<([A-Za-z](?:[^<>\n]*[^<>\s])?)>")
"""A placeholder: words in angle brackets, without spaces next to them."""
CONDITIONS = {"if_statement", "elif_clause"}
_NO_WORDS = {"variable_assignment", "file_redirect", "herestring_redirect", "heredoc_redirect"}
"""What can stand among a command's words."""
PARSER = Parser(Language(tree_sitter_bash.language()))


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
        return PARSER.parse(self.text.encode()).root_node

    @functools.cached_property
    def statements(self) -> tuple[int, ...]:
        """Where each statement begins, in characters; the first includes what precedes it."""
        named = [child for child in self.tree.children if child.is_named]
        starts = [child.start_byte for child in named if child.type != "comment"][1:]
        content = self.source.encode()
        return (0, *(len(content[:start].decode()) for start in starts))

    def node_at(self, match: re.Match[str]) -> Node | None:
        """Return the node of what was found in the source or in `text`."""
        start = len(match.string[: match.start()].encode())
        return self.tree.descendant_for_byte_range(start, start + len(match[0].encode()))

    def source_of(self, node: Node) -> str:
        """Return the source of a node, placeholders and all."""
        return self.source.encode()[node.start_byte : node.end_byte].decode()


def line_of(match: re.Match[str]) -> int:
    """Return the line on which something was found, from 1."""
    return match.string.count("\n", 0, match.start()) + 1


def walk(node: Node) -> Iterator[Node]:
    """Yield a node and everything below it."""
    yield node
    for child in node.children:
        yield from walk(child)


def text(node: Node | None) -> str:
    """Return a node's source; nothing without a node."""
    return node.text.decode() if node is not None and node.text is not None else ""


def content(node: Node) -> list[Node]:
    """Return a node's own children, without comments and punctuation."""
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
    """Return a command's words without quotes; at least one, which may be empty.

    source: gives a node's text; Script.source_of gives it with placeholders.
    """
    said = [child for child in command.children if child.type not in _NO_WORDS]
    return [re.sub(r"[\"'\\]", "", source(child)) for child in said] or [""]


def is_condition_of(node: Node, parent: Node) -> bool:
    """Whether a child of an if or elif belongs to its condition."""
    end = child_of(parent, "then")
    return parent.type in CONDITIONS and end is not None and node.end_byte <= end.start_byte


def in_condition(node: Node) -> bool:
    """Whether a node is the condition, or in that, of an if or elif."""
    return any(is_condition_of(child, parent) for child, parent in steps_up(node))
