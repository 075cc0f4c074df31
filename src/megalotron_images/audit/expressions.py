"""GitHub's expressions, `${{ … }}`, evaluated as far as their values are known. Pure.

Source of the rules: GitHub's documentation, "Evaluate expressions in workflows and actions". What
is not known is a text with holes; so is a condition of which nobody can tell.
"""

import ast
import itertools
import json
import re
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

from megalotron_images.audit import texts
from megalotron_images.audit.texts import PERSON, either, has_holes, one_of, same, unknown

_EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
_SYNTAX = re.compile(r"'((?:[^']|'')*)'|&&|\|\||!(?!=)|\.\s*([A-Za-z_*][\w-]*)|([A-Za-z_][\w-]*)")
"""Where an expression is written in another way than in Python."""
_FALSE = ("", "false", "0")
_PEOPLE = re.compile(r"USER|OWNER|NAMESPACE|_ORG|ACCOUNT", re.IGNORECASE)
_WORDS = {"true": True, "false": False, "null": None}
_EMPTY = ("matrix", "inputs")
"""Contexts that hold all their values: GitHub reads a missing one as empty."""


class Empty(dict[str, Any]):
    """The outputs of a step that did not run: each is empty."""


MAYBE = one_of("a condition that nobody can tell", "true", "false")


def secret(name: str) -> str:
    """Return a secret's value: never known, and equal to itself."""
    return unknown(f"secrets.{name}", *([PERSON] if _PEOPLE.search(name) else []))


def truth(value: object) -> bool | None:
    """Whether a value is true for `if` and `&&`; None if nobody can tell.

    All of a workflow's scalars are texts here, so `false` is false.
    """
    if isinstance(value, str):
        if texts.is_open(value) and not value[1:] and {*_FALSE} & {*texts.expand(value)}:
            return None
        return texts.asked(lambda text: text not in _FALSE, value)
    return bool(value)


def as_text(value: Any) -> str:
    """Return a value as GitHub puts it into a text."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def render(text: Any, contexts: Mapping[str, Any]) -> str:
    """Return a text with its expressions evaluated."""
    return _EXPRESSION.sub(lambda match: as_text(evaluate(match[1], contexts)), as_text(text))


def value_of(text: Any, contexts: Mapping[str, Any]) -> Any:
    """Return the value of a text that may be one expression alone, else the rendered text."""
    match = _EXPRESSION.fullmatch(text.strip()) if isinstance(text, str) else None
    if match and "${{" not in match[1]:
        return evaluate(match[1], contexts)
    return render(text, contexts) if isinstance(text, str) else text


def condition(text: str, contexts: Mapping[str, Any]) -> bool | None:
    """Whether an `if` holds; None if nobody can tell. An empty one does."""
    if not text.strip():
        return True
    return truth(value_of(text if "${{" in text else f"${{{{{text}}}}}", contexts))


def evaluate(text: str, contexts: Mapping[str, Any]) -> Any:
    """Return the value of an expression; one that is not understood is unknown."""
    try:
        tree = ast.parse(f"({_SYNTAX.sub(_translated, text)})", mode="eval")
        return _value(tree.body, contexts)
    except (SyntaxError, IndexError, TypeError, ValueError, KeyError, RecursionError):
        return unknown(f"the expression {text.strip()}")


def _translated(match: re.Match[str]) -> str:
    """Return a part of an expression as Python writes it, to let Python's parser read it."""
    string, member, name = match.groups()
    if string is not None:
        return repr(string.replace("''", "'"))
    if member:
        return f"[{member!r}]"
    if name:  # with a sign before it, as it may be a word of Python
        return f"_{name}" if name in _WORDS else f"_{name.lower()}"
    return {"&&": " and ", "||": " or ", "!": "~"}[match[0]]


def _value(node: ast.expr, contexts: Mapping[str, Any]) -> Any:
    """Return the value of a part of an expression."""
    found: Any = unknown("an expression that is not understood")
    match node:
        case ast.Constant(str() as found):
            pass
        case ast.Constant(int() | float() as number):
            found = float(number)
        case ast.Name(name):
            name = name[1:]
            held = _WORDS if name in _WORDS else contexts
            found = held[name] if name in held else _missing([name])
        case ast.Subscript(value):
            path = _path(node, contexts)
            found = _member(_value(value, contexts), path[-1], path)
        case ast.Call(ast.Name(name), arguments):
            found = call(name[1:], [_value(one, contexts) for one in arguments])
        case ast.UnaryOp(ast.Invert(), operand):
            certain = truth(_value(operand, contexts))
            found = MAYBE if certain is None else not certain
        case ast.BoolOp(sign, values):
            join = _either if isinstance(sign, ast.Or) else _both
            found = reduce(join, [_value(one, contexts) for one in values])
        case ast.Compare(left, [sign], [right]):
            found = _compared(_value(left, contexts), sign, _value(right, contexts), contexts)
    return found


