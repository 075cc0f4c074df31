"""Scripts of `run:`, line by line: plain commands of docker and podman, and literal assignments.

No shell is interpreted. From the first condition or block of a script on, whether a line runs is
unknown; a command that is not understood and may push is a doubt.
"""

import argparse
import re
import shlex
from collections import Counter

from megalotron_images.audit.events import UNSURE, When
from megalotron_images.audit.job import Job
from megalotron_images.audit.mentions import PATTERNS, WORDS, pushes
from megalotron_images.audit.model import LOGINS
from megalotron_images.audit.values import HOLE, LONGEST, show, unknown, with_variables
from megalotron_images.audit.yaml_files import Text

_LINE = re.compile(r"^(?!\s*#)(?:(?!\s*#|.*\s#).*(?<!\\)\\\n)*.+", re.MULTILINE)
"""A command with the lines that continue it; a comment continues on none."""
_OPTIONS = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
for _word in WORDS["valued"]:
    _OPTIONS.add_argument(*_word.split("/"), action="append", default=[])
for _word in WORDS["switches"]:
    _OPTIONS.add_argument(*_word.split("/"), action="store_true")


class Script:
    """One script of a step, as it is read.

    `when` is empty until a condition or a block stands before what is read; `once`: the variables
    that are set in one place; `step`: how the names of its outputs begin.
    """

    def __init__(self, job: Job, text: Text, step: str) -> None:
        self.job, self.start, self.step, self.when = job, text, f"steps.{step}.outputs.", When()
        self.text = "\n".join(map(job.put, text.splitlines()))
        job.is_open |= any(len(one) > LONGEST for one in text.splitlines())
        found = PATTERNS["setting"].findall(f"\n{self.text}")
        names = Counter(re.findall(r"\w+", " ".join(map(" ".join, found))))
        is_unseen = job.is_open or bool(PATTERNS["setting_any"].search(self.text))
        self.once = {one for one in names if names[one] == 1 and not is_unseen}
        self.variables = {f"GITHUB_{x}": job.value(f"github.{x.lower()}") for x in WORDS["github"]}
        self.variables |= {} if is_unseen else job.env
        self.variables |= {one: unknown(f"${one}") for one in names}

    def follow(self, is_sure: bool) -> None:
        """Note what each line does; from a here-document on nothing is read.

        is_sure: the step has no `if`.
        """
        for found in _LINE.finditer(self.text):
            self.place = self.job.place(self.start, self.text.count("\n", 0, found.start()))
            line = found[0].replace("\\\n", " ").strip()
            if "<<" in line:
                self._line(self.text[found.start() :])
                break
            self.when = UNSURE if PATTERNS["branching"].search(line) else self.when
            if export := PATTERNS["export"].fullmatch(line):
                is_env, is_known = export[3] == "ENV", is_sure and not self.when
                key = export[1] if is_env else f"{self.step}{export[1]}".lower()
                value = with_variables(export[2], self.variables) if is_known else unknown(key)
                (self.job.exported if is_env else self.job.names)[key] = value
            else:
                for one in [line] if " #" in line else re.split(r"\s*(?:&&|;)\s+", line):
                    self._line(one)

    def _line(self, line: str) -> None:
        """Note what a line does."""
        own = {one: unknown(one) for one in self.job.names if one.startswith(self.step.lower())}
        self.job.names |= own if "GITHUB_OUTPUT" in line else {}
        self.job.is_open |= "GITHUB_ENV" in line
        for one in PATTERNS["substitution"].findall(line):
            self.job.doubt_command(self.place, "".join(one))
        try:
            words = _words(PATTERNS["substitution"].sub(lambda one: unknown(one[0]), line))
            self._command([with_variables(one, self.variables) for one in words])
        except (ValueError, argparse.ArgumentError):
            self.job.doubt_command(self.place, line)

    def _command(self, words: list[str]) -> None:
        """Note what a command does. Raises ValueError where that is not plain."""
        stdin = ""
        if "|" in words and words[0] in ("echo", "printf"):  # as in `echo X | docker login`
            at = words.index("|")
            stdin = " ".join(one for one in words[1:at] if one[:1] not in "-%")
            words = words[at + 1 :]
        while words and words[0] in WORDS["prefixes"]:
            words = words[1:]
        while words and (match := PATTERNS["assignment"].fullmatch(words[0])):
            is_all = all(map(PATTERNS["assignment"].fullmatch, words))
            if is_all and not self.when and match[1] in self.once:
                self.variables[match[1]] = match[2]
            words = words[1:]
        if "|" in words or not {*words[:1]} <= WORDS["known"]:
            raise ValueError
        if words and words[0] not in ("echo", "printf"):
            verb, *rest = [*words[1:], ""][words[1:2] in (["image"], ["buildx"]) :]
            self._engine(verb, [one for one in rest if one], stdin, " ".join(words))

    def _engine(self, verb: str, rest: list[str], stdin: str, whole: str) -> None:
        """Note what docker and podman do. Raises ValueError where that is not plain."""
        if verb not in ("push", "login", "build", "b"):
            if verb not in WORDS["local"] or pushes(whole):
                raise ValueError
            self.job.is_pulling |= verb in WORDS["reading"]
            return
        options, operands = _OPTIONS.parse_known_args(rest)
        if any(one[0] == "-" for one in operands) or (verb == "push" and len(operands) != 1):
            raise ValueError
        if verb == "push":
            self.job.push(operands[0], self.place, self.when)
        elif verb == "login":
            if not options.password and not options.password_stdin:
                self.job.doubt(self.place, "docker login", "its password is not seen", LOGINS)
            username = [unknown("a user name"), *options.username][-1]
            secret = [stdin or unknown("a password that is not seen"), *options.password][-1]
            given = [(one, self.place) for one in ("".join(operands[:1]), username, secret)]
            self.job.login(self.place, given, bool(options.password))
        else:
            self._build(options, operands)

    def _build(self, options: argparse.Namespace, operands: list[str]) -> None:
        if any(HOLE.fullmatch(one) and show(one)[:11] != "${{ github." for one in operands):
            self.job.doubt(self.place, "docker build", "its arguments may include --push")
        self.job.leak((one, self.place) for one in options.build_arg)
        for tag in (options.tag or [unknown("its tag")]) if options.push else ():
            self.job.push(tag, self.place, self.when)


def _words(line: str) -> list[str]:
    """Return the words of a line; raise ValueError for one that is more than a command."""
    signs = "();<>|&`"
    lexer = shlex.shlex(PATTERNS["ignored"].sub("", line), posix=True, punctuation_chars=signs)
    lexer.whitespace_split, lexer.commenters = True, ""
    words = [one for one in lexer if one]
    if PATTERNS["unclear"].search(line) or not all(one.strip(signs) for one in words if one != "|"):
        raise ValueError
    return words
