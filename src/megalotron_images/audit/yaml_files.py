"""Files of a repository as text, and YAML whose texts know their lines; both bounded."""

import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

_LARGEST, _LARGEST_YAML, _MOST_NODES, _ALL_NODES = 1_000_000, 150_000, 10_000, 60_000
"""Bytes of a file and of a YAML file; YAML nodes of a file, each alias counted as what it repeats,
and of all files.
"""
_DEEPEST, _ALL_CHARACTERS = 60, 80_000
"""Levels of nesting; characters of all scripts, those of a matrix counted for each row."""
_SKIPPED = {".git", ".venv", "node_modules", "vendor", "__pycache__", "testdata"}
_SKIPPED |= {"fixtures", "specimens"}
_ODD = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\U000f0000-\U000fffff]"
)
"""Characters that steer a terminal, or stand for an unknown part."""


class Unreadable(Exception):
    """A file that cannot be judged; its text says why."""


class Text(str):
    """A scalar, with the line on which it begins, and whether it is a block of lines."""

    line: int
    is_block: bool

    def __new__(cls, text: str = "", line: int = 1, is_block: bool = False) -> "Text":
        self = super().__new__(cls, text)
        self.line, self.is_block = line, is_block
        return self

    def rows(self) -> list["Text"]:
        """Return its rows that are neither empty nor comments, each with its own line."""
        every = enumerate(map(str.strip, self.splitlines()))
        return [
            Text(one, self.line + at * self.is_block) for at, one in every if one and one[0] != "#"
        ]


class Map(dict[str, Any]):
    """A mapping, with the line on which it begins."""

    line = 1

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
        self.root = root.resolve()
        self.text = cache(self._text)
        self.names = cache(lambda: [_ODD.sub("\ufffd", one) for one in self._names()])
        self._nodes, self.budget = _ALL_NODES, _ALL_CHARACTERS

    def _names(self) -> Iterator[str]:
        """Yield the files below the folder, sorted; links to folders are not followed."""
        for folder, below, files in os.walk(self.root):
            below[:] = sorted(set(below) - _SKIPPED)
            yield from (os.path.relpath(Path(folder, name), self.root) for name in sorted(files))

    def _text(self, name: str) -> str:
        """Return a file's text; raise Unreadable where it is large, foreign or no text."""
        try:
            path = Path(self.root, name).resolve()
            if not path.is_relative_to(self.root) or not path.is_file():
                raise Unreadable("it is no file of the folder")
            if path.stat().st_size > _LARGEST:
                raise Unreadable(f"it has more than {_LARGEST // 1000} kB")
            return _ODD.sub("\ufffd", path.read_bytes().decode().replace("\r\n", "\n"))
        except (OSError, RuntimeError, ValueError) as error:  # as for a link to itself
            reason = "is not UTF-8" if isinstance(error, UnicodeError) else "cannot be read"
            raise Unreadable(f"it {reason} ({type(error).__name__})") from None

    def documents(self, name: str) -> list[Map]:
        """Return the mappings in a YAML file; raise Unreadable where it is none, or too large."""
        if len(text := self.text(name)) > _LARGEST_YAML:
            raise Unreadable(f"it has more than {_LARGEST_YAML // 1000} kB")
        most = min(_MOST_NODES, self._nodes)
        reader = _Reader(text, most)
        try:
            return [one for one in reader.documents() if isinstance(one, Map)]
        except (yaml.YAMLError, ValueError) as error:
            problem = getattr(error, "problem", None) or type(error).__name__
            line = getattr(getattr(error, "problem_mark", None), "line", 0) + 1
            raise Unreadable(f"it is no YAML: {problem} in line {line}") from None
        finally:
            self._nodes -= most - reader.left


class _Reader:
    """Builds Map, list and Text from the parser's events, so that the bounds hold at each node."""

    def __init__(self, text: str, most: int) -> None:
        self.events = yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.left = most

    def documents(self) -> Iterator[Any]:
        yield from (self._node(one, 0) for one in self.events if isinstance(one, yaml.NodeEvent))

    def _node(self, event: Any, depth: int) -> Any:
        is_alias, before = isinstance(event, yaml.AliasEvent), self.left
        node, size = self.anchors.get(event.anchor, (None, 1)) if is_alias else (None, 1)
        self.left -= size
        line = getattr(event.start_mark, "line", 0) + 1
        if self.left < 0 or depth > _DEEPEST:
            raise Unreadable("it has too many nodes, or is too deep")
        if isinstance(event, yaml.ScalarEvent):
            is_block = event.style in ("|", ">")
            node = Text(event.value, line + is_block, is_block)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = [self._node(one, depth + 1) for one in self._below()]
        elif not is_alias:
            node = self._map(depth + 1)
            node.line = line
        if event.anchor and not is_alias:
            self.anchors[event.anchor] = node, before - self.left
        return node

    def _below(self) -> Iterator[Any]:
        ends = (yaml.SequenceEndEvent, yaml.MappingEndEvent)
        return iter(lambda: None if isinstance(one := next(self.events), ends) else one, None)

    def _map(self, depth: int) -> Map:
        pairs, merged = Map(), list[Any]()
        for inner in self._below():
            key, value = self._node(inner, depth), self._node(next(self.events), depth)
            if key == "<<":
                merged += value if isinstance(value, list) else [value]
            else:
                pairs[str(key)] = value
        return Map(
            {
                key: value
                for one in [*map(as_map, merged[::-1]), pairs]
                for key, value in one.items()
            }
        )
