"""Scripts of `run:`, line by line: plain commands of docker and podman, and literal assignments.

No shell is interpreted. What stands behind a condition or in a block is read, and whether it runs
is unknown; a command that is not understood and may push is a doubt.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from megalotron_images.audit import actions, mentions
from megalotron_images.audit.events import Condition, unsure
from megalotron_images.audit.job import Job, Made
from megalotron_images.audit.model import LOGINS, WRITES, Login, Place
from megalotron_images.audit.values import LONGEST, unknown, with_variables

_MOST_LINES = 1_000
_HOLE = "\x01[^\x02]*\x02"
_TOKEN = re.compile(
    rf"""(?P<word>(?:{_HOLE}|'[^']*'|"(?:[^"\\]|\\.)*"|\\.|[^\s'"\\;&|<>()`#\x01]|(?<=\S)\#)+)|"""
    r"(?P<op>&&|\|\||;;|<<<|<<|>>|[<>]&|&>|[;&|<>()`])|(?P<comment>\#.*)|(?P<space>\s+)|(?P<bad>.)"
)
_PIECE = re.compile(rf"""{_HOLE}|'[^']*'|"(?:[^"\\]|\\.)*"|\\.|[^'"\\\x01]+""")
_SUBSTITUTION = re.compile(r"\$\(((?:[^()]|\((?:[^()]|\([^()]*\))*\))*)\)|`([^`]*)`")
_HEREDOC = re.compile(r"(?<!<)<<-?\s*['\"]?(\w+)['\"]?")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_BLOCK = re.compile(
    r"(?:^|[;&|(]|\b(?:then|do|else)\b)\s*(?:(if|case|for|while|until|select|\{)|(fi|esac|done|\}))"
    r"(?![\w./=-])|(\)\s*\{)"
)
_SET = re.compile(
    r"(?:^|[;&|({]|\b(?:then|do|else|export|readonly|declare|local|typeset)\b)[ \t]*"
    r"((?:[A-Za-z_]\w*\+?=\S*[ \t]*)+)|"
    r"\b(?:read|for|select|unset|mapfile|readarray|getopts|let|printf[ \t]+-v)\b([^\n;|&]*)|"
    r"\$\{(\w+):?=",
    re.MULTILINE,
)
_ANY_SET = re.compile(r"\b(eval|source)\b|(^|[;&|])\s*\.\s", re.MULTILINE)
_SETTERS = ("export", "readonly", "declare", "local", "typeset")
_PREFIXES = ("sudo", "time", "command", "nohup", "-E", "-n", "-H")
_SKIPPED = (
    "then",
    "else",
    "do",
    "if",
    "elif",
    "while",
    "until",
    "!",
    "{",
    "}",
    "fi",
    "done",
    "esac",
)
_TESTS = ("[", "[[", "test", "grep", "exit", "return", "break", "continue", "case", "for", "select")
_VALUED = frozenset(
    "-t --tag -f --file --build-arg --platform --target --label -o --output --cache-to --cache-from"
    " --secret --ssh --builder -u --username -p --password --network --progress --build-context"
    " --provenance --sbom --annotation --metadata-file --iidfile --format".split()
)
_SWITCHES = frozenset(
    "-q --quiet --push --load --pull --no-cache --rm --squash --password-stdin --force-rm"
    " --disable-content-trust -a --all-tags".split()
)
_GROUPS = ("image", "buildx", "builder")
Options = list[tuple[str, str]]


class _Unclear(Exception):
    """A line or command that is none of the plain ones."""


@dataclass
class _Command:
    """A plain command: its words, what it reads, and where its output goes."""

    words: list[str] = field(default_factory=list)
    stdin: str = ""
    targets: list[str] = field(default_factory=list)
    is_sure: bool = True


