"""Files of a repository as text, and YAML with the line of each value; both bounded."""

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


class Map(dict[str, Any]):
    """A mapping, with the line on which each value begins, and which are blocks of lines."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, int] = {}
        self.blocks: set[str] = set()

    def add(self, key: str, value: Any, line: int, is_block: bool = False) -> None:
        """Add a value that begins in a line."""
        self[key], self.lines[key] = value, line
        self.blocks |= {key} if is_block else set()

    def below(self, key: str) -> "Map":
        """Return the mapping below a key; an empty one where there is none."""
        return as_map(self.get(key))

    def text(self, key: str) -> str:
        """Return the text at a key; a list as lines, and empty where there is neither."""
        return "\n".join(as_list(self.get(key)))

    def line(self, key: str, row: int = 0, default: int = 1) -> int:
        """Return the line of a value, or of one of its rows."""
        return self.lines.get(key, default) + row * (key in self.blocks)


class Seq(list[Any]):
    """A sequence."""


def as_map(node: Any) -> Map:
    """Return a node that is a mapping; an empty one for another."""
    return node if isinstance(node, Map) else Map()


def as_list(node: Any) -> list[str]:
    """Return the texts of a sequence, or one text alone; nothing of a mapping."""
    nodes = node if isinstance(node, Seq) else [node]
    return [one for one in nodes if isinstance(one, str)]


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
        except UnicodeDecodeError:
            raise Unreadable("it is not UTF-8") from None
        except (OSError, RuntimeError, ValueError) as error:  # as for a link to itself
            raise Unreadable(f"it cannot be read ({type(error).__name__})") from None

    def documents(self, name: str) -> list[Map]:
        """Return the mappings in a YAML file; raise Unreadable where it is none, or too large."""
        if len(text := self.text(name)) > _LARGEST_YAML:
            raise Unreadable(f"it has more than {_LARGEST_YAML // 1000} kB")
        reader = _Reader(text, min(_MOST_NODES, self._nodes))
        try:
            return [one for one in reader.documents() if isinstance(one, Map)]
        except (yaml.YAMLError, ValueError) as error:
            problem = getattr(error, "problem", None) or type(error).__name__
            line = getattr(getattr(error, "problem_mark", None), "line", 0) + 1
            raise Unreadable(f"it is no YAML: {problem} in line {line}") from None
        finally:
            self._nodes -= reader.nodes


class _Reader:
    """Builds Map, Seq and text from the parser's events, so that the bounds hold at each node."""

    def __init__(self, text: str, most: int) -> None:
        self.events = yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.nodes, self.most = 0, most

    def documents(self) -> Iterator[Any]:
        yield from (self._node(one, 0) for one in self.events if isinstance(one, yaml.NodeEvent))

    def _node(self, event: Any, depth: int) -> Any:
        is_alias, before = isinstance(event, yaml.AliasEvent), self.nodes
        node, size = self.anchors.get(event.anchor, (None, 1)) if is_alias else (None, 1)
        self.nodes += size
        if self.nodes > self.most or depth > _DEEPEST:
            raise Unreadable(f"it has more than {self.most} nodes, or is too deep")
        if is_alias:
            return node
        node = getattr(event, "value", None)
        if isinstance(event, yaml.SequenceStartEvent):
            node = Seq(self._node(one, depth + 1) for one in self._below())
        elif isinstance(event, yaml.MappingStartEvent):
            node = self._map(depth)
        if event.anchor:
            self.anchors[event.anchor] = node, self.nodes - before
        return node

    def _below(self) -> Iterator[Any]:
        ends = (yaml.SequenceEndEvent, yaml.MappingEndEvent)
        return iter(lambda: None if isinstance(one := next(self.events), ends) else one, None)

    def _map(self, depth: int) -> Map:
        pairs, merged = Map(), list[Any]()
        for inner in self._below():
            key, event = str(self._node(inner, depth + 1)), next(self.events)
            value, is_block = (
                self._node(event, depth + 1),
                getattr(event, "style", "") in ("|", ">"),
            )
            if key == "<<":
                merged += value if isinstance(value, Seq) else [value]
            else:
                pairs.add(key, value, _line(event) + is_block, is_block)
        for other in map(as_map, merged):
            for name in set(other) - set(pairs):
                pairs.add(name, other[name], other.lines[name], name in other.blocks)
        return pairs


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1
