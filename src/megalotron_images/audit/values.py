"""Texts with unknown parts: what GitHub's expressions and the shell's variables stand for. Pure.

An unknown part stands in its text as a *hole*: its name between two control characters, which no
file that is read can hold.
"""

import re
from dataclasses import dataclass, field

HOLE = re.compile("\x01([^\x02]*)\x02")
LONGEST = 4_000
"""Characters of a value, or of a line; what is longer is unknown."""
_EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}")
_VARIABLE = re.compile(
    "(\x01[^\x02]*\x02)|"
    r"\$(?:(\w+)|\{(\w+)(,,)?\}|\{[^}]*\}|[@*#?!$-])"
)
_APART = str.maketrans({"'": "’", '"': "”", "\n": " ", "`": "’", "\x01": "", "\x02": ""})


def unknown(what: str) -> str:
    """Return a hole of that name."""
    return f"\x01{what.translate(_APART)}\x02"


def holes(text: str) -> list[str]:
    """Return the names of a text's unknown parts."""
    return HOLE.findall(text)


def show(text: str) -> str:
    """Return a text for people, its unknown parts as they were written."""
    return HOLE.sub(lambda one: one[1] if "$" in one[1] else f"${{{{ {one[1]} }}}}", text)


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
        if len(text) > LONGEST:
            return unknown(f"a text of {len(text)} characters")
        filled = _EXPRESSION.sub(lambda one: self.value(one[1]), text)
        return filled if len(filled) <= LONGEST else unknown("a text that grows too long")

    def value(self, expression: str) -> str:
        """Return what an expression stands for: a literal, a known name, or a hole."""
        text = expression.strip()
        key = text.lower()
        if literal := re.fullmatch(r"'([^']*)'", text):
            return literal[1]
        if key.startswith("env."):
            known = {} if self.is_open else {f"env.{k.lower()}": v for k, v in self.env.items()}
            return known.get(key, unknown(text))
        if key.startswith("secrets.") or key == "github.token":
            name = "GITHUB_TOKEN" if key == "github.token" else key.removeprefix("secrets.").upper()
            return self.names.get(f"secrets.{name.lower()}", unknown(f"secrets.{name}"))
        named = key if re.fullmatch(r"[\w.-]+", key) else text
        return self.names.get(key, unknown(named))

    def set_env(self, name: str, value: str) -> None:
        """Set an environment variable for what follows."""
        self.env = {**self.env, name: value}


def with_variables(text: str, variables: dict[str, str]) -> str:
    """Return a text of the shell with plain `$NAME` and `${NAME}` put in; others are holes."""

    def value(one: re.Match[str]) -> str:
        name = one[2] or one[3]
        if one[1] or not name:
            return one[1] or unknown(one[0])
        known = variables.get(name, unknown(f"${name}"))
        return lowered(known) if one[4] else known

    filled = _VARIABLE.sub(value, text)
    return filled if len(filled) <= LONGEST else unknown("a text that grows too long")


def lowered(text: str) -> str:
    """Return a text in lower case; its unknown parts keep their names."""
    parts = re.split("(\x01[^\x02]*\x02)", text)
    return "".join(one if at % 2 else one.lower() for at, one in enumerate(parts))