def follow(job: Job, text: str, place: Place, step: str) -> None:
    """Note what a script pushes, and where it logs in; step: its id, for its outputs."""
    lines = text.splitlines()
    if len(lines) > _MOST_LINES or any(len(one) > LONGEST for one in lines):
        job.doubt(place, f"a script of {len(text)} characters", "it is too long to be read")
        job.scope.is_open = True
        return
    _Script(job, "\n".join(map(job.scope.put, lines)), place, step).follow()


class _Script:
    """One script.

    Attributes:
        depth: how many blocks a line is in.
        is_bare: no condition stands before a line, so it runs whenever the step does.
    """

    def __init__(self, job: Job, text: str, place: Place, step: str) -> None:
        self.job, self.text, self.place, self.step = job, text, place, step
        names = _set_in(text)
        self.several = {one for one in names if names.count(one) > 1}
        self.variables = _github(job) | ({} if job.scope.is_open else job.scope.env)
        if _ANY_SET.search(text):
            self.variables = {}
            self.several |= set(names)
        self.variables |= {one: unknown(f"${one}") for one in names}
        self.outputs: dict[str, str] = {}
        self.depth, self.is_bare = 0, True

    def follow(self) -> None:
        """Note the facts of each line."""
        for number, line, body in _logical(self.text):
            place = Place(self.place.file, self.place.line + number)
            if mentions.pushes(body):
                self._doubt(place, body)
            self._count_blocks(line)
            for inner in _SUBSTITUTION.findall(line):
                self._doubt(place, inner[0] or inner[1])
            try:
                for raw, pipe in _pipes(_SUBSTITUTION.sub(lambda one: unknown(one[0]), line)):
                    self._pipe(place, raw, pipe)
            except _Unclear:
                self.is_bare = False
                self._doubt(place, line)
        for name, value in self.outputs.items():
            self.job.scope.names[f"steps.{self.step}.outputs.{name}".lower()] = value
        if not self.is_bare and re.search(r"\b(exit|return)\b|^\s*(\[|test\b)", self.text, re.M):
            self.job.when = (*self.job.when, unsure("a condition in a script"))

    def _count_blocks(self, line: str) -> None:
        for opened, closed, function in _BLOCK.findall(line):
            self.depth += bool(opened or function) - bool(closed)
            self.is_bare = False

    def _doubt(self, place: Place, line: str) -> None:
        """Note a doubt about what is not understood, and what it may have set."""
        self.job.doubt_command(place, line)
        if "GITHUB_ENV" in line:
            self.job.scope.is_open = True
        if "GITHUB_OUTPUT" in line:
            self.outputs = {name: unknown(name) for name in self.outputs}

    def _pipe(self, place: Place, raw: str, pipe: list[_Command]) -> None:
        stdin = ""
        for command in pipe:
            words = [self._expanded(one) for one in command.words]
            while words and words[0] in _SKIPPED:
                words = words[1:]
            if command.words[:1] and command.words[0] in (*_SKIPPED, *_TESTS):
                self.is_bare = False
            command.targets = [self._expanded(one) for one in command.targets]
            command.stdin = self._expanded(command.stdin) or stdin
            self.is_bare = self.is_bare and command.is_sure
            try:
                stdin = self._command(place, words, command)
            except _Unclear:
                self._doubt(place, raw)
                stdin = unknown("the output of a command")

    def _expanded(self, word: str) -> str:
        """Return a word without its quotes, and with variables put in."""
        found = []
        for piece in _PIECE.findall(word):
            if piece[0] == "'":
                found.append(piece[1:-1])
            elif piece[0] == "\\":
                found.append(piece[1:])
            else:
                bare = piece[1:-1] if piece[0] == '"' else piece
                found.append(with_variables(bare, self.variables))
        return "".join(found)

    def _command(self, place: Place, words: list[str], command: _Command) -> str:
        """Note what a command does; return what it prints. Raises _Unclear for one of others."""
        rest = (
            [one for one in words if one not in _SETTERS]
            if words[:1] in ([s] for s in _SETTERS)
            else words
        )
        given = [one for one in rest if one[:1] != "-"] if rest is not words else words
        while given and (match := _ASSIGNMENT.fullmatch(given[0])):
            if len(given) == 1 or rest is not words or all(map(_ASSIGNMENT.fullmatch, given)):
                self._assign(place, match[1], match[2])
            given = given[1:]
        while given and given[0] in _PREFIXES:
            given = given[1:]
        if not given or given[0] in _TESTS or rest is not words:
            return ""
        if given[0] in ("echo", "printf"):
            return self._echo(given[1:], command)
        if given[0] not in ("docker", "podman"):
            raise _Unclear
        self._engine(place, given[1:], command.stdin)
        return unknown("the output of docker")

    def _assign(self, place: Place, name: str, value: str) -> None:
        if mentions.pushes(value):
            self.job.doubt(place, f"{name}={value}")
        if not self.depth and name not in self.several:
            self.variables[name] = value

    def _echo(self, words: list[str], command: _Command) -> str:
        """Return what `echo` prints; note what it writes for later steps."""
        printed = [one for one in words if one not in ("-n", "-e", "%s", "%s\\n")]
        text = " ".join(printed)
        for target in command.targets:
            name, sign, value = text.partition("=")
            if "GITHUB_ENV" not in target and "GITHUB_OUTPUT" not in target:
                if re.search(r"\.docker|config\.json|GITHUB_PATH|\x01", target):
                    raise _Unclear
            elif not sign or not re.fullmatch(r"[\w-]+", name) or "\n" in text or "\\n" in text:
                raise _Unclear
            else:
                is_env = "GITHUB_ENV" in target
                known = self.job.exported if is_env else self.outputs
                is_sure = not self.depth and self.is_bare and name not in known
                is_sure = is_sure and not (is_env and self.job.is_conditional)
                known[name] = value if is_sure else unknown(name)
        return text if len(printed) == 1 else unknown("what echo prints")

    def _engine(self, place: Place, words: list[str], stdin: str) -> None:
        """Note what docker and podman do. Raises _Unclear where that is not plain."""
        verb, rest = (words[0], words[1:]) if words else ("", [])
        if verb in _GROUPS and rest:
            verb, rest = rest[0], rest[1:]
        if verb == "push":
            self._push(place, *_parsed(rest))
        elif verb == "login":
            self._login(place, *_parsed(rest), stdin)
        elif verb in ("build", "b", "bud"):
            self._build(place, *_parsed(rest))
        elif verb not in mentions.LOCAL or mentions.pushes(" ".join(["docker", *words])):
            raise _Unclear

    def _when(self) -> tuple[Condition, ...]:
        return () if self.is_bare else (unsure("a condition in a script"),)

    def _push(self, place: Place, options: Options, operands: list[str]) -> None:
        if len(operands) != 1 or any(name == "--creds" for name, _ in options):
            raise _Unclear
        is_all = any(name in ("-a", "--all-tags") for name, _ in options)
        whole = operands[0] + (f":{unknown('all tags that are there')}" if is_all else "")
        self.job.push_all(whole, place, self._when())

    def _login(self, place: Place, options: Options, operands: list[str], stdin: str) -> None:
        given, known = dict(options), self.job
        password = given.get("-p") or given.get("--password") or ""
        if not password and "--password-stdin" not in given:
            known.doubt(place, "docker login", "how the password is given is not seen", LOGINS)
        username = given.get("-u") or given.get("--username") or unknown("a user name")
        secret = password or stdin or unknown("a password that is not seen")
        exposed = "an argument of the command line" if password else ""
        registry = operands[0] if operands else ""
        known.login(
            Login(place, known.name, registry, username, secret, place, place, place, exposed)
        )

    def _build(self, place: Place, options: Options, operands: list[str]) -> None:
        if any("\x01$" in one for one in operands):  # which may hold options
            raise _Unclear
        for name, value in options:
            if name == "--build-arg":
                actions.leak(self.job, place, value)
            elif name in ("-o", "--output") and not re.match(
                "(type=(docker|local|tar|oci)|[./])", value
            ):
                self.job.doubt(place, f"{name} {value}")
            elif name == "--cache-to" and re.search("registry|\x01|^[^=]*$", value):
                self.job.doubt(place, f"{name} {value}", "a cache in a registry is a push", WRITES)
        if any(name == "--push" and value != "false" for name, value in options):
            tags = [value for name, value in options if name in ("-t", "--tag")]
            for tag in tags:
                self.job.push(Made(tag, place, place), place, self._when())
            if not tags:
                raise _Unclear


