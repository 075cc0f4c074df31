"""Texts with unknown parts: what GitHub's expressions and the shell's variables stand for. Pure.

An unknown part is one private character of Unicode, a *hole*, that stands for a name: so a text
can be split and compared as any other, and equal holes are equal characters.
"""

import re
from dataclasses import dataclass, field

HOLE = re.compile("[\U000f0000-\U000ffffd]")
LONGEST = 2_000
"""Characters of a value, or of a line; what is longer is unknown."""
_EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(,,)?\}|\{[^}]*\}|[@*#?!$-])")
_CHARACTERS: dict[str, str] = {}
_NAMES: dict[str, str] = {}


def unknown(what: str) -> str:
    """Return the hole of that name."""
    hole = _CHARACTERS.setdefault(what, chr(0xF0000 + min(len(_CHARACTERS), 65_000)))
    _NAMES.setdefault(hole, what)
    return hole


def holes(text: str) -> list[str]:
    """Return the names of a text's unknown parts."""
    return [_NAMES[one] for one in HOLE.findall(text)]


def show(text: str) -> str:
    """Return a text for people, its unknown parts as they were written."""
    names = ((one, _NAMES[one]) for one in HOLE.findall(text))
    for one, name in names:
        text = text.replace(one, name if re.match(r"type=|.*\$", name) else f"${{{{ {name} }}}}")
    return text


@dataclass
class Scope:
    """What is known at a step of a job.

    Attributes:
        names: GitHub's names in lower case (`matrix.stack`, `steps.meta.outputs.tags`).
        env: environment variables.
        is_open: something that is not followed may have set any variable.
    """

    names: dict[str, str]
    env: dict[str, str] = field(default_factory=dict)
    is_open: bool = False

    def put(self, text: str) -> str:
        """Return a text with its expressions put in, as far as they are names or literals."""
        filled = _EXPRESSION.sub(lambda one: self.value(one[1]), text[: LONGEST + 1])
        return filled if len(filled) <= LONGEST else unknown("a text that is too long")

    def value(self, expression: str) -> str:
        """Return what an expression stands for: a literal, a known name, or a hole."""
        text = " ".join(expression.split())
        key = {"github.token": "secrets.github_token"}.get(text.lower(), text.lower())
        if literal := re.fullmatch(r"'([^']*)'", text):
            return literal[1]
        if key.startswith("env.") and not self.is_open:
            return {k.lower(): v for k, v in self.env.items()}.get(key[4:], unknown(text))
        name = "secrets." + key[8:].upper() if key.startswith("secrets.") else key
        return self.names.get(key, unknown(name if re.fullmatch(r"[\w.-]+", name) else text))


def with_variables(text: str, variables: dict[str, str]) -> str:
    """Return a text of the shell with plain `$NAME` and `${NAME}` put in; others are holes."""

    def value(one: re.Match[str]) -> str:
        known = variables.get(one[1] or one[2], unknown(one[0]))
        return known.lower() if one[3] else known

    filled = _VARIABLE.sub(value, text)
    return filled if len(filled) <= LONGEST else unknown("a text that is too long")
