"""Scripts of `run:`, line by line: plain commands of docker and podman, and literal assignments.

No shell is interpreted. From the first condition or block of a script on, whether a line runs is
unknown; a command that is not understood and may push is a doubt.
"""

import re
import shlex
from collections.abc import Iterator

from megalotron_images.audit import actions, mentions
from megalotron_images.audit.events import UNSURE, When
from megalotron_images.audit.job import Job
from megalotron_images.audit.mentions import PATTERNS, WORDS
from megalotron_images.audit.model import LOGINS, Login
from megalotron_images.audit.values import LONGEST, holes, unknown, with_variables
from megalotron_images.audit.yaml_files import Text

_SHORT = {"--tag": "-t", "--username": "-u", "--password": "-p"}
_SIGNS = "();<>|&`"
_SUBSTITUTION = re.compile(r"\$\(((?:[^()]|\((?:[^()]|\([^()]*\))*\))*)\)|`([^`]*)`")
_HEREDOC = re.compile(r"(?<!<)<<-?\s*['\"]?(\w+)['\"]?")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_EXPORT = re.compile(
    r"""echo\s+(?:-n\s+)?["']?([\w-]+)=([^"'\\>]*?)["']?\s*>>?\s*"?\$\{?GITHUB_(ENV|OUTPUT)\}?"?"""
)
_UNCLEAR = re.compile(r"""'[^'$]*\$[^']*'|\\[$`]|\$\{\{|>\s*\S*(docker|config\.json|\.(ba)?sh$)""")
"""A sign that is quoted, an expression that does not end, a file that the shell or docker reads."""
_ENDS = re.compile(r"\b(exit|return)\b|^\s*(\[|test\b)", re.MULTILINE)
_NAMES = ("repository", "repository_owner", "ref_name", "ref", "sha", "actor", "head_ref")


class _Unclear(ValueError):
    """A line or command that is none of the plain ones; a ValueError as that of shlex."""


def follow(job: Job, text: Text, step: str) -> None:
    """Note what a script pushes, and where it logs in; step: its id, for its outputs."""
    lines = text.splitlines()
    job.folder.budget -= len(text)
    if job.folder.budget < 0 or any(len(one) > LONGEST for one in lines):
        reason = "there is too much to be read"
        job.doubt(job.place(text), f"a script of {len(text)} characters", reason)
        job.is_open = True
        return
    _Script(job, "\n".join(map(job.put, lines)), step).follow(text)


class _Script:
    """One script; `is_bare` until a condition or a block stands before what is read."""

    def __init__(self, job: Job, text: str, step: str) -> None:
        self.job, self.text, self.step, self.is_bare = job, text, step, True
        self.place, self.outputs = job.place(Text()), dict[str, str]()
        lines = (one for one in text.splitlines() if not re.match(r"\s*(echo|printf [^-])", one))
        found = PATTERNS["setting"].findall("\n".join(["", *lines]))
        names = re.findall(r"\w+", " ".join(map(" ".join, found)))
        is_unseen = job.is_open or bool(PATTERNS["setting_any"].search(text))
        self.several = {one for one in names if names.count(one) > 1 or is_unseen}
        self.variables = {f"GITHUB_{one.upper()}": job.value(f"github.{one}") for one in _NAMES}
        self.variables |= {} if is_unseen else job.env
        self.variables |= {one: unknown(f"${one}") for one in names}

    def follow(self, text: Text) -> None:
        """Note the facts of each line."""
        for row, line, body in _logical(self.text):
            self.place = self.job.place(text, row)
            inner = ["".join(one) for one in _SUBSTITUTION.findall(line)]
            for one in (*inner, *([body] if mentions.pushes(body) else [])):
                self.job.doubt_command(self.place, one)
            try:
                self._line(_SUBSTITUTION.sub(lambda one: unknown(one[0]), line))
            except ValueError:
                self.is_bare = False
                self.job.doubt_command(self.place, line)
        for name, value in self.outputs.items():
            self.job.names[f"steps.{self.step}.outputs.{name}".lower()] = value
        if not self.is_bare and _ENDS.search(self.text):
            self.job.when += self._when()

    def _when(self) -> When:
        return () if self.is_bare else (UNSURE,)

    def _line(self, line: str) -> None:
        """Note what a line does. Raises ValueError where that is not plain."""
        if _UNCLEAR.search(line):
            raise _Unclear
        if export := _EXPORT.fullmatch(line.partition(" #")[0].strip()):
            name, value, where = export.groups()
            self._export(name, with_variables(value, self.variables), where == "ENV")
            return
        if "GITHUB_OUTPUT" in line:
            self.outputs = {name: unknown(name) for name in self.outputs}
        self.job.is_open |= "GITHUB_ENV" in line
        for sign, words, raw in list(_pipes(line)):
            self._pipe(sign, words, raw)

    def _export(self, name: str, value: str, is_env: bool) -> None:
        """Note what is written for later steps; a name that is written twice is unknown."""
        known = self.job.exported if is_env else self.outputs
        is_sure = self.is_bare and name not in known and (self.job.is_sure or not is_env)
        known[name] = value if is_sure else unknown(name)

    def _pipe(self, sign: str, pipe: list[list[str]], raw: str) -> None:
        """Note what the commands of a pipe do, each with what the one before it prints."""
        stdin, is_clear = "", True
        for tokens in pipe:
            words = [with_variables(one, self.variables) for one in tokens]
            is_plain = sign != "||" and not WORDS["conditions"] & {*words[:1]}
            self.is_bare = self.is_bare and is_plain
            if "<<<" in words[:-1]:
                stdin = words[words.index("<<<") + 1]
                words = words[: words.index("<<<")]
            try:
                stdin = self._command(words, stdin)
            except _Unclear:
                is_clear, stdin = False, unknown("the output of a command")
        if not is_clear:
            self.job.doubt_command(self.place, raw)

    def _command(self, words: list[str], stdin: str) -> str:
        """Note what a command does; return what it prints. Raises _Unclear for one of others."""
        while words and words[0] in WORDS["prefixes"]:
            words = words[1:]
        while words and (match := _ASSIGNMENT.fullmatch(words[0])):
            if all(map(_ASSIGNMENT.fullmatch, words)):
                self._assign(match[1], match[2])
            words = words[1:]
        if not words or words[0] in WORDS["conditions"]:
            return ""
        if words[0] in ("echo", "printf"):
            return " ".join(one for one in words[1:] if one not in ("-n", "-e", "%s", "%s\\n"))
        if words[0] not in ("docker", "podman"):
            raise _Unclear
        verb, *rest = [*words[1:], ""][1 if words[1:2] in (["image"], ["buildx"]) else 0 :]
        self._engine(verb, [one for one in rest if one], stdin, " ".join(words))
        return unknown("the output of docker")

    def _assign(self, name: str, value: str) -> None:
        if mentions.pushes(value):
            self.job.doubt(self.place, f"{name}={value}")
        if self.is_bare and name not in self.several:
            self.variables[name] = value

    def _engine(self, verb: str, rest: list[str], stdin: str, whole: str) -> None:
        """Note what docker and podman do. Raises _Unclear where that is not plain."""
        options, operands = _parsed(rest) if verb in ("push", "login", "build", "b") else ({}, [])
        if verb == "push" and len(operands) == 1:
            is_all = {"-a", "--all-tags"} & options.keys()
            tags = f":{unknown('all tags that are there')}" if is_all else ""
            self.job.push(operands[0] + tags, self.place, self._when())
        elif verb == "login":
            self._login(options, operands, stdin)
        elif verb in ("build", "b"):
            self._build(options, operands)
        elif verb not in WORDS["local"] or mentions.pushes(whole):
            raise _Unclear
        elif verb in WORDS["reading"]:
            self.job.doubt(self.place, whole, rules=())

    def _login(self, options: dict[str, str], operands: list[str], stdin: str) -> None:
        username = options.get("-u") or unknown("a user name")
        secret = options.get("-p") or stdin or unknown("a password that is not seen")
        if not {"-p", "--password-stdin"} & options.keys():
            reason = "how it gets the password is not seen"
            self.job.doubt(self.place, "docker login", reason, LOGINS)
        given = ("".join(operands[:1]), username, secret, (self.place,) * 3)
        self.job.facts.append(Login(self.place, self.job.name, *given, "-p" in options))

    def _build(self, options: dict[str, str], operands: list[str]) -> None:
        if any("$" in "".join(holes(one)) for one in operands):  # which may hold options
            raise _Unclear
        for value in options.get("--build-arg", "").split("\n"):
            actions.leak(self.job, self.place, value)
        is_pushed = options.get("--push", "false") != "false"
        if is_pushed and "-t" not in options:
            raise _Unclear
        for tag in options["-t"].split("\n") if is_pushed else ():
            self.job.push(tag, self.place, self._when())


