"""Syntax trees of shell and Python cells, and questions about their nodes."""

import ast
import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import dropwhile

import tree_sitter_bash
from tree_sitter import Language, Node, Parser

FORM = re.compile(r"(?<!<)<([A-Za-z](?:[^<>\n]*[^<>\s])?)>")
"""A placeholder: words in angle brackets, without spaces next to them."""
CONDITIONS = {"if_statement", "elif_clause", "while_statement"}
_LOST = re.compile(r"[1&]?>{1,2}\|?\s*[\"']?/dev/null[\"']?")
_BRANCHES = {"for_statement", "c_style_for_statement", "case_statement"}
_SETTERS = {"declaration_command", "unset_command", "function_definition"}
_SETTING = {
    "cd",
    "pushd",
    "popd",
    "read",
    "mapfile",
    "set",
    "shopt",
    "umask",
    "source",
    ".",
    "eval",
}
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

    def said(self, node: Node) -> str:
        """Return the source of a node, placeholders and all."""
        return self.source.encode()[node.start_byte : node.end_byte].decode()


def parse(script: str) -> Node:
    """Return the syntax tree of a bash script without placeholders."""
    return _PARSER.parse(script.encode()).root_node


def python_tree(source: str) -> ast.Module:
    """Return the syntax tree of a Python cell as IPython reads it, magics as calls.

    Raises SyntaxError.
    """
    from IPython.core.inputtransformer2 import TransformerManager

    return ast.parse(TransformerManager().transform_cell(source))


def walk(node: Node) -> Iterator[Node]:
    """Yield a node and everything below it."""
    yield node
    for child in node.children:
        yield from walk(child)


def text(node: Node) -> str:
    """Return a node's source."""
    return node.text.decode() if node.text is not None else ""


def ancestors(node: Node) -> Iterator[Node]:
    """Yield a node's ancestors, the nearest first."""
    while (parent := node.parent) is not None:
        yield parent
        node = parent


def places(node: Node | None) -> set[str]:
    """Return the types of a node and its ancestors, up to a `$(…)`.

    `literal` is among them where bash expands nothing.
    """
    found = set[str]()
    while node is not None and node.type != "command_substitution":
        found.add(node.type)
        if node.type == "heredoc_redirect":
            start = next(
                (text(child) for child in node.children if child.type == "heredoc_start"), ""
            )
            found |= {"literal"} if start[:1] in ("'", '"', "\\") else set()
        node = node.parent
    return found | ({"literal"} if found & {"raw_string", "ansi_c_string"} else set())


def words(command: Node, source: Callable[[Node], str] = text) -> list[str]:
    """Return a command's words without quotes, and without `command`, `builtin` or `time`.

    source: gives a node's text; Script.said gives it with placeholders.
    """
    kinds = ("variable_assignment", "file_redirect", "herestring_redirect", "heredoc_redirect")
    found = [
        re.sub(r"[\"'\\]", "", source(child))
        for child in command.children
        if child.type not in kinds
    ]
    while found and found[0] in ("command", "builtin", "time"):
        rest = list(dropwhile(("-p", "--").__contains__, found[1:]))
        if rest[:1] and rest[0].startswith("-"):
            break
        found = rest
    return found or [""]


def in_condition(node: Node) -> bool:
    """Whether a node's status is the condition of an if, elif, while or until."""
    parent = node.parent
    while parent is not None and parent.type in {
        "list",
        "negated_command",
        "pipeline",
        "redirected_statement",
    }:
        node, parent = parent, parent.parent
    if parent is None or parent.type not in CONDITIONS:
        return False
    ends = [child.start_byte for child in parent.children if child.type in {"then", "do_group"}]
    return bool(ends) and node.end_byte <= ends[0]


def sets_state(script: Script) -> bool:
    """Whether a script sets something that later cells could need: a variable, the folder."""
    for node in walk(script.tree):
        if node.type in _SETTERS:
            return True
        if node.type == "variable_assignment" and (node.parent and node.parent.type != "command"):
            return True
        if node.type == "command" and words(node)[0] in _SETTING:
            return True
    return False


def is_certain(node: Node) -> bool:
    """Whether a statement always runs: it is in no branch, loop or function."""
    while (parent := node.parent) is not None and parent.type not in {
        "function_definition",
        *CONDITIONS,
        *_BRANCHES,
    }:
        if parent.type == "list" and parent.children[0] != node:
            return False
        node = parent
    return parent is None


def is_shown(node: Node) -> bool:
    """Whether a statement's output is not discarded."""
    redirections = [
        child
        for one in (node, *ancestors(node))
        for child in one.children
        if child.type == "file_redirect"
    ]
    return not any(_LOST.fullmatch(text(child)) for child in redirections)
