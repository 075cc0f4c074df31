"""Files of a repository as text, and YAML whose texts know their lines; both bounded."""

import os
import re
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import yaml

_LARGEST, _MOST_NODES, _DEEPEST = 1_000_000, 60_000, 60
"""Bytes of a file; YAML nodes of all files, each alias counted as what it repeats; levels."""
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SKIPPED = {".git", ".venv", "node_modules", "vendor", "__pycache__", "testdata"}
_SKIPPED |= {"fixtures", "specimens"}
_ODD = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\U000f0000-\U000fffff]"
)
"""Characters that control a terminal, or mark an unknown part."""


class Unreadable(Exception):
    """A file that cannot be judged; its text says why."""


class Text(str):
    """A scalar, with the line on which it begins."""

    line: int

    def __new__(cls, text: str = "", line: int = 1) -> "Text":
        self = super().__new__(cls, text)
        self.line = line
        return self

    def rows(self) -> list["Text"]:
        """Return its rows that are neither empty nor comments, each with its own line."""
        every = enumerate(map(str.strip, self.splitlines()), self.line)
        return [Text(one, line) for line, one in every if one and one[0] != "#"]


class Map(dict[str, Any]):
    """A mapping."""

    def below(self, key: str) -> "Map":
        """Return the mapping below a key; an empty one where there is none."""
        return as_map(self.get(key))

    def text(self, key: str) -> Text:
        """Return the text at a key; empty where there is none."""
        return next(iter(as_list(self.get(key))), Text())


def as_map(node: Any) -> Map:
    """Return a node that is a mapping; an empty one for another."""
    return node if isinstance(node, Map) else Map()


def as_list(node: Any) -> list[Text]:
    """Return the texts of a sequence, or one text alone; nothing of a mapping."""
    return [one for one in (node if isinstance(node, list) else [node]) if isinstance(one, Text)]


class Folder:
    """A repository's files; nothing outside of its folder is read."""

    def __init__(self, root: Path) -> None:
        self.root, self._nodes = root.resolve(), _MOST_NODES
        self.text = cache(self._text)

    @cached_property
    def names(self) -> list[str]:
        """The files below the folder, sorted; links to folders are not followed."""
        found = list[str]()
        for folder, below, files in os.walk(self.root):
            below[:] = sorted(set(below) - _SKIPPED)
            found += [os.path.relpath(Path(folder, name), self.root) for name in sorted(files)]
        return [_ODD.sub("\ufffd", one) for one in found]

    def _text(self, name: str) -> str:
        """Return a file's text; raise Unreadable where it is large, outside, or not text."""
        try:
            path = Path(self.root, name).resolve()
            if not path.is_relative_to(self.root) or not path.is_file():
                raise Unreadable(f"{name} is not a file of the folder")
            if path.stat().st_size > _LARGEST:
                raise Unreadable(f"{name} has more than {_LARGEST // 1000} kB")
            return _ODD.sub("\ufffd", path.read_bytes().decode().replace("\r\n", "\n"))
        except (OSError, RuntimeError, ValueError) as error:  # as for a link to itself
            raise Unreadable(f"{name} cannot be read ({type(error).__name__})") from None

    def documents(self, name: str) -> list[Map]:
        """Return the mappings in a YAML file; raise Unreadable where it is not YAML, or large."""
        text = self.text(name)
        try:
            self._measure(text)
            every = yaml.compose_all(text, Loader=_LOADER)
            return [one for one in map(self._built, every) if isinstance(one, Map)]
        except (yaml.YAMLError, ValueError) as error:
            raise Unreadable(f"it is not YAML: {' '.join(str(error).split())[:200]}") from None

    def _measure(self, text: str) -> None:
        """Raise Unreadable for a text that is too large, or too deep for recursion."""
        depth = 0
        for at, event in enumerate(yaml.parse(text, Loader=_LOADER)):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST or at > 2 * self._nodes + 4:
                raise Unreadable("it has too many nodes, or is nested too deeply")

    def _built(self, node: Any, depth: int = 0) -> Any:
        """Return a node as Map, list or Text; an alias again for each place where it is used."""
        self._nodes -= 1
        if self._nodes < 0 or depth > _DEEPEST:
            raise Unreadable("it has too many nodes, or is nested too deeply")
        if isinstance(node, yaml.ScalarNode):
            return Text(node.value, node.start_mark.line + 1 + (node.style in ("|", ">")))
        if isinstance(node, yaml.SequenceNode):
            return [self._built(one, depth + 1) for one in node.value]
        pairs = ((self._built(key, depth + 1), value) for key, value in node.value)
        return Map({str(key): self._built(value, depth + 1) for key, value in pairs})
