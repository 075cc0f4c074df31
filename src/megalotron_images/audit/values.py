"""Texts with unknown parts: what GitHub's expressions and the shell's variables stand for. Pure.

An unknown part is one private character of Unicode, a *hole*, that stands for a name: so a text
can be split and compared as any other, and equal holes are equal characters.
"""

import re
from functools import cache

HOLE = re.compile("[\U000f0000-\U000ffffd]")
LONGEST = 2_000
"""Characters of a value, or of a line; what is longer is unknown."""
_MOST_NAMES = 65_000
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\}|\{[^}]*\}|[@*#?!$-])")
_NAMES: list[str] = []


@cache
def unknown(what: str) -> str:
    """Return the hole of that name."""
    if len(_NAMES) < _MOST_NAMES:
        _NAMES.append(what)
    return chr(0xF0000 + len(_NAMES) - 1)


def holes(text: str) -> list[str]:
    """Return the names of a text's unknown parts."""
    return [_NAMES[ord(one) - 0xF0000] for one in HOLE.findall(text)]


def show(text: str) -> str:
    """Return a text for people, its unknown parts as they were written."""
    for one in set(HOLE.findall(text)):
        name = show(*holes(one))
        shown = name if re.match(r"type=|.*\$", name) else f"${{{{ {name} }}}}"
        text = text.replace(one, shown)
    return text


def bounded(text: str) -> str:
    """Return a text, or a hole for one that is too long."""
    return text if len(text) <= LONGEST else unknown("a text that is too long")


def with_variables(text: str, variables: dict[str, str]) -> str:
    """Return a text of the shell with plain `$NAME` and `${NAME}` put in; others are holes."""
    put = _VARIABLE.sub(lambda one: variables.get(one[1] or one[2], unknown(one[0])), text)
    return bounded(put)
