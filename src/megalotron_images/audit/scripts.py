"""Files that a command runs: scripts, Makefiles, package.json, and builds of Maven and Gradle."""

import contextlib
import json
import posixpath
import re

from megalotron_images.audit import releasers
from megalotron_images.audit.expansions import parameters
from megalotron_images.audit.knowledge import PATTERNS
from megalotron_images.audit.model import Place, Run
from megalotron_images.audit.shell import FOLDER, Shell
from megalotron_images.audit.texts import either, has_holes, show, unknown
from megalotron_images.audit.words import option, options
from megalotron_images.audit.yaml_files import Unreadable

_SPEAKS = PATTERNS["publishing"]
_IMAGES = re.compile("docker|image|container|ghcr", re.IGNORECASE)
_RUNNERS = ("npm", "yarn", "pnpm", "task", "just", "rake", "npx", "poetry", "uv")
_INTERPRETERS = {"bash", "sh", "zsh", "dash", "source", "."}


def called(shell: Shell, words: list[str], stdin: str) -> str | None:
    """Follow what a command runs that is a file of the repository; return what it prints."""
    name, base = words[0], words[0].rpartition("/")[2]
    if base in _INTERPRETERS:
        return _interpreted(shell, words, stdin)
    if base in _RUNNERS:
        _named(shell, base, words[1:])
    elif base == "make":
        make(shell, words[1:])
    elif base in ("eval", "ssh", "trap"):
        parts = {"eval": words[1:], "ssh": words[-1:], "trap": words[1:2]}[base]
        return _follow(shell, " ".join(parts), shell.run.place, [], base != "eval")
    elif re.fullmatch(r"python[\d.]*|node|ruby|perl|pwsh|go", base):
        _other(shell, words, stdin)
    elif (
        "/" in name and ":" not in name and (name.endswith((".sh", ".bash")) or not has_holes(name))
    ):
        return _script(shell, name, words[1:])  # with a colon it is a reference
    elif has_holes(base) and (_SPEAKS.search(show(" ".join(words))) or not words[1:]):
        shell.run.doubt(f"a command that is not known: {show(' '.join(words))[:80]}")
    return None


def _interpreted(shell: Shell, words: list[str], stdin: str) -> str | None:
    """Follow a script that is given to a shell: as an argument, a file or its standard input."""
    is_own, words = words[0] not in ("source", "."), words[1:]
    own = re.findall(r"^(?:(?:[-+]\S*o \S+|[-+]\S+)(?: |$))*", " ".join(words))[0].split()
    words = words[len(own) :]
    if not words or any(re.fullmatch("-[a-z]*c", one) for one in own):
        return _follow(shell, words[0] if words else stdin, shell.run.place, words[1:])
    return _script(shell, words[0], words[1:], is_own)


def _is_harmless(name: str) -> bool:
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
        if speaks and not _is_harmless(name):
            shell.run.doubt(f"the script {show(name)}: {error}")
        return None
    if re.match(r"#!.*(python|node|ruby|perl)", text):
        _judge_text(shell, path, text)
        return None
    return _follow(shell, text, Place(path, 1), arguments, is_own)


