"""What words of Bash become: quotes, variables, `${…}`, arrays, parameters, `$(…)`."""

import re
from collections.abc import Callable, Iterable
from functools import cache
from typing import TYPE_CHECKING

import tree_sitter_bash
from tree_sitter import Language, Node, Parser

from megalotron_images.audit import filters
from megalotron_images.audit.texts import either, same, unknown

if TYPE_CHECKING:
    from megalotron_images.audit.shell import Shell

parsed = cache(Parser(Language(tree_sitter_bash.language())).parse)
_EXPANSION = re.compile(r"(!?)(#?)(\w+|[@*?#])(?:\[([^\]]*)\])?(.*)", re.DOTALL)
_PLAIN = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def text_of(node: Node | None) -> str:
    """Return the source of a node."""
    return (node.text or b"").decode() if node is not None else ""


def parameters(given: Iterable[str]) -> dict[str, str]:
    """Return the positional parameters."""
    found = dict(zip("123456789", [*given, *[""] * 9], strict=False))
    return found | dict.fromkeys("@*", " ".join(given))


def words(shell: "Shell", node: Node) -> list[str]:
    """Return the words that a node becomes: an expansion without quotes is split."""
    if node.type == "command_name" and node.named_child_count == 1:
        return words(shell, node.named_children[0])
    text, kind = text_of(node), node.type
    is_split = kind in ("simple_expansion", "expansion", "command_substitution")
    is_split |= kind == "concatenation" and not re.search(r"[\"']", text)
    is_split |= kind == "string" and bool(re.fullmatch(r'"\$\{\w+\[@\]\}"|"\$@"', text))
    return word(shell, node).split() if is_split else [word(shell, node)]


def word(shell: "Shell", node: Node) -> str:
    """Return the text that a node becomes."""
    text = text_of(node)
    if node.type == "word" and "\\" not in text:
        return text
    kinds: dict[str, Callable[[], str]] = {
        "raw_string": lambda: text[1:-1],
        "ansi_c_string": lambda: text[2:-1],
        "simple_expansion": lambda: _variable(shell, text[1:]),
        "expansion": lambda: _expansion(shell, text[2:-1]),
        "command_substitution": lambda: shell.substituted(node),
        "arithmetic_expansion": lambda: unknown(text),
        "process_substitution": lambda: _process(shell, node, text),
        "array": lambda: _words_below(shell, node),
        "command_name": lambda: _joined(shell, node) or text,
        "concatenation": lambda: _joined(shell, node),
        "string": lambda: _string(shell, node),
    }
    return kinds.get(node.type, lambda: re.sub(r"\\\n\s*|\\(.)", r"\1", text))()


def expand_word(shell: "Shell", text: str) -> str:
    """Return a word of a text with its variables put in."""
    found = parsed(f"echo {text}".encode()).root_node
    command = next((one for one in found.named_children if one.type == "command"), None)
    return _words_below(shell, command, 1) if command else unknown(text)


def put_in_variables(shell: "Shell", text: str) -> str:
    """Return a text with its plain variables put in."""
    return _PLAIN.sub(lambda one: _variable(shell, one[1] or one[2]), text)


def _words_below(shell: "Shell", node: Node, start: int = 0) -> str:
    return " ".join(one for child in node.named_children[start:] for one in words(shell, child))


def _joined(shell: "Shell", node: Node) -> str:
    return "".join(word(shell, one) for one in node.children)


def _process(shell: "Shell", node: Node, text: str) -> str:
    """Return a file's name for what the commands in `<(…)` print."""
    name = unknown(text)
    shell.run.files[name] = shell.substituted(node)
    return name


def _string(shell: "Shell", node: Node) -> str:
    """Return a string in double quotes; its parts have gaps where the grammar drops spaces."""
    whole, start, parts = node.text or b"", node.start_byte, list[str]()
    at = 1
    for child in node.named_children:
        parts.append(whole[at : child.start_byte - start].decode())
        is_text = child.type == "string_content"
        parts.append(text_of(child) if is_text else word(shell, child))
        at = child.end_byte - start
    parts.append(whole[at:-1].decode())
    return re.sub(r"\\\n|\\([$\"\\`])", r"\1", "".join(parts))


def _variable(shell: "Shell", name: str) -> str:
    return shell.env[name] if name in shell.env else shell.unset(name)


def _expansion(shell: "Shell", text: str) -> str:
    """Return what is between `${` and `}`."""
    match = _EXPANSION.fullmatch(text)
    if not match or match[2]:
        return unknown(f"${{{text}}}")
    name, at, sign = match[3], match[4] or "", match[5]
    if name == "BASH_REMATCH" and at.isdigit():
        return filters.group(*shell.matched, int(at))
    value = _variable(shell, shell.env.get(name, name) if match[1] else name)
    if at not in ("", "@", "*"):
        value = _element(shell, value, at)
    rest = put_in_variables(shell, sign)
    if default := re.fullmatch(r":?([-=+?])(.*)", sign, re.DOTALL):
        value = _default(shell, name, value, *default.groups())
        shell.env |= {name: value} if default[1] == "=" else {}
        return value
    return filters.expanded(value, rest) if rest else value


def _element(shell: "Shell", value: str, at: str) -> str:
    """Return an element of an array, by its number or its key."""
    at = expand_word(shell, at)
    if at.isdigit():
        return [*value.split()[int(at) :], ""][0]  # nothing beyond the end
    key = f"[{at}]="
    keyed = (one.removeprefix(key) for one in value.split() if one.startswith(key))
    return next(keyed, unknown(f"the element {at}"))


def _default(shell: "Shell", name: str, value: str, sign: str, text: str) -> str:
    """Return what `${NAME-text}` becomes, or `=`, `+` and `?` in place of the `-`."""
    other = expand_word(shell, text) if text and sign != "?" else ""
    if sign == "?":
        return value
    is_job = name not in shell.env and "steps" in shell.run.contexts
    is_empty = is_job or same(value, "")  # a job's variables are all in its workflow
    if_set, if_empty = (value, other) if sign != "+" else (other, "")
    if is_empty is None:
        return either([if_set, if_empty])
    return if_empty if is_empty else if_set
