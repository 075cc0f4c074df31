"""Whether what `test`, `[ … ]`, `[[ … ]]` and `case` ask holds; None if nobody can tell."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from tree_sitter import Node

from megalotron_images.audit import filters
from megalotron_images.audit.expansions import expand_word, put_in_variables, text_of
from megalotron_images.audit.expressions import is_own_name
from megalotron_images.audit.texts import same

if TYPE_CHECKING:
    from megalotron_images.audit.shell import Result, Shell

_COMPARISON = re.compile(r"(.*?)\s+(==|=|!=|=~)\s+(.*)", re.DOTALL)
_GLOB = re.compile(r"[*?\[]")


def follow_test(shell: "Shell", node: Node, stdin: str) -> "Result":
    """Follow `[ … ]` or `[[ … ]]`; nobody can tell what arithmetic is."""
    text = text_of(node)
    inner = re.sub(r"^\[\[?|\]?\]$", "", text).strip()
    return (None if text.startswith("((") else holds(shell, inner)), ""


def follow_negation(shell: "Shell", node: Node, stdin: str) -> "Result":
    """Follow `! …`."""
    status, printed = shell.statement(node.named_children[0], stdin)
    return None if status is None else not status, printed


def holds(shell: "Shell", text: str, are_words: bool = False) -> bool | None:
    """Whether a test holds; are_words: variables are put in, as in the words of a command."""
    for sign, settled in (("||", True), ("&&", False)):
        if sign in text:
            answers = [holds(shell, part.strip(), are_words) for part in text.split(sign)]
            if settled in answers:
                return settled
            return None if None in answers else not settled
    if text.startswith("! "):
        answer = holds(shell, text[2:].strip(), are_words)
        return None if answer is None else not answer

    def value(one: str) -> str:
        return one.strip("\"'") if are_words else expand_word(shell, one)

    if match := re.fullmatch(r"-([nz])\s+(.*)", text, re.DOTALL):
        is_empty = same(found, "") if (found := value(match[2])) else True
        return None if is_empty is None else is_empty is (match[1] == "z")
    return _compared(shell, match, value) if (match := _COMPARISON.fullmatch(text)) else None


def _compared(shell: "Shell", match: re.Match[str], value: Callable[[str], str]) -> bool | None:
    """Whether a comparison of two words holds."""
    left, sign, right = match.groups()
    if sign == "=~":
        shell.matched = put_in_variables(shell, right.strip("\"'")), value(left)
        return filters.matches(*shell.matched)
    text, pattern = value(left), value(right)
    is_quoted = re.fullmatch(r"\"[^\"]*\"|'[^']*'", right)
    answer = same(text, pattern) if is_quoted else fits(text, pattern)
    if not answer and is_own_name({text.lower(), pattern.lower()}, shell.run.contexts):
        return None
    return answer if answer is None or sign != "!=" else not answer


def fits(text: str, pattern: str) -> bool | None:
    """Whether a text is a pattern's, as in `case`."""
    return filters.fits(text, pattern) if _GLOB.search(pattern) else same(text, pattern)