def _follow(
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
        _follow(shell, held[names[0]], Place(file, 1), names[1:])
        return
    if "semantic-release" in text:
        releasers.semantic_release(shell.run)
    speaks = _SPEAKS if program in ("task", "just", "rake") else _IMAGES
    if speaks.search(text):
        shell.run.doubt(f"what `{program} {show(text)[:60]}` does is not seen")


_IF = re.compile(r"^[ ]*(ifn?eq|ifn?def|else|endif)\b.*$", re.MULTILINE)


def make(shell: Shell, words: list[str]) -> None:
    """Follow targets of a Makefile."""
    folder = option(words, "-C", "--directory")
    named = options(words, "-f", "--file", "--makefile")
    given = {k: v for k, s, v in (one.partition("=") for one in words) if s and k.isidentifier()}
    targets = [w for w in words if w[:1] != "-" and "=" not in w and w not in (folder, *named)]
    given["MAKECMDGOALS"] = " ".join(targets)
    usual = named or ["Makefile", "makefile", "GNUmakefile"]
    name = next(iter(shell.usual([posixpath.join(folder, one) for one in usual])), "")
    if name:
        before, shell.env[FOLDER] = shell.env.get(FOLDER, ""), posixpath.dirname(name)
        text = _filled(shell, name, _plain(shell.run, name), given)
        rules = list(PATTERNS["make_rule"].finditer(f"{text}\n"))
        first = next((one[1].split()[0] for one in rules if one[1][:1] != "."), "")
        _build(shell, name, rules, targets or [first], set(targets))
        shell.env[FOLDER] = before
    elif not all(map(_is_harmless, targets)):
        shell.run.doubt(f"`make {show(' '.join(targets))}`: the Makefile is not there")


def _plain(run: Run, name: str) -> str:
    """Return a Makefile with what it includes, its comments away and each line whole."""
    text = run.folder.text(name)
    for included in re.findall(r"^-?include\s+(.*)$", text, re.MULTILINE):
        for one in included.split():
            path = posixpath.normpath(posixpath.join(posixpath.dirname(name), one))
            text += "\n" + (run.folder.text(path) if run.folder.has(path) else "")
    text = re.sub(r"^#.*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"^([^\t\n][^\n:=]*:[^\n=;]*);[ \t]*(.*)$", r"\1\n\t\2", text, flags=re.MULTILINE)

    def whole(one: re.Match[str]) -> str:  # empty lines after it: lines keep their numbers
        return re.sub(r"\\\n\s*", " ", one[0]) + "\n" * one[0].count("\n")

    return re.sub(r"^(?!\t)(?:.*\\\n)+.*$", whole, text, flags=re.MULTILINE)


def _filled(shell: Shell, name: str, text: str, given: dict[str, str]) -> str:
    """Return a Makefile with make's variables put in; `$(shell …)` becomes the shell's own."""
    text, is_conditional = _IF.subn("", text)
    values, chosen = shell.env | {"MAKE": "make"}, dict[str, list[str]]()
    for match in PATTERNS["make_assignment"].finditer(text):
        _, key, sign, value = match.groups()
        if sign != "?" or key not in values or key in chosen:
            is_conditional += bool(match["target"])
            chosen.setdefault(key, []).append(value.strip())
            shell.run.bind(value.strip(), Place(name, text[: match.start()].count("\n") + 1))
    defined = re.findall(r"^define (\w+)\b.*\n((?:.*\n)*?)endef", text, re.MULTILINE)
    calls = {key: re.sub(r"\n[\t @+-]*", "; ", body.strip("\n\t @+-")) for key, body in defined}

    def put_in(line: str, depth: int = 0) -> str:
        line = re.sub(r"\$\((info|warning) [^()]*\)", "", line.replace("$$", "\0"))
        line = re.sub(r"\$[({]call (\w+).*?[)}]", lambda m: calls.get(m[1], m[0]), line)
        line = re.sub(r"\$\(shell\s+([^()]*(?:\([^()]*\)[^()]*)*)\)", "\0(\\1)", line)

        def value(one: re.Match[str]) -> str:
            if depth < 8:
                return put_in(values[one[1]], depth + 1) if one[1] in values else unknown(one[0])
            return unknown(f"a variable of the Makefile that holds itself: {one[1]}")

        return re.sub(r"\$[({]([\w.-]+)[)}]", value, line)

    for key, texts in chosen.items():  # which branch of a condition is taken is not known
        values[key] = either(map(put_in, texts)) if is_conditional and texts[1:] else texts[-1]
    values |= given
    shell.env |= {k: put_in(v).replace("\0", "$") for k, v in values.items() if k.isidentifier()}
    return "\n".join(map(put_in, text.splitlines()))


def _build(
    shell: Shell, name: str, rules: list[re.Match[str]], targets: list[str], asked: set[str]
) -> None:
    """Follow the recipes of targets, each after those of what it needs."""
    for target in targets:
        match, stem = _rule(rules, target)
        if match:
            rest = [one for one in rules if one is not match]  # each recipe runs once
            _build(shell, name, rest, match[2].partition("#")[0].split(), set())
            recipe = re.sub(r"^\t[@+-]*", "", match[3], flags=re.MULTILINE)
            recipe = recipe.replace("$*", stem).replace("$@", target).replace("\0", "$")
            line = match.string[: match.start(3)].count("\n") + 1
            _follow(shell, recipe, Place(name, line), [])
        elif (target in asked or "\0" in target) and not _is_harmless(target):
            shell.run.doubt(f"{name} has no rule for {show(target)}")


def _rule(rules: list[re.Match[str]], target: str) -> tuple[re.Match[str] | None, str]:
    """Return the rule of a target, with what its `%` stands for."""
    for match in rules:
        for name in match[1].split():
            if found := re.fullmatch(re.escape(name).replace("%", "(.*)"), target):
                return match, "".join(found.groups())
    return None, ""
