"""Scripts of `run:`, line by line: plain commands of docker and podman, and literal assignments.

No shell is interpreted. From the first condition or block of a script on, whether a line runs is
unknown; a command that is not understood and may push is a doubt.
"""

import re
from collections.abc import Iterator

from megalotron_images.audit import actions, mentions
from megalotron_images.audit.events import UNSURE, When
from megalotron_images.audit.job import Job
from megalotron_images.audit.mentions import WORDS
from megalotron_images.audit.model import LOGINS, Login, Place, Reading
from megalotron_images.audit.values import LONGEST, holes, unknown, with_variables

_WORD = r"""'[^']*'|"(?:[^"\\]|\\.)*"|\\."""
_TOKEN = re.compile(
    rf"""((?:{_WORD}|[^\s'"\\;&|<>()`#]|(?<=\S)\#)+)|"""
    r"(&&|\|\||;;|<<<|<<|>>|[<>]&|&>|[;&|<>()`])|\#.*|\s+|(.)"
)
_PIECE = re.compile(rf"""{_WORD}|[^'"\\]+""")
_SUBSTITUTION = re.compile(r"\$\(((?:[^()]|\((?:[^()]|\([^()]*\))*\))*)\)|`([^`]*)`")
_HEREDOC = re.compile(r"(?<!<)<<-?\s*['\"]?(\w+)['\"]?")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_SETTER = re.compile(r"\s*(export|readonly|declare|local|typeset)\s+(-\w+\s+)*")
_SET = re.compile(
    r"(?:^|[;&|({]|\b(?:then|do|else|export|readonly|declare|local|typeset)\b)\s*(\w+)\+?=|"
    r"\b(?:read|for|select|unset|mapfile|readarray|getopts|let|-v)\b([^\n;|&]*)|\$\{(\w+):?=",
    re.MULTILINE,
)
_ANY_SET = re.compile(r"\b(eval|source)\b|(^|[;&|])\s*\.\s", re.MULTILINE)
_ENDS = re.compile(r"\b(exit|return)\b|^\s*(\[|test\b)", re.MULTILINE)
_NAMES = ("repository", "repository_owner", "ref_name", "ref", "sha", "actor", "head_ref")


class _Unclear(Exception):
    """A line or command that is none of the plain ones."""


class _Command:
    """A plain command: its words, what it reads, and the files that it writes."""

    def __init__(self, is_bare: bool = True) -> None:
        self.words, self.targets, self.stdin, self.is_bare = list[str](), list[str](), "", is_bare


def follow(job: Job, text: str, place: Place, step: str) -> None:
    """Note what a script pushes, and where it logs in; step: its id, for its outputs."""
    lines = text.splitlines()
    job.folder.budget -= len(text)
    if job.folder.budget < 0 or any(len(one) > LONGEST for one in lines):
        job.doubt(place, f"a script of {len(text)} characters", "there is too much to be read")
        job.scope.is_open = True
        return
    whole = job.scope.put(text) if len(text) < LONGEST else "\n".join(map(job.scope.put, lines))
    _Script(job, whole, place, step).follow()