def _logical(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield a script's lines with their numbers, joined where they go on, and here-documents."""
    rows = list(enumerate(text.split("\n")))[::-1]
    while rows:
        number, line = rows.pop()
        while line.endswith("\\") and rows:
            line = line[:-1] + " " + rows.pop()[1]
        end, body = _HEREDOC.search(line), list[str]()
        while end and rows and (not body or body[-1].strip() != end[1]):
            body.append(rows.pop()[1])
        if line.strip() and line.strip()[0] != "#":
            yield number, line.strip(), "\n".join(body)


def _pipes(line: str) -> Iterator[tuple[str, list[list[str]], str]]:
    """Yield the pipes of a line: the sign before each, the words of its commands, and its text.

    Raises _Unclear where the line is not plain.
    """
    line = re.sub(r"(^|\s)#.*", "", line)  # one in quotes leaves them open: that is unclear
    lexer = shlex.shlex(line, posix=True, punctuation_chars=_SIGNS)
    lexer.whitespace_split, lexer.commenters = True, ""
    sign, pipe, raw = ";", [list[str]()], list[str]()
    for word in lexer:
        if word in ("&&", "||", ";", ";;"):
            yield sign, pipe, " ".join(raw)
            is_steady = word == "&&" and pipe[-1][:1] in (["docker"], ["cd"], ["echo"])
            sign = word if is_steady or word[0] == ";" else "||"
            pipe, raw = [[]], []
            continue
        raw.append(word)
        if word == "|":
            pipe.append([])
        elif word in (">", ">>", "<", ">&", "&>"):
            if pipe[-1][-1:] in (["1"], ["2"]):
                pipe[-1].pop()
            raw.append(next(lexer, ""))
        elif word != "<<<" and word and not word.strip(_SIGNS):
            raise _Unclear
        else:
            pipe[-1].append(word)
    yield sign, pipe, " ".join(raw)


def _parsed(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """Return a command's options, by their short names, and its operands.

    The values of an option that is given again are rows. Raises _Unclear for one that is not known.
    """
    options, operands, rest = dict[str, str](), list[str](), words[::-1]
    while rest:
        word = rest.pop()
        name, sign, value = word.partition("=")
        key = _SHORT.get(name, name)
        if word[:1] != "-" or word == "-":
            operands.append(word)
        elif name in WORDS["switches"] or (name in WORDS["valued"] and (sign or rest)):
            value = value if sign or name in WORDS["switches"] else rest.pop()
            options[key] = f"{options[key]}\n{value}" if key in options else value
        else:
            raise _Unclear
    return options, operands
