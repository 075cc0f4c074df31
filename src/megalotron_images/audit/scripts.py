"""Files that a command runs: scripts, Makefiles, package.json, and builds of Maven and Gradle."""

import contextlib
import json
import posixpath
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from megalotron_images.audit import releasers
from megalotron_images.audit.knowledge import PATTERNS
from megalotron_images.audit.model import Place
from megalotron_images.audit.texts import either, has_holes, show, unknown
from megalotron_images.audit.words import options
from megalotron_images.audit.yaml_files import Unreadable

if TYPE_CHECKING:
    from megalotron_images.audit.run import Run
    from megalotron_images.audit.shell import Shell

_HARMLESS = PATTERNS["harmless_commands"]
_SPEAKS = PATTERNS["publishing"]
_IMAGES = re.compile("docker|image|container|ghcr", re.IGNORECASE)
PUSHES = PATTERNS["pushing_text"]
_RUNNERS = ("npm", "yarn", "pnpm", "task", "just", "rake", "npx", "poetry", "uv")
_RULE = PATTERNS["make_rule"]
"""A rule of a Makefile: targets, what they need, recipe."""
_JIB = re.compile(r"(^|[\s:])jib(\s|$)|jib(-maven-plugin:[\w.]+)?:build")
INTERPRETERS = {"bash", "sh", "zsh", "dash", "source", ".", "/bin/bash", "/bin/sh"}


def called(shell: "Shell", words: list[str], stdin: str) -> str | None:
    """Follow what a command runs that is a file of the repository; None: what it prints."""
    name, base = words[0], words[0].rpartition("/")[2]
    runners: dict[str, Callable[[], str | None]] = {
        **dict.fromkeys(INTERPRETERS, lambda: _interpreted(shell, words, stdin)),
        **dict.fromkeys(_RUNNERS, lambda: _named(shell, base, words[1:])),
        **dict.fromkeys(("mvn", "mvnw", "gradle", "gradlew"), lambda: _java(shell, words)),
        "make": lambda: make(shell, words[1:]),
        "eval": lambda: _text(shell, " ".join(words[1:]), shell.run.place, [], False),
        "ssh": lambda: _text(shell, words[-1], shell.run.place, []),
        "trap": lambda: _text(shell, "".join(words[1:2]), shell.run.place, []),
    }
    if base in runners or name in runners:
        return runners[base if base in runners else name]()
    if re.fullmatch(r"python[\d.]*|node|ruby|perl|pwsh|go", base):
        return _other(shell, words, stdin)
    if has_holes(base) and (_SPEAKS.search(show(" ".join(words))) or not words[1:]):
        shell.run.doubt(f"a command that is not known: {show(' '.join(words))[:80]}")
    is_script = name.endswith((".sh", ".bash")) or not has_holes(name)
    is_path = "/" in name and ":" not in name  # with a colon it is a reference
    return script(shell, name, words[1:]) if is_path and is_script else None


def _interpreted(shell: "Shell", words: list[str], stdin: str) -> str | None:
    """Follow a script that is given to a shell: as an argument, a file or its standard input."""
    is_own, words = words[0] not in ("source", "."), words[1:]
    given = next((at for at, one in enumerate(words) if re.fullmatch(r"-[a-z]*c", one)), None)
    if given is not None:
        return _text(shell, "".join(words[given + 1 : given + 2]), shell.run.place, [])
    operands = [one for one in words if one[:1] not in ("-", "+")]
    if not operands:
        return _text(shell, stdin, shell.run.place, [])
    return script(shell, operands[0], operands[1:], is_own)


def _is_harmless(name: str) -> bool:
    """Whether the name of a script or target that is not there speaks of no publishing."""
    return bool(_HARMLESS.search(name)) and not _SPEAKS.search(name)


def script(shell: "Shell", name: str, arguments: list[str], is_own: bool = True) -> str | None:
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
        return _judge_text(shell, path, text)
    return _text(shell, text, Place(path, 1), arguments, is_own)


def _text(
    shell: "Shell", text: str, place: Place, arguments: list[str], is_own: bool = True
) -> str | None:
    """Follow a text of shell commands with arguments, with variables of its own or those here."""
    from megalotron_images.audit.shell import Shell

    run = shell.run.deeper(place)
    if run:
        env = dict(shell.env) if is_own else shell.env
        inner = Shell(run, env, shell.handler, shell.unset)
        inner.functions = shell.functions
        if is_own or arguments:
            inner.arguments(arguments)
        inner.follow(text)
    return None


