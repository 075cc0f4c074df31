"""What may push or deploy, by names alone: the table of `mentions.toml`."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from importlib.resources import files

from megalotron_images.audit.values import LONGEST, show
from megalotron_images.audit.yaml_files import Folder, Unreadable

_TABLES = tomllib.loads(files(__package__).joinpath("mentions.toml").read_text())
MEND: Mapping[str, str] = _TABLES["mend"]
"""How to fix what violates a rule."""
WORDS = {name: frozenset(text.split()) for name, text in _TABLES["words"].items()}
"""Verbs, options and reserved words of docker and the shell."""
PATTERNS = {
    name: re.compile(text.replace("\n", ""), re.IGNORECASE)
    for name, text in _TABLES["patterns"].items()
}
"""What names and lines say of pushing."""
_MACHINES = [(kind, one) for kind, text in _TABLES["machines"].items() for one in text.split()]


def pushes(line: str) -> bool:
    """Whether a text names a program that pushes, with what it is asked to do."""
    return len(line) > LONGEST or bool(PATTERNS["pushing"].search(line))


def may_push(line: str) -> bool:
    """Whether a command that is not understood may push, log in, or run what does."""
    if PATTERNS["piping"].search(line) or PATTERNS["quoting"].match(line):
        return bool(PATTERNS["piping"].search(line))
    is_harmless = PATTERNS["harmless"].match(line)
    return pushes(line) or (not is_harmless and bool(PATTERNS["running"].search(line)))


def deploys(line: str) -> bool:
    """Whether a command runs an image of Megalotron from now on."""
    return bool(PATTERNS["deploying"].search(line) and PATTERNS["ours"].search(line))


def called(folder: Folder, line: str) -> list[str]:
    """Return the files of the folder that a command runs: its scripts, or a build file."""
    programs = set(re.findall(r"[\w-]+", line)) & set(_TABLES["files"])
    wanted = {name for one in programs for name in _TABLES["files"][one].split()}
    scripts = [one.lstrip("./") for one in PATTERNS["script"].findall(line)]
    return [
        one
        for one in folder.names()
        if one.rpartition("/")[2] in wanted or any(f"/{one}".endswith(f"/{s}") for s in scripts)
    ]


def spoken(folder: Folder, names: list[str]) -> Iterator[tuple[str, int, str]]:
    """Yield the first line of each file that may lead to a push: file, number and words."""
    for name in names:
        try:
            lines = enumerate(folder.text(name).splitlines(), 1)
            found = (one for one in lines if PATTERNS["speaking"].search(one[1]))
            yield from ((name, number, line.strip()[:60]) for number, line in [*found][:1])
        except Unreadable as error:
            yield name, 1, str(error)


def harmless_action(name: str, inputs: Mapping[str, str]) -> bool:
    """Whether an action of others pushes nothing, by its name and inputs."""
    if inputs.get("push-to-registry", "false") != "false":
        return False
    whole = "\n".join([name, *map(show, inputs.values())])
    if pushes(whole) or PATTERNS["harmless_actions"].match(name):
        return not pushes(whole)
    asked = any(map(PATTERNS["action_inputs"].match, inputs))
    return not asked and not PATTERNS["action_names"].search(name) and "secrets." not in whole


def machine(name: str) -> str:
    """Return the system whose file this is; empty for none."""
    return next((kind for kind, pattern in _MACHINES if fnmatch(name, pattern)), "")