def _github(job: Job) -> dict[str, str]:
    names = ("repository", "repository_owner", "ref_name", "ref", "sha", "actor", "head_ref")
    return {f"GITHUB_{one.upper()}": job.scope.value(f"github.{one}") for one in names}


def _set_in(text: str) -> list[str]:
    """Return the names of the variables that a script sets, one for each time."""
    lines = (one for one in text.splitlines() if not re.match(r"\s*(echo|printf [^-])", one))
    found: list[str] = []
    for pairs, read, default in _SET.findall("\n".join(lines)):
        found += [
            *re.findall(r"(\w+)\+?=", pairs),
            *re.findall(r"\w+", read),
            *[default] * bool(default),
        ]
    return found


def _logical(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield a script's lines with their numbers, joined where they go on, and here-documents."""
    rows = list(enumerate(text.split("\n")))
    while rows:
        number, line = rows.pop(0)
        while line.endswith("\\") and rows:
            line = line[:-1] + " " + rows.pop(0)[1]
        end, body = _HEREDOC.search(line), list[str]()
        while end and rows and (not body or body[-1].strip() != end[1]):
            body.append(rows.pop(0)[1])
        if line.strip() and line.strip()[0] != "#":
            yield number, line.strip(), "\n".join(body)


def _pipes(line: str) -> Iterator[tuple[str, list[_Command]]]:
    """Yield the pipes of a line with their text; raise _Unclear where it is not plain."""
    pipe, start, pending = [_Command()], 0, ""
    for token in _TOKEN.finditer(line):
        kind, text = token.lastgroup, token[0]
        if kind == "comment":
            break
        if kind == "bad" or text in ("(", ")", "&", "`", "<<"):
            raise _Unclear
        if kind == "word" and pending:
            if pending == "<<<":
                pipe[-1].stdin = text
            elif pending in (">", ">>"):
                pipe[-1].targets.append(text)
            else:
                pipe[-1].stdin = pipe[-1].stdin or (unknown("a file") if pending == "<" else "")
            pending = ""
        elif kind == "word":
            pipe[-1].words.append(text)
        elif text == "|":
            pipe.append(_Command())
        elif text in ("&&", "||", ";", ";;"):
            yield line[start : token.start()].strip(), pipe
            last = pipe[-1].words[:1]
            is_sure = text[0] == ";" or (text == "&&" and last in (["docker"], ["cd"], ["echo"]))
            pipe, start = [_Command(is_sure=is_sure)], token.end()
        elif kind == "op":
            pending = text
            if pipe[-1].words[-1:] in (["1"], ["2"]):
                pipe[-1].words.pop()
    yield line[start:].strip(), pipe


def _parsed(words: list[str]) -> tuple[Options, list[str]]:
    """Return a command's options and operands; raise _Unclear for an option that is not known."""
    options, operands, rest = list[tuple[str, str]](), list[str](), list(words)
    while rest:
        word = rest.pop(0)
        name, sign, value = word.partition("=")
        if word[:1] != "-" or word == "-":
            operands.append(word)
        elif name in _SWITCHES:
            options.append((name, value))
        elif name not in _VALUED or not (sign or rest):
            raise _Unclear
        else:
            options.append((name, value if sign else rest.pop(0)))
    return options, operands
