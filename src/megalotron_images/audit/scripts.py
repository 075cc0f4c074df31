"""Files that a command runs: scripts of the shell and of other languages, and package.json."""

import contextlib
import json
import posixpath
import re

from megalotron_images.audit import releasers
from megalotron_images.audit.expansions import parameters
from megalotron_images.audit.knowledge import PATTERNS
from megalotron_images.audit.model import Place
from megalotron_images.audit.shell import Shell
from megalotron_images.audit.texts import has_holes, show
from megalotron_images.audit.words import option
from megalotron_images.audit.yaml_files import Unreadable

_SPEAKS = PATTERNS["publishing"]
_IMAGES = re.compile("docker|image|container|ghcr", re.IGNORECASE)
_RUNNERS = ("npm", "yarn", "pnpm", "task", "just", "rake", "npx", "poetry", "uv")
_INTERPRETERS = {"bash", "sh", "zsh", "dash", "source", "."}


def called(shell: Shell, words: list[str], stdin: str) -> str | None:
    """Follow what a command runs that is a file of the repository; return what it prints."""
    name, base = words[0], words[0].rpartition("/")[2]
    is_path = "/" in name and ":" not in name  # with a colon it is a reference
    if base in _INTERPRETERS:
        return _interpreted(shell, words, stdin)
    if base in _RUNNERS:
        _named(shell, base, words[1:])
    elif base in ("eval", "ssh", "trap"):
        parts = {"eval": words[1:], "ssh": words[-1:], "trap": words[1:2]}[base]
        return follow(shell, " ".join(parts), shell.run.place, [], base != "eval")
    elif re.fullmatch(r"python[\d.]*|node|ruby|perl|pwsh|go", base):
        _other(shell, words, stdin)
    elif is_path and (name.endswith((".sh", ".bash")) or not has_holes(name)):
        return _script(shell, name, words[1:])
    elif has_holes(base) and (_SPEAKS.search(show(" ".join(words))) or not words[1:]):
        shell.run.doubt(f"a command that is not known: {show(' '.join(words))[:80]}")
    return None


def _interpreted(shell: Shell, words: list[str], stdin: str) -> str | None:
    """Follow a script that is given to a shell: as an argument, a file or its standard input."""
    is_own, words = words[0] not in ("source", "."), words[1:]
    own = re.findall(r"^(?:(?:[-+]\S*o \S+|[-+]\S+)(?: |$))*", " ".join(words))[0].split()
    words = words[len(own) :]
    if not words or any(re.fullmatch("-[a-z]*c", one) for one in own):
        return follow(shell, words[0] if words else stdin, shell.run.place, words[1:])
    return _script(shell, words[0], words[1:], is_own)


def is_harmless(name: str) -> bool:
    """Whether the name of a script or target that is not there speaks of no publishing."""
    return bool(PATTERNS["harmless_commands"].search(name)) and not _SPEAKS.search(name)


def _script(shell: Shell, name: str, arguments: list[str], is_own: bool = True) -> str | None:
    """Follow a script of the repository; one that is not there is a doubt."""
    if name.startswith(("/", "~")):
        return None  # a program of the machine's
    path = shell.find(name)
    try:
        text = shell.run.files.get(name.removeprefix("./")) or shell.run.folder.text(path)
    except Unreadable as error:
        speaks = name.endswith((".sh", ".bash")) or _SPEAKS.search(name) or "scripts/" in name
        if speaks and not is_harmless(name):
            shell.run.doubt(f"the script {show(name)}: {error}")
        return None
    if re.match(r"#!.*(python|node|ruby|perl)", text):
        _judge_text(shell, path, text)
        return None
    return follow(shell, text, Place(path, 1), arguments, is_own)


def follow(
    shell: Shell, text: str, place: Place, arguments: list[str], is_own: bool = True
) -> str | None:
    """Follow a text of shell commands with arguments, with variables of its own or those here."""
    if run := shell.run.deeper(place):
        inner = Shell(run, dict(shell.env), shell.handler, shell.unset, functions=shell.functions)
        inner.env |= {"0": place.file, "BASH_SOURCE": place.file}
        if is_own or arguments:
            inner.env |= parameters(arguments)
        printed = inner.follow(text)
        if not is_own:
            shell.env = inner.env
        return printed
    return None


def _judge_text(shell: Shell, name: str, text: str) -> None:
    if PATTERNS["pushing_text"].search(text):
        shell.run.doubt(f"{name} pushes or logs in, in a language that is not followed")


def _other(shell: Shell, words: list[str], stdin: str) -> None:
    """Judge a program in another language by what its file holds, or by its name."""
    name = next((one for one in words[1:] if one[:1] != "-" and re.search(r"[./]", one)), "")
    name = f"{name.replace('.', '/')}.py" if "-m" in words else name
    if "-c" in words or "-e" in words or not name:
        _judge_text(shell, "a program in the command line", " ".join([*words, stdin]))
    elif shell.run.folder.has(file := shell.find(name)):
        _judge_text(shell, file, shell.run.folder.text(file))
    elif _SPEAKS.search(name):
        shell.run.doubt(f"the program {show(name)} is not there, and its name speaks of publishing")


def _named(shell: Shell, program: str, words: list[str]) -> None:
    """Follow a script of package.json; judge other runners' tasks by their names."""
    below, held = option(words, "--prefix", "-C", "--cwd"), dict[str, str]()
    names = [one for one in words if one[:1] != "-" and one not in ("run", below)]
    file = shell.find(posixpath.join(below, "package.json"))
    with contextlib.suppress(ValueError, AttributeError, Unreadable):
        held = json.loads(shell.run.folder.text(file)).get("scripts", {})
    text = " ".join(names)
    if program in ("npm", "yarn", "pnpm") and names and names[0] in held:
        follow(shell, held[names[0]], Place(file, 1), names[1:])
        return
    if "semantic-release" in text:
        releasers.semantic_release(shell.run)
    speaks = _SPEAKS if program in ("task", "just", "rake") else _IMAGES
    if speaks.search(text):
        shell.run.doubt(f"what `{program} {show(text)[:60]}` does is not seen")
