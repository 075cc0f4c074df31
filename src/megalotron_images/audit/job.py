"""A job as its steps are read: what is known there, and what is noted of it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from megalotron_images.audit import events, mentions, model, rules
from megalotron_images.audit.mentions import PATTERNS
from megalotron_images.audit.model import PUSHES, Audit, Place, Rule, Rules, Value, Verdict
from megalotron_images.audit.values import LONGEST, bounded, holes, unknown
from megalotron_images.audit.yaml_files import Text

_EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
_LEAKED = "anyone who has the image can read a secret that is a build argument"
_EXPOSED = "others can read a password on the command line"
_SCENARIO = 5
"""What a push costs for each scenario, in characters."""


@dataclass
class Job:
    """One job, on one row of its matrix.

    Attributes:
        starts: what starts its workflow.
        names: GitHub's names that are known, in lower case (`matrix.stack`, `steps.a.outputs.b`).
        when: what must hold for its next step to run.
        env: environment variables.
        made: what the outputs of docker/metadata-action hold, by their holes.
        exported: what scripts wrote to `GITHUB_ENV`, for later steps.
        logins: where each login is, with its registry, user name and password.
        is_open: something that is not followed may have set any variable.
        is_pushing: it pushes, or may push; is_pulling: it uses an image.
    """

    audit: Audit
    file: str
    starts: list[events.Scenario]
    names: dict[str, str]
    when: events.When
    env: dict[str, str] = field(default_factory=dict)
    made: dict[str, list[rules.Push]] = field(default_factory=dict)
    exported: dict[str, str] = field(default_factory=dict)
    logins: list[tuple[Place, list[Value]]] = field(default_factory=list)
    is_open: bool = False
    is_pushing: bool = False
    is_pulling: bool = False

    def place(self, text: Text, row: int = 0) -> Place:
        """Return where a text is written, or one of its rows."""
        return Place(self.file, text.line + row)

    def put(self, text: str) -> str:
        """Return a text with its expressions put in, as far as they are names or literals."""
        return bounded(_EXPRESSION.sub(lambda one: self.value(one[1]), text[: LONGEST + 1]))

    def read(self, text: Text) -> Value:
        """Return a text with its expressions put in, and its place."""
        return self.put(text), self.place(text)

    def value(self, expression: str) -> str:
        """Return what an expression stands for: a literal, a known name, or a hole."""
        text = " ".join(expression.split())
        key = {"github.token": "secrets.github_token"}.get(text.lower(), text.lower())
        if literal := re.fullmatch(r"'([^']*)'", text):
            return literal[1]
        if key.startswith("env.") and not self.is_open:
            return {k.lower(): v for k, v in self.env.items()}.get(key[4:], unknown(text))
        name = "secrets." + key[8:].upper() if key.startswith("secrets.") else key
        return self.names.get(key, unknown(name if re.fullmatch(r"[\w.-]+", name) else text))

    def push(self, text: str, use: Place, when: events.When = ()) -> None:
        """Note a push of a text: one reference, or all that docker/metadata-action made."""
        cost = _SCENARIO * (1 + len(self.starts))
        for one in self.made.get(text, [rules.Push(text, use, use)]):
            known = one._replace(when=(*self.when, *when, *one.when))
            if self.audit.spend(cost, use) and rules.push(self.audit, known, use, self.starts):
                self.is_pushing = True
                if not self.logins:
                    self.audit.doubt(use, one.reference, "no login is seen before it", model.LOGINS)

    def login(self, use: Place, given: list[Value], is_exposed: bool = False) -> None:
        """Note a login; given: registry, user name and password, each with its place."""
        if not PATTERNS["local"].fullmatch(given[0][0]):
            answer = (Verdict.VIOLATED, _EXPOSED) if is_exposed else model.OK
            self.audit.find(Rule.LOGIN, answer, given[2], use)
            self.logins.append((use, given))

    def leak(self, arguments: Iterable[Value]) -> None:
        """Note the secrets in build arguments."""
        for argument, place in arguments:
            for name in [one for one in holes(argument) if "secret" in one]:
                found = Verdict.CANNOT_TELL if PATTERNS["public"].search(name) else Verdict.VIOLATED
                self.audit.find(Rule.LOGIN, (found, _LEAKED), (argument, place), place)

    def doubt(self, place: Place, words: str, reason: str = "", about: Rules = PUSHES) -> None:
        """Note something that may push, and is not followed."""
        self.is_pushing |= Rule.TAG in about
        self.audit.doubt(place, words, reason or "it may push, and is not followed", about)

    def doubt_command(self, place: Place, line: str) -> None:
        """Note a command that is not understood, if it or a file that it runs may push."""
        if PATTERNS["deploying"].search(line) and PATTERNS["ours"].search(line):
            self.doubt(place, line, "it may deploy, and is not followed", (Rule.DEPLOY,))
        if any(map(mentions.may_push, PATTERNS["separator"].split(line))):
            files = mentions.called(self.audit.folder, line)
            found = list(mentions.spoken(self.audit.folder, files))
            for file, number, words in found:
                self.doubt(place, line, f"it is not followed: {file}:{number} has {words!r}")
            if not found and (mentions.pushes(line) or not files):
                self.doubt(place, line)
