"""Makefiles: the recipes of targets, followed with make's variables put in."""

import posixpath
import re

from megalotron_images.audit import scripts
from megalotron_images.audit.knowledge import PATTERNS
from megalotron_images.audit.model import Place, Run
from megalotron_images.audit.shell import FOLDER, Shell
from megalotron_images.audit.texts import either, show, unknown
from megalotron_images.audit.words import option, options

_IF = re.compile(r"^[ ]*(ifn?eq|ifn?def|else|endif)\b.*$", re.MULTILINE)


def make(shell: Shell, words: list[str], stdin: str) -> None:
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
        text = _with_variables(shell, name, _plain(shell.run, name), given)
        rules = list(PATTERNS["make_rule"].finditer(f"{text}\n"))
        first = next((one[1].split()[0] for one in rules if one[1][:1] != "."), "")
        _build(shell, name, rules, targets or [first], set(targets))
        shell.env[FOLDER] = before
    elif not all(map(scripts.is_harmless, targets)):
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


def _with_variables(shell: Shell, name: str, text: str, given: dict[str, str]) -> str:
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
            scripts.follow(shell, recipe, Place(name, line), [])
        elif (target in asked or "\0" in target) and not scripts.is_harmless(target):
            shell.run.doubt(f"{name} has no rule for {show(target)}")


def _rule(rules: list[re.Match[str]], target: str) -> tuple[re.Match[str] | None, str]:
    """Return the rule of a target, with what its `%` stands for."""
    for match in rules:
        for name in match[1].split():
            if found := re.fullmatch(re.escape(name).replace("%", "(.*)"), target):
                return match, "".join(found.groups())
    return None, ""
