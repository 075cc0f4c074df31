"""What may push or deploy, by names alone, and plain forms: the table of `mentions.toml`."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from importlib.resources import files

from megalotron_images.audit.values import LONGEST, show
from megalotron_images.audit.yaml_files import Folder

_TABLES = tomllib.loads(files(__package__).joinpath("mentions.toml").read_text())
FIX: Mapping[str, str] = _TABLES["fix"]
"""How to fix what violates a rule."""
STARTS: Mapping[str, str] = _TABLES["starts"]
"""The references of events that have more than the default branch, or another one."""
WORDS = {name: frozenset(text.split()) for name, text in _TABLES["words"].items()}
"""Verbs, options and reserved words of docker and the shell."""
PATTERNS = {
    name: re.compile(text.replace("\n", ""), re.IGNORECASE)
    for name, text in _TABLES["patterns"].items()
}
"""Patterns of names and lines that may push, or certainly do not."""


def pushes(line: str) -> bool:
    """Whether a text names a program that pushes, with what it is asked to do."""
    return len(line) > LONGEST or bool(PATTERNS["pushing"].search(line))


def may_push(line: str) -> bool:
    """Whether a command that is not understood may push, log in, or run what does."""
    is_running = PATTERNS["running"].search(line) and not PATTERNS["harmless"].match(line)
    is_quoted = PATTERNS["quoting"].match(line)
    return bool(PATTERNS["piping"].search(line) or (not is_quoted and (is_running or pushes(line))))


def called(folder: Folder, line: str) -> list[str]:
    """Return the files of the folder that a command runs: scripts, actions, or build files."""
    wanted = [f"/{one.removeprefix('./').strip('/')}/" for one in PATTERNS["script"].findall(line)]
    if PATTERNS["building"].search(line):
        wanted += [f"/{one}/" for one in WORDS["build_files"]]
    return [name for name in folder.names if any(one in f"/{name}/" for one in wanted)]


def spoken(folder: Folder, names: list[str]) -> Iterator[tuple[str, int, str]]:
    """Yield the first line of each file that may lead to a push: file, number and words.

    Raises Unreadable.
    """
    for name in names:
        text = folder.text(name)
        if found := PATTERNS["speaking"].search(text):
            yield name, text.count("\n", 0, found.start()) + 1, found[0].strip()[:60]


def harmless_action(name: str, inputs: Mapping[str, str]) -> bool:
    """Whether an action of others pushes nothing, by its name and inputs."""
    whole = "\n".join([name, *map(show, inputs.values())])
    is_pushing = pushes(whole) or inputs.get("push-to-registry", "false") != "false"
    is_unknown = any(map(PATTERNS["action_inputs"].match, inputs)) or "secrets." in whole
    is_unknown = is_unknown or bool(PATTERNS["action_names"].search(name))
    return not is_pushing and (bool(PATTERNS["harmless_actions"].match(name)) or not is_unknown)
