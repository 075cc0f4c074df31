"""Which commands of a script are known to write to a registry, however they are spelled: by a project's list.

An entry, `docker push`, is a program and words that must come after it in this order; others, such as options, may
stand between, and a word may be a pattern (`*type=registry*`). With `!--dry-run` a command with that flag is excused.
"""

import posixpath
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import pairwise

from tree_sitter import Node

from rehearsal.syntax import one_word, parse, text, walk

_WRAPPERS = {"sudo", "doas", "env", "time", "timeout", "nice", "nohup", "xargs", "command", "builtin", "stdbuf"}
_SHELLS = {"sh", "bash", "dash", "zsh"}
_UNREAD = "$"


def writer_in(script: str, writers: Sequence[str]) -> str | None:
    """Return the first command of a script that is known to write, or that cannot be read; None if there is none."""
    for node in walk(parse(one_word(script))):
        if node.type == "command":
            said = _unwrapped(_words(node), {writer.split()[0] for writer in writers} | _SHELLS | {"python", "python3"})
            found = next((writer for writer in writers if _is(said, writer.split())), None)
            for inner in _inner_scripts(said):
                found = found or writer_in(inner, writers)
            if found:
                return found
    return None


def _words(command: Node) -> list[str]:
    """Return a command's words without quotes; one that bash would work out is `$`."""
    found = []
    for child in command.children:
        if child.type == "variable_assignment" or child.type.endswith("redirect"):
            continue
        unread = any(inner.type.endswith(("expansion", "substitution")) for inner in walk(child))
        found.append(_UNREAD if unread else "".join(letter for letter in text(child) if letter not in "'\"\\"))
    return found


def _unwrapped(words: list[str], programs: set[str]) -> list[str]:
    """Return the words from the program's name on, without `sudo` and the like, and without its folder."""
    names = [posixpath.basename(word) for word in words]
    start = 0
    if names and names[0] in _WRAPPERS:
        start = next((number for number, name in enumerate(names) if name in programs or name == _UNREAD), 0)
    rest = [*names[start : start + 1], *words[start + 1 :]]
    if rest[1:2] == ["-m"] and rest[0].startswith("python") and len(rest) > 2:
        rest = [rest[2].partition(".")[0].replace("_", "-"), *rest[3:]]
    return rest


def _is(said: list[str], writer: list[str]) -> bool:
    program, *verb = [word for word in writer if not word.startswith("!")]
    if not said or said[0] not in (program, _UNREAD):
        return False
    first = next((word for word in said[1:] if not word.startswith("-")), "")
    if said[0] == program and first == _UNREAD:
        return True
    words = iter(said[1:])
    if not all(any(fnmatchcase(word, wanted) for word in words) for wanted in verb):
        return False
    return not any(_is_flag(said, word[1:]) for word in writer if word.startswith("!"))


def _is_flag(said: list[str], flag: str) -> bool:
    """Return whether a flag is there, and for certain not the value of an option before it."""
    return flag in said and not said[said.index(flag) - 1].startswith("-")


def _inner_scripts(said: list[str]) -> Iterator[str]:
    if said and said[0] in _SHELLS:
        for flag, script in pairwise(said):
            if flag.startswith("-") and flag.endswith("c"):
                yield script
