"""Files of a repository as text, and YAML with the line of each value; both bounded."""

import os
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

_LARGEST, _LARGEST_YAML, _ALL = 1_000_000, 150_000, 20_000_000
"""Bytes read of a file, of a YAML file, and of all files together."""
_MOST_NODES, _DEEPEST = 10_000, 60
"""Nodes of a YAML file, each alias counted as what it repeats; and levels of nesting."""
_ALL_NODES = 100_000
"""Nodes of all YAML files together."""
_SKIPPED = {".git", ".venv", "node_modules", "vendor", "__pycache__", "testdata"}
_SKIPPED |= {"fixtures", "specimens"}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class Unreadable(Exception):
    """A file that cannot be judged; its text says why."""


class Map(dict[str, Any]):
    """A mapping, with the line on which each value begins, and which are blocks of lines."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, int] = {}
        self.blocks: set[str] = set()

    def below(self, key: str) -> "Map":
        """Return the mapping below a key; an empty one where there is none."""
        return as_map(self.get(key))

    def text(self, key: str) -> str:
        """Return the text at a key; a list as lines, and empty where there is neither."""
        value = self.get(key, "")
        return value if isinstance(value, str) else "\n".join(as_list(value))

    def line(self, key: str, row: int = 0, default: int = 1) -> int:
        """Return the line of a value, or of one of its rows."""
        rows = self.blocks if isinstance(self.get(key), str) else self
        return self.lines.get(key, default) + row * (key in rows)


class Seq(list[Any]):
    """A sequence, with the line on which each value begins."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[int] = []


def as_map(node: Any) -> Map:
    """Return a node that is a mapping; an empty one for another."""
    return node if isinstance(node, Map) else Map()


def as_list(node: Any) -> list[str]:
    """Return the texts of a sequence, or one text alone; nothing of a mapping."""
    if isinstance(node, str):
        return [node]
    return [one for one in node if isinstance(one, str)] if isinstance(node, Seq) else []


def clean(text: str) -> str:
    """Return a text without the characters that steer a terminal, or mark an unknown part."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


class Folder:
    """A repository's files; nothing outside of its folder is read."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.text = cache(self._text)
        self.names = cache(lambda: list(self._names()))
        self._bytes, self._nodes = _ALL, _ALL_NODES

    def _names(self) -> Iterator[str]:
        """Yield the files below the folder, sorted; links to folders are not followed."""
        for folder, below, files in os.walk(self.root):
            below[:] = sorted(set(below) - _SKIPPED)
            yield from (os.path.relpath(Path(folder, name), self.root) for name in sorted(files))

    def _text(self, name: str) -> str:
        """Return a file's text; raise Unreadable where it is large, foreign or no text."""
        try:
            path = Path(self.root, name).resolve()
            if not path.is_relative_to(self.root):
                raise Unreadable("it leads out of the folder")
            if not path.is_file():
                raise Unreadable("there is no such file")
            self._bytes -= path.stat().st_size
            if path.stat().st_size > _LARGEST or self._bytes < 0:
                raise Unreadable("the file, or all of them together, is too large to be read")
            return clean(path.read_bytes().decode().replace("\r\n", "\n"))
        except UnicodeDecodeError:
            raise Unreadable("it is not UTF-8") from None
        except (OSError, RuntimeError, ValueError) as error:  # as for a link to itself
            raise Unreadable(f"it cannot be read ({type(error).__name__})") from None

    def documents(self, name: str) -> list[Map]:
        """Return the mappings in a YAML file; raise Unreadable where it is none, or too large."""
        if len(text := self.text(name)) > _LARGEST_YAML:
            raise Unreadable(f"it has more than {_LARGEST_YAML // 1000} kB")
        builder = _Builder(text, min(_MOST_NODES, self._nodes))
        try:
            return [one for one in builder.documents() if isinstance(one, Map)]
        except (yaml.YAMLError, ValueError) as error:
            line = getattr(getattr(error, "problem_mark", None), "line", 0) + 1
            problem = getattr(error, "problem", None) or type(error).__name__
            raise Unreadable(f"it is no YAML: {problem} in line {line}") from None
        finally:
            self._nodes -= builder.nodes


class _Builder:
    """Builds Map, Seq and text from the parser's events, so that the bounds hold before memory."""

    def __init__(self, text: str, most: int) -> None:
        self.events = yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.nodes, self.most = 0, most

    def documents(self) -> Iterator[Any]:
        for event in self.events:
            if isinstance(event, yaml.NodeEvent):
                yield self._node(event, 0)

    def _count(self, nodes: int) -> None:
        self.nodes += nodes
        if self.nodes > self.most:
            raise Unreadable(f"it has more than {self.most} nodes")

    def _node(self, event: Any, depth: int) -> Any:
        if depth > _DEEPEST:
            raise Unreadable(f"it is nested more than {_DEEPEST} deep")
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                raise Unreadable(f"the alias {event.anchor} stands within itself, or for nothing")
            node, size = self.anchors[event.anchor]
            self._count(size)
            return node
        before = self.nodes
        self._count(1)
        built: Any = event.value if isinstance(event, yaml.ScalarEvent) else None
        if isinstance(event, yaml.SequenceStartEvent):
            built = Seq()
            for inner in self._below():
                built.append(self._node(inner, depth + 1))
                built.lines.append(_line(inner))
        elif isinstance(event, yaml.MappingStartEvent):
            built = self._map(depth)
        if event.anchor:
            self.anchors[event.anchor] = built, self.nodes - before
        return built

    def _below(self) -> Iterator[Any]:
        """Yield the events of what is inside, up to its end."""
        for event in self.events:
            if isinstance(event, (yaml.SequenceEndEvent, yaml.MappingEndEvent)):
                return
            yield event

    def _map(self, depth: int) -> Map:
        pairs, merged = Map(), list[Any]()
        for inner in self._below():
            key, event = self._node(inner, depth + 1), next(self.events)
            value = self._node(event, depth + 1)
            if key == "<<":
                merged += value if isinstance(value, Seq) else [value]
            else:
                pairs[str(key)], pairs.lines[str(key)] = value, _line(event)
                pairs.blocks |= {str(key)} if getattr(event, "style", "") in ("|", ">") else set()
        _merge(pairs, merged)
        return pairs


def _merge(pairs: Map, merged: Iterable[Any]) -> None:
    """Add what merge keys bring: the first of several wins."""
    for other in map(as_map, merged):
        for name in set(other) - set(pairs):
            pairs[name], pairs.lines[name] = other[name], other.lines[name]


def _line(event: Any) -> int:
    """Return the first line of a node's content, counted from 1."""
    return int(event.start_mark.line) + (2 if getattr(event, "style", "") in ("|", ">") else 1)