class _Script:
    """One script; `is_bare` until a condition or a block stands before what is read."""

    def __init__(self, job: Job, text: str, place: Place, step: str) -> None:
        self.job, self.text, self.place, self.step = job, text, place, step
        self.is_bare, self.outputs = True, dict[str, str]()
        lines = (one for one in text.splitlines() if not re.match(r"\s*(echo|printf [^-])", one))
        names = re.findall(r"\w+", " ".join(map(" ".join, _SET.findall("\n".join(lines)))))
        is_unseen = bool(_ANY_SET.search(text))
        self.several = {one for one in names if names.count(one) > 1 or is_unseen}
        self.variables = {
            f"GITHUB_{one.upper()}": job.scope.value(f"github.{one}") for one in _NAMES
        }
        self.variables |= {} if job.scope.is_open or is_unseen else job.scope.env
        self.variables |= {one: unknown(f"${one}") for one in names}

    def follow(self) -> None:
        """Note the facts of each line."""
        for number, line, body in _logical(self.text):
            place = Place(self.place.file, self.place.line + number)
            for inner in [
                *_SUBSTITUTION.findall(line),
                ("", body if mentions.pushes(body) else ""),
            ]:
                self._doubt(place, inner[0] or inner[1])
            try:
                for raw, pipe in _pipes(_SUBSTITUTION.sub(lambda one: unknown(one[0]), line)):
                    self._pipe(place, raw, pipe)
            except _Unclear:
                self.is_bare = False
                self._doubt(place, line)
        for name, value in self.outputs.items():
            self.job.scope.names[f"steps.{self.step}.outputs.{name}".lower()] = value
        if not self.is_bare and _ENDS.search(self.text):
            self.job.when += self._when()

    def _when(self) -> When:
        return () if self.is_bare else (UNSURE,)

    def _doubt(self, place: Place, line: str) -> None:
        """Note a doubt about what is not understood, and what it may have set."""
        self.job.doubt_command(place, line)
        self.job.scope.is_open |= "GITHUB_ENV" in line
        if "GITHUB_OUTPUT" in line:
            self.outputs = {name: unknown(name) for name in self.outputs}

    def _pipe(self, place: Place, raw: str, pipe: list[_Command]) -> None:
        stdin = ""
        for command in pipe:
            first = command.words[:1]
            self.is_bare = self.is_bare and command.is_bare and not WORDS["conditions"] & {*first}
            command.stdin = self._expanded(command.stdin) or stdin
            try:
                stdin = self._command(place, [*map(self._expanded, command.words)], command)
            except _Unclear:
                self._doubt(place, raw)
                stdin = unknown("the output of a command")

    def _expanded(self, word: str) -> str:
        """Return a word without its quotes, and with variables put in."""
        found = []
        for piece in _PIECE.findall(word):
            bare = piece[1:-1] if piece[0] in "'\"" else piece[piece[0] == "\\" :]
            is_plain = piece[0] in "'\\"
            found.append(bare if is_plain else with_variables(bare, self.variables))
        return "".join(found)

    def _command(self, place: Place, words: list[str], command: _Command) -> str:
        """Note what a command does; return what it prints. Raises _Unclear for one of others."""
        while words and words[0] in WORDS["prefixes"]:
            words = words[1:]
        while words and (match := _ASSIGNMENT.fullmatch(words[0])):
            if all(map(_ASSIGNMENT.fullmatch, words)):
                self._assign(place, match[1], match[2])
            words = words[1:]
        if not words or words[0] in WORDS["conditions"]:
            return ""
        if words[0] in ("echo", "printf"):
            return self._echo(words[1:], command)
        if words[0] not in ("docker", "podman"):
            raise _Unclear
        verb, *rest = [*words[1:], ""][1 if words[1:2] in (["image"], ["buildx"]) else 0 :]
        self._engine(place, verb, [one for one in rest if one], command.stdin, " ".join(words))
        return unknown("the output of docker")

    def _assign(self, place: Place, name: str, value: str) -> None:
        if mentions.pushes(value):
            self.job.doubt(place, f"{name}={value}")
        if self.is_bare and name not in self.several:
            self.variables[name] = value

    def _echo(self, words: list[str], command: _Command) -> str:
        """Return what `echo` prints; note what it writes for later steps."""
        text = " ".join(one for one in words if one not in ("-n", "-e", "%s", "%s\\n"))
        for target in command.targets:
            name, sign, value = text.partition("=")
            is_env, is_output = "GITHUB_ENV" in target, "GITHUB_OUTPUT" in target
            if not (is_env or is_output):
                if not mentions.PATTERNS["plain_file"].fullmatch(target.strip("'\"")):
                    raise _Unclear
            elif not re.fullmatch(r"[\w-]+", name) or not sign or re.search(r"\n|\\n", text):
                raise _Unclear
            else:
                known = self.job.exported if is_env else self.outputs
                is_sure = self.is_bare and name not in known and (self.job.is_sure or is_output)
                known[name] = value if is_sure else unknown(name)
        return text

    def _engine(self, place: Place, verb: str, rest: list[str], stdin: str, whole: str) -> None:
        """Note what docker and podman do. Raises _Unclear where that is not plain."""
        if verb == "push":
            options, operands = _parsed(rest)
            if len(operands) != 1:
                raise _Unclear
            is_all = {"-a", "--all-tags"} & set(options)
            tags = f":{unknown('all tags that are there')}" if is_all else ""
            self.job.push(operands[0] + tags, place, self._when())
        elif verb == "login":
            self._login(place, *_parsed(rest), stdin)
        elif verb in ("build", "b"):
            self._build(place, *_parsed(rest))
        elif verb not in WORDS["local"] or mentions.pushes(whole):
            raise _Unclear
        elif verb in WORDS["reading"]:
            self.job.facts.append(Reading(place, self.job.name))

    def _login(
        self, place: Place, options: dict[str, list[str]], operands: list[str], stdin: str
    ) -> None:
        username, password = (
            "".join((options.get(short, []) + options.get(long, []))[:1])
            for short, long in (("-u", "--username"), ("-p", "--password"))
        )
        if not password and "--password-stdin" not in options:
            self.job.doubt(place, "docker login", "how it gets the password is not seen", LOGINS)
        secret = password or stdin or unknown("a password that is not seen")
        given = ("".join(operands[:1]), username or unknown("a user name"), secret)
        self.job.facts.append(Login(place, self.job.name, *given, (place,) * 3, bool(password)))

    def _build(self, place: Place, options: dict[str, list[str]], operands: list[str]) -> None:
        if any("$" in "".join(holes(one)) for one in operands):  # which may hold options
            raise _Unclear
        for value in options.get("--build-arg", ()):
            actions.leak(self.job, place, value)
        if options.get("--push", ["false"])[-1] != "false":
            for tag in (tags := [*options.get("-t", ()), *options.get("--tag", ())]):
                self.job.push(tag, place, self._when())
            if not tags:
                raise _Unclear


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
            yield number, _SETTER.sub("", line, count=1).strip(), "\n".join(body)


