"""The options of a shell cell, behind its `%%bash`."""

import argparse
import functools
import re
import shlex
from dataclasses import dataclass
from typing import NoReturn

from rehearsal.cell.syntax import Script
from rehearsal.errors import Wrong
from rehearsal.settings import STORES

_MAGIC = re.compile(r"%%bash(?=[ \t\n])([^\n]*)\n")
NOT_HERE = "Not run on this engine: "
"""Beginning of the line that a cell prints if it holds with another image store alone."""
NOBODY = "nothing"
"""Instead of words: the registry does not answer at all."""


@dataclass(frozen=True)
class ShellCell:
    """A shell cell and its options.

    Attributes:
        script: as on the page.
        fails: the exit status that it must end with.
        root: whether it runs containers.
        writes: the references that it writes.
        answers: the words in which the room's registry refuses every request, or `nothing`.
        store: the only image store with which it holds; empty for both.
        asked: the beginnings of its questions, each with what is typed.
    """

    script: str
    fails: int | None = None
    root: bool = False
    writes: tuple[str, ...] = ()
    answers: str = ""
    store: str = ""
    asked: tuple[tuple[str, str], ...] = ()

    @functools.cached_property
    def parsed(self) -> Script:
        """The script with its syntax tree."""
        return Script(self.script)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Wrong(f'The options of this cell (magic_args="…") are not understood: {message}.')


_PARSER = _Parser("%%bash", add_help=False, allow_abbrev=False)
_PARSER.add_argument("--fails", type=int, choices=range(1, 256), metavar="STATUS")
_PARSER.add_argument("--root", action="store_true")
_PARSER.add_argument("--writes", action="append", metavar="REFERENCE")
_PARSER.add_argument("--store", choices=STORES, default="")
_PARSER.add_argument("--answers", default="", metavar="WORDS")
_PARSER.add_argument("--asked", action="append", nargs=2, metavar=("QUESTION", "ANSWER"))


def read_cell(line: str, script: str) -> ShellCell:
    """Parse a shell cell; raise Wrong for unknown options."""
    try:
        words = shlex.split(line)
    except ValueError as error:
        _PARSER.error(str(error).lower())
    read = _PARSER.parse_args(words)
    lists = {"writes": tuple(read.writes or ()), "asked": tuple(map(tuple, read.asked or ()))}
    return ShellCell(script.removesuffix("\n"), **{**vars(read), **lists})


@functools.cache  # so that text and notebook share what was parsed
def shell_cell(source: str) -> ShellCell | None:
    """Return a code cell's source as a shell cell, or None for Python.

    Raises Wrong for unknown options.
    """
    line, script = split_magic(source)
    return None if line is None else read_cell(line, script)


def split_magic(source: str) -> tuple[str | None, str]:
    """Return the options after `%%bash` and the script; None and the source without a magic."""
    magic = _MAGIC.match(f"{source}\n")
    return (magic[1], source[magic.end() :]) if magic else (None, source)