def _judge_text(shell: "Shell", name: str, text: str) -> str | None:
    if PUSHES.search(text):
        shell.run.doubt(f"{name} pushes or logs in, in a language that is not followed")
    return None


def _other(shell: "Shell", words: list[str], stdin: str) -> str | None:
    """Judge a program in another language by what its file holds, or by its name."""
    name = next((one for one in words[1:] if one[:1] != "-" and re.search(r"[./]", one)), "")
    if "-c" in words or "-e" in words or not name:
        return _judge_text(shell, "a program in the command line", " ".join([*words, stdin]))
    if shell.run.folder.has(file := shell.find(name)):
        return _judge_text(shell, file, shell.run.folder.text(file))
    if _SPEAKS.search(name) and not _is_harmless(name):
        shell.run.doubt(f"the program {show(name)} is not there, and its name speaks of publishing")
    return None


def _named(shell: "Shell", program: str, words: list[str]) -> str | None:
    """Follow a script of package.json; judge other runners' tasks by their names."""
    names = [one for one in words if one[:1] != "-" and one != "run"]
    below = (options(words, "--prefix", "-C", "--cwd") or [""])[0]
    names, held = [one for one in names if one != below], {}
    name, file = names[0] if names else "", shell.find(posixpath.join(below, "package.json"))
    with contextlib.suppress(ValueError, AttributeError, Unreadable):
        held = json.loads(shell.run.folder.text(file)).get("scripts", {})
    if program in ("npm", "yarn", "pnpm") and name in held:
        return _text(shell, held[name], Place(file, 1), names[1:])
    text = " ".join(names)
    if "semantic-release" in text:
        releasers.semantic_release(shell.run)
    speaks = _SPEAKS if program in ("task", "just", "rake") else _IMAGES
    if speaks.search(text) and not _is_harmless(text):
        shell.run.doubt(f"what `{program} {show(text)[:60]}` does is not seen")
    return None


def _java(shell: "Shell", words: list[str]) -> str | None:
    """Note jib, Spring's and other plugins that push images."""
    text = " ".join(words)
    if _JIB.search(text):
        releasers.jib(shell.run, words)
    elif "build-image" in text or "bootBuildImage" in text:
        if re.search(r"publish(Image)?(=true)?\b", text):
            named = re.search(r"image-?name=(\S+)", text, re.IGNORECASE)
            shell.run.push(named[1] if named else unknown("where Spring pushes to"))
    elif re.search(r"docker:push|dockerPush|dockerfile:push|\bdeploy\b|pushImage|k8s:push", text):
        shell.run.doubt(f"a plugin may push: {show(text)[:80]}")
    return None


def make(shell: "Shell", words: list[str]) -> str | None:
    """Follow targets of a Makefile."""
    folder = (options(words, "-C", "--directory") or [""])[0]
    named = options(words, "-f", "--file", "--makefile")
    given = {k: v for k, s, v in (one.partition("=") for one in words) if s and k.isidentifier()}
    skip = {*named, folder}
    targets = [w for w in words if w[:1] != "-" and "=" not in w and w not in skip]
    usual = ["Makefile", "makefile", "GNUmakefile"]
    found = shell.usual([posixpath.join(folder, one) for one in named or usual])
    name = found[0] if found else ""
    if not name:
        if not all(map(_is_harmless, targets)):
            shell.run.doubt(f"`make {show(' '.join(targets))}`: the Makefile is not there")
        return None
    before, shell.env["\0folder"] = shell.env.get("\0folder", ""), posixpath.dirname(name)
    _Makefile(shell, name, given).build(targets)
    shell.env["\0folder"] = before
    return None


_IF = re.compile(r"^[ ]*(ifn?eq|ifn?def|else|endif)\b.*$", re.MULTILINE)


def _plain(run: "Run", name: str) -> str:
    """Return a Makefile with what it includes, its comments away and each line whole."""
    text = run.folder.text(name)
    for included in re.findall(r"^-?include\s+(.*)$", text, re.MULTILINE):
        for one in included.split():
            path = posixpath.normpath(posixpath.join(posixpath.dirname(name), one))
            text += "\n" + (run.folder.text(path) if run.folder.has(path) else "")
    text = re.sub(r"^#.*$", "", text, flags=re.MULTILINE)
    text = re.sub(
        r"^([^\t#\n][^\n:=]*:[^\n=;]*);[ \t]*(.*)$", r"\1\n\t\2", text, flags=re.MULTILINE
    )

    def whole(one: re.Match[str]) -> str:  # empty lines after it: lines keep their numbers
        return re.sub(r"\\\n\s*", " ", one[0]) + "\n" * one[0].count("\n")

    return re.sub(r"^(?!\t)(?:.*\\\n)+.*$", whole, text, flags=re.MULTILINE)