def _path(node: ast.expr, contexts: Mapping[str, Any]) -> list[str]:
    """Return the names that lead to a value: `a`, `b` for `a.b`."""
    match node:
        case ast.Subscript(value, key):
            return [*_path(value, contexts), as_text(_value(key, contexts))]
        case ast.Name(name) | ast.Call(ast.Name(name)):
            return [name[1:]]
    return [""]


def _either(value: Any, other: Any) -> Any:
    certain = truth(value)
    if certain is None:
        parts = [one for one in texts.expand(value, False) if truth(one) is not False]
        return either([*parts, as_text(other)])
    return value if certain else other


def _both(value: Any, other: Any) -> Any:
    certain = truth(value)
    return either([as_text(other), "false"]) if certain is None else other if certain else value


def _compared(left: Any, sign: ast.cmpop, right: Any, contexts: Mapping[str, Any]) -> Any:
    if not isinstance(sign, ast.Eq | ast.NotEq):
        return MAYBE
    sides = {as_text(left).lower(), as_text(right).lower()}
    equal = same(min(sides), max(sides))
    if equal is None or (not equal and is_own_name(sides, contexts)):
        return MAYBE
    return equal is isinstance(sign, ast.Eq)


def is_own_name(sides: set[str], contexts: Mapping[str, Any]) -> bool:
    """Whether what differs is the repository's name: a copy of a workflow keeps the first one's."""
    github = contexts.get("github", {})
    named = (str(github.get(one, "\0")) for one in ("repository", "repository_owner"))
    return not sides.isdisjoint(map(str.lower, named))


def _member(value: Any, name: str, path: list[str]) -> Any:
    if isinstance(value, list):
        return value[int(name)] if name.isdigit() and int(name) < len(value) else _missing(path)
    if isinstance(value, Empty):
        return value if name == "outputs" else ""
    if isinstance(value, Mapping):
        for key, held in value.items():
            if key.lower() == name.lower():
                return held
        if path[0] == "secrets" and path[1:]:
            return unknown(f"what its caller does not pass as {path[1]}")
        return "" if path[0] in _EMPTY else _missing(path)
    return _missing(path)


def _missing(path: list[str]) -> str:
    """Return what is unknown about a value that no context holds."""
    if path[0] == "secrets" and path[1:]:
        return secret(path[1].upper())
    name = ".".join(path)
    if path[0] == "github" and path[-1] in ("sha", "head_sha"):
        return one_of("the commit's hash", "4f3c2b1a" * 5)
    return unknown(name, *([PERSON] if _PEOPLE.search(name) else []))


def call(name: str, given: list[Any]) -> Any:
    """Return the value of a function; that of an unknown one is unknown."""
    functions: dict[str, Callable[[], Any]] = {
        **dict.fromkeys(("success", "always"), lambda: True),
        **dict.fromkeys(("failure", "cancelled"), lambda: MAYBE),
        **dict.fromkeys(_SEARCHES, lambda: _search(name, given[0], as_text(given[1]).lower())),
        "format": lambda: _format(as_text(given[0]), [as_text(one) for one in given[1:]]),
        "join": lambda: (as_text(given[1]) if given[1:] else ",").join(map(as_text, given[0])),
        "tojson": lambda: as_text(given[0]),
        "fromjson": lambda: _from_json(as_text(given[0])),
    }
    return functions[name]() if name in functions else unknown(f"{name}(…)")


def _from_json(text: str) -> Any:
    if has_holes(text):
        return unknown(f"fromJSON({texts.show(text)})")
    return json.loads(text, parse_int=str, parse_float=str)


_SEARCHES = {"contains": str.__contains__, "startswith": str.startswith, "endswith": str.endswith}


def _search(name: str, place: Any, part: str) -> Any:
    if isinstance(place, list):
        answers = {same(as_text(one).lower(), part) for one in place}
        return True if True in answers else MAYBE if None in answers else False
    text, test = as_text(place).lower(), _SEARCHES[name]
    if has_holes(part):
        return MAYBE
    certain = texts.asked(lambda one: test(one, part), text)
    if texts.is_open(text) and not (name == "contains" and certain):
        ends, wanted = (text, part) if name == "startswith" else (text[::-1], part[::-1])
        fixed = "".join(itertools.takewhile(lambda one: not has_holes(one), ends))
        if name == "contains" or (wanted.startswith(fixed) and not fixed.startswith(wanted)):
            certain = None
    return MAYBE if certain is None else certain


def _format(text: str, given: list[str]) -> str:
    return re.sub(r"\{\{|\}\}|\{(\d+)\}", lambda m: given[int(m[1])] if m[1] else m[0][0], text)
