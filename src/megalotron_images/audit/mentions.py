"""What may push or deploy, by names alone: the table of `mentions.toml`, and the doubts it raises."""

import re
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib.resources import files

from megalotron_images.audit.values import LONGEST, show
from megalotron_images.audit.yaml_files import Folder, Unreadable

_TABLES = tomllib.loads(files(__package__).joinpath("mentions.toml").read_text())
MEND: dict[str, str] = _TABLES["mend"]
"""How to fix what violates a rule."""
LOCAL = frozenset(_TABLES["words"].pop("local").split())
"""Verbs of docker and podman that write to no registry by themselves."""


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text.replace("\n", ""), re.IGNORECASE)


_WORDS = {name: _pattern(text) for name, text in _TABLES["words"].items()}
_ACTIONS = {name: _pattern(text) for name, text in _TABLES["actions"].items()}
_DEPLOY = {name: _pattern(text) for name, text in _TABLES["deploy"].items()}
_FILES = {name: text.split() for name, text in _TABLES["files"].items()}
_MACHINES = [(kind, one) for kind, text in _TABLES["machines"].items() for one in text.split()]
_SCRIPT = re.compile(
    r"[\w@./-]+\.(?:ba|z)?sh\b|\.{1,2}/[\w./-]+|[\w./-]+\.(?:py|js|mjs|ts|rb|pl|php|ps1|groovy)\b"
)


def may_push(line: str) -> bool:
    """Whether a command that is not understood may push, log in, or run what does."""
    if len(line) > LONGEST:
        return True
    if _WORDS["harmless"].match(line) and not _WORDS["betraying"].search(line):
        return False
    return bool(_WORDS["pushing"].search(line) or _WORDS["running"].search(line))


def pushes(line: str) -> bool:
    """Whether a text names a program that pushes, with what it is asked to do."""
    return bool(_WORDS["pushing"].search(line[:LONGEST])) or len(line) > LONGEST


def deploys(line: str) -> bool:
    """Whether a command runs an image of Megalotron from now on."""
    return bool(_WORDS["deploying"].search(line) and _DEPLOY["line"].search(line))


def called(folder: Folder, line: str) -> Iterator[tuple[str, int, str]]:
    """Yield what a command's own files say of pushing: the file, the line, and its words.

    A script or a build file is not followed: a word that may lead to a push is enough. An empty
    file's name says that the script is not in the repository.
    """
    if _WORDS["harmless"].match(line) and not _WORDS["betraying"].search(line):
        return
    words = {one.rpartition("/")[2] for one in re.findall(r"[\w./-]+", line)}
    wanted = {name for one in words & set(_FILES) for name in _FILES[one]}
    scripts = {one.lstrip("./") for one in _SCRIPT.findall(line)}
    scripts -= {one for one in scripts if one in ("mvnw", "gradlew")}
    held = [one for one in folder.names() if one.rpartition("/")[2] in wanted]
    for script in scripts:
        found = [one for one in folder.names() if f"/{one}".endswith(f"/{script}")]
        held += found
        if not found:
            yield "", 0, script
    if wanted and not held:
        yield "", 0, line
    for name in dict.fromkeys(held):
        yield from spoken(folder, name)


def spoken(folder: Folder, name: str) -> Iterator[tuple[str, int, str]]:
    """Yield the first line of a file that may lead to a push: its name, number and words."""
    try:
        for number, line in enumerate(folder.text(name).splitlines(), 1):
            if _WORDS["speaking"].search(line) and not line.lstrip().startswith(("#", "//")):
                yield name, number, line.strip()
                return
    except Unreadable as error:
        yield name, 1, str(error)


def harmless_action(name: str, inputs: dict[str, str]) -> bool:
    """Whether an action of others pushes nothing, by its name and inputs."""
    if _ACTIONS["harmless"].match(name):
        return not any(pushes(one) for one in inputs.values())
    given = [show(one) for one in inputs.values()]
    has_secret = any(re.search(r"(?i)secrets\.|github\.token", one) for one in given)
    asked = any(_ACTIONS["inputs"].match(one) for one in inputs)
    return not (has_secret or asked or _ACTIONS["pushing"].search(name) or any(map(pushes, given)))


def harmless_workflow(uses: str) -> bool:
    """Whether a reusable workflow pushes nothing, by its name."""
    return bool(_ACTIONS["workflows"].search(uses))


def machine(name: str) -> str:
    """Return the system whose file this is; empty for none."""
    return next((kind for kind, pattern in _MACHINES if fnmatch(name, pattern)), "")


def may_deploy(name: str) -> bool:
    """Whether a file of that name may say what is run."""
    return bool(_DEPLOY["files"].search(name) and not _DEPLOY["apart"].search(name))


def named_images(text: str) -> Iterator[int]:
    """Yield the numbers of the lines that name an image of Megalotron."""
    for number, line in enumerate(text.splitlines(), 1):
        if _DEPLOY["line"].search(line) if len(line) <= LONGEST else "megalotron/" in line:
            yield number
