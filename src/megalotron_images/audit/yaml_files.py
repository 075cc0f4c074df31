"""Files of a repository as text, and YAML with the line of each value."""

import os
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import ScalarNode, SequenceNode

from megalotron_images.audit.texts import clean

_LARGEST, _LARGEST_YAML = 3_000_000, 300_000
"""Bytes of a file that is read; a larger one is told as one that cannot be."""
_SKIPPED = {".git", ".venv", "node_modules", "vendor", "__pycache__", "testdata"}
_SKIPPED |= {"fixtures", "specimens"}


class Unreadable(Exception):
    """A file that cannot be judged; its text says why."""


class Map(dict[str, Any]):
    """A mapping, with the line on which each value begins, and which are blocks of lines."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, int] = {}
        self.is_block: dict[str, bool] = {}

    def below(self, key: str) -> "Map":
        """Return the mapping below a key; an empty one where there is none."""
        return as_map(self.get(key))


def as_map(node: Any) -> Map:
    """Return a node that is a mapping; an empty one for another."""
    return node if isinstance(node, Map) else Map()


def as_list(node: Any) -> list[Any]:
    """Return a node that may be a sequence, or one text alone."""
    return [node] if isinstance(node, str) else list(node)


class Seq(list[Any]):
    """A sequence, with the line on which each value begins."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[int] = []


class Folder:
    """A repository's files; nothing outside of its folder is read."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.text = cache(self._text)
        self.documents = cache(self._documents)

    def names(self) -> Iterator[str]:
        """Yield the files below the folder, sorted; links to folders are not followed."""
        for folder, below, files in os.walk(self.root):
            below[:] = sorted(set(below) - _SKIPPED)
            yield from (os.path.relpath(Path(folder, name), self.root) for name in sorted(files))

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        return Path(self.root, name).is_file()

    def _text(self, name: str) -> str:
        """Return a file's text; raise Unreadable where it is large, foreign or no text."""
        try:
            path = Path(self.root, name).resolve()
            if not path.is_relative_to(self.root):
                raise Unreadable("it leads out of the folder")
            if not path.is_file():
                raise Unreadable("it is not there")
            if path.stat().st_size > _LARGEST:
                raise Unreadable(f"it is larger than {_LARGEST // 1000} kB")
            return clean(path.read_bytes().decode().replace("\r\n", "\n"))
        except UnicodeDecodeError:
            raise Unreadable("it is not UTF-8") from None
        except (OSError, RuntimeError) as error:  # as for a link to itself
            raise Unreadable(f"it cannot be read ({type(error).__name__})") from None

    def document(self, name: str) -> Map:
        """Return the first of a file's documents; raise Unreadable where it is no YAML."""
        return as_map(next(iter(self.documents(name)), None))

    def _documents(self, name: str) -> list[Any]:
        """Return a file's YAML documents; raise Unreadable where it is none."""
        if len(text := self.text(name)) > _LARGEST_YAML:
            raise Unreadable(f"it is larger than {_LARGEST_YAML // 1000} kB")
        return parse(text)


def parse(text: str) -> list[Any]:
    """Return the documents of a text, all scalars as text; raise Unreadable where it is no YAML."""
    try:
        with warnings.catch_warnings(action="ignore"):  # as of an anchor that is used twice
            nodes = YAML(typ="safe", pure=True).compose_all(text)
            return [_convert(node, {}) for node in nodes]
    except (YAMLError, ValueError, RecursionError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", 0) + 1
        problem = getattr(error, "problem", None) or type(error).__name__
        raise Unreadable(f"it is no YAML: {problem} in line {line}") from None


def items(node: Any) -> list[tuple[Any, int]]:
    """Return the values of a mapping or sequence, each with its line; none of a text."""
    if isinstance(node, Map):
        return [(value, node.lines[key]) for key, value in node.items()]
    return list(zip(node, node.lines, strict=True)) if isinstance(node, Seq) else []


def texts_of(node: Any) -> Iterator[tuple[str, int]]:
    """Yield all texts below a node, each with its line."""
    for value, line in items(node):
        yield from [(value, line)] if isinstance(value, str) else texts_of(value)


def _convert(node: Any, done: dict[int, Any]) -> Any:
    """Return a node as Map, Seq or text; a node with several aliases is converted once."""
    if isinstance(node, ScalarNode):
        return str(node.value)
    if id(node) in done:
        return done[id(node)]
    if isinstance(node, SequenceNode):
        done[id(node)] = items = Seq()
        for one in node.value:
            items.append(_convert(one, done))
            items.lines.append(_line(one))
        return items
    done[id(node)] = pairs = Map()
    for key, value in sorted(node.value, key=lambda pair: pair[0].value != "<<"):
        if key.value == "<<":
            _merge(pairs, _convert(value, done))
        else:
            pairs[str(key.value)] = _convert(value, done)
            pairs.lines[str(key.value)] = _line(value)
            pairs.is_block[str(key.value)] = getattr(value, "style", None) in ("|", ">")
    return pairs


def _merge(pairs: Map, merged: Any) -> None:
    """Add what a merge key brings: the first of several wins."""
    for other in merged if isinstance(merged, Seq) else [merged]:
        for name in set(other) - set(pairs):
            pairs[name], pairs.lines[name] = other[name], other.lines[name]


def _line(node: Any) -> int:
    """Return the first line of a node's content, counted from 1."""
    return int(node.start_mark.line) + (2 if getattr(node, "style", None) in ("|", ">") else 1)