def _rule(rules: list[re.Match[str]], target: str) -> tuple[re.Match[str] | None, str]:
    """Return the rule of a target, with what its `%` stands for."""
    for match in rules:
        for name in match[1].split():
            before, sign, after = name.partition("%")
            if name == target:
                return match, ""
            if sign and target.startswith(before) and target.endswith(after):
                return match, target[len(before) : len(target) - len(after)]
    return None, ""


class _Makefile:
    """A Makefile's rules and variables."""

    def __init__(self, shell: "Shell", name: str, given: dict[str, str]) -> None:
        self.shell, self.name = shell, name
        self.text = _plain(shell.run, name)
        self.text, is_conditional = _IF.subn("", self.text)
        self.variables, chosen = shell.env | {"MAKE": "make"}, dict[str, str]()
        for match in re.finditer(
            r"^[ ]*(?:export\s+|override\s+)*([\w.-]+)\s*([:?]*)=[ \t]*(.*)$", self.text, re.M
        ):
            if match[2] != "?" or match[1] not in self.variables:
                line = self.text[: match.start()].count("\n") + 1
                value = match[3].partition(" #")[0].strip()
                if match[1] in chosen:
                    value = either(map(self.settled, (chosen[match[1]], value)))
                self.variables[match[1]] = value
                chosen |= {match[1]: value} if is_conditional else {}
                shell.run.bind(value, Place(name, line))
        self.variables |= given
        self.done = set[str]()

    def build(self, targets: list[str], is_asked: bool = True) -> None:
        """Follow the recipes of targets and of what they need; the first rule if none is given."""
        rules = list(_RULE.finditer(self.text + "\n"))
        first = next((m[1].split()[0] for m in rules if m[1][:1] != "."), "")
        for target in targets or [first]:
            if target in self.done:
                continue
            self.done.add(target)
            match, stem = _rule(rules, target)
            if not match:
                if target in targets and not _is_harmless(target) and is_asked:
                    self.shell.run.doubt(f"{self.name} has no rule for {show(target)}")
                continue
            if needed := match[2].partition("#")[0].split():
                self.build(needed, False)
            recipe = re.sub(r"^\t[@+-]*", "", match[3], flags=re.M).replace("$*", stem)
            recipe = re.sub(r"\$[({]call (\w+).*?[)}]", self.defined, recipe)
            line = self.text[: match.start(3)].count("\n") + 1
            whole = self.filled(recipe.replace("$@", target).replace("$$", "\0")).replace("\0", "$")
            self.shell.env |= {
                n: self.filled(v) for n, v in self.variables.items() if n.isidentifier()
            }
            _text(self.shell, whole, Place(self.name, line), [])

    def settled(self, value: str) -> str:
        """Return one of several values; what a command prints is unknown there."""
        return unknown(value) if "$(shell" in value else self.filled(value)

    def defined(self, match: re.Match[str]) -> str:
        """Return the lines of a `define`, in one."""
        held = re.search(rf"^define {match[1]}\b.*\n((?:.*\n)*?)endef", self.text, re.M)
        lines = held[1].splitlines() if held else []
        return "; ".join(one.strip().lstrip("@+-") for one in lines if one.strip()) or match[0]

    def filled(self, text: str, depth: int = 0) -> str:
        """Return a text with make's variables put in; `$(shell …)` becomes the shell's own."""
        if depth > 8:
            return unknown("a variable of the Makefile that holds itself")
        text = re.sub(r"\$\((info|warning) [^()]*\)", "", text)
        text = re.sub(r"\$\(shell\s+([^()]*(?:\([^()]*\)[^()]*)*)\)", r"\0(\1)", text)
        text = re.sub(
            r"\$[({]([\w.-]+)[)}]",
            lambda m: self.filled(self.variables.get(m[1], unknown(f"$({m[1]})")), depth + 1),
            text,
        )
        return text.replace("\0(", "$(") if not depth else text