def _pipes(line: str) -> Iterator[tuple[str, list[_Command]]]:
    """Yield the pipes of a line with their text; raise _Unclear where it is not plain."""
    pipe, start, pending = [_Command()], 0, ""
    for token in _TOKEN.finditer(line):
        word, sign, bad = token.groups()
        if bad or sign in ("(", ")", "&", "`", "<<"):
            raise _Unclear
        last = pipe[-1]
        if word and pending in (">", ">>"):
            last.targets.append(word)
        elif word and pending:
            last.stdin = word if pending == "<<<" else last.stdin or unknown("a file")
        elif word:
            last.words.append(word)
        elif sign == "|":
            pipe.append(_Command())
        elif sign in ("&&", "||", ";", ";;"):
            yield line[start : token.start()].strip(), pipe
            is_plain = last.words[:1] in (["docker"], ["cd"], ["echo"])
            pipe, start = [_Command(sign[0] == ";" or (sign == "&&" and is_plain))], token.end()
        elif sign and last.words[-1:] in (["1"], ["2"]):
            last.words.pop()
        pending = "" if word else sign if sign and sign[0] in "<>&" and sign != "&&" else pending
    yield line[start:].strip(), pipe


def _parsed(words: list[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Return a command's options and operands; raise _Unclear for an option that is not known."""
    options, operands, rest = dict[str, list[str]](), list[str](), words[::-1]
    while rest:
        word = rest.pop()
        name, sign, value = word.partition("=")
        if word[:1] != "-" or word == "-":
            operands.append(word)
        elif name in WORDS["switches"]:
            options.setdefault(name, []).append(value)
        elif name in WORDS["valued"] and (sign or rest):
            options.setdefault(name, []).append(value if sign else rest.pop())
        else:
            raise _Unclear
    return options, operands
