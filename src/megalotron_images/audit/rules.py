"""The rules of the image process, asked of facts. Pure.

Source: the page "Image process" and `megalotron_images.convention`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from megalotron_images import convention
from megalotron_images.audit import model, references
from megalotron_images.audit.events import Scenario, holds
from megalotron_images.audit.mentions import MEND
from megalotron_images.audit.metadata_action import resolved
from megalotron_images.audit.model import Fact, Finding, Login, Place, Push, Rule, Verdict
from megalotron_images.audit.references import OK, Answer, split
from megalotron_images.audit.values import HOLE, holes, show
from megalotron_images.errors import RuleBroken

CALL = """\
    uses: Megalotron/image-process/.github/workflows/publish-image.yml@COMMIT
    with: {stack: STACK}
    secrets:
      REGISTRY_USERNAME: ${{ secrets.REGISTRY_USERNAME }}
      REGISTRY_TOKEN: ${{ secrets.REGISTRY_TOKEN }}"""
"""The lines that call the process's own workflow."""
_BEGIN = "call publish-image.yml in its place"
_WANTED = ("REGISTRY_USERNAME", "REGISTRY_TOKEN")
_PLACEHOLDER = re.compile(r"(?!LATEST$)[A-Z][A-Z_]{2,}|__\w+__|.*[$<{#%@\x01].*")
_GIVEN = re.compile(r"(secrets|github|vars)\.")
_WORST = [Verdict.VIOLATED, Verdict.CANNOT_TELL, Verdict.OK]
Starts = Mapping[str, list[Scenario]]
"""What starts each workflow."""


def judge(facts: Iterable[Fact], starts: Starts, repository: str) -> list[Finding]:
    """Return the findings of all rules; a rule without facts has one that says so."""
    known = list(dict.fromkeys(facts))
    known = [one for one in known if not isinstance(one, Push) or _tags(one, starts)]
    found = dict.fromkeys(one for fact in known for one in _findings(fact, known, starts))
    lines = CALL.replace("STACK", _stack(known, repository))
    mended = (replace(one, mend=_mend(one, lines)) for one in found)
    judged = {one.rule for one in found}
    nothing = (Verdict.NOTHING, "", 0, "", 0, "", "there is nothing to judge")
    order = [*Rule, *Verdict]

    def rank(one: Finding) -> tuple[int, int, str, int, int]:
        rule, verdict = order.index(one.rule), order.index(one.verdict)
        return rule, verdict, one.file, one.line, one.use_line

    return [
        *sorted(mended, key=rank),
        *(Finding(rule, *nothing) for rule in Rule if rule not in judged),
    ]


def _stack(known: list[Fact], repository: str) -> str:
    """Return the stack of this repository, from its name or what it pushes; else a placeholder."""
    pushed = [split(one.reference).name for one in known if isinstance(one, Push)]
    for name in (repository.lower(), *pushed):
        try:
            return convention.parse_stack(name.rpartition("/")[2]).name
        except RuleBroken as error:
            if near := re.search(r"Did you mean ([\w-]+)\?", str(error)):
                return near[1]
    return "STACK"


def _mend(one: Finding, lines: str) -> str:
    """Return how to fix a finding; empty where nothing is wrong."""
    if one.verdict not in _WORST[:2]:
        return ""
    if one.rule is Rule.DEPLOY:
        return MEND[one.rule]
    other = MEND[one.rule] if one.is_followed else "excuse it with a comment"
    return f"{_BEGIN}:\n{lines}\nor {other}"


def _findings(fact: Fact, known: list[Fact], starts: Starts) -> Iterator[Finding]:
    if isinstance(fact, Push):
        yield from _push(fact, known, starts)
    elif isinstance(fact, Login):
        yield from _login(fact, known)
    elif isinstance(fact, model.Call):
        yield from _call(fact)
    elif isinstance(fact, model.Leak):
        verdict = Verdict.VIOLATED if fact.is_certain else Verdict.CANNOT_TELL
        reason = "a secret as build argument can be read in the image"
        yield _finding(fact, Rule.LOGIN, (verdict, reason), fact.value)
    elif isinstance(fact, model.Doubt):
        yield from _doubts(fact, fact.rules, fact.reason, fact.words)
    elif isinstance(fact, model.Deployed) and _is_ours(fact, known):
        yield _finding(fact, Rule.DEPLOY, _deployed(fact), fact.reference)


def _doubts(fact: Fact, rules: Iterable[Rule], reason: str, words: str = "") -> Iterator[Finding]:
    for rule in rules:
        found = _finding(fact, rule, (Verdict.CANNOT_TELL, reason), words)
        yield replace(found, is_followed=False)


def _finding(
    fact: Fact, rule: Rule, answer: Answer, value: str, place: Place | None = None
) -> Finding:
    """Return an answer about a value as a finding; place: where the value is defined."""
    at = place or fact.use
    verdict, reason = answer
    return Finding(
        rule, verdict, at.file, at.line, fact.use.file, fact.use.line, show(value)[:200], reason
    )


def _call(call: model.Call) -> Iterator[Finding]:
    for rule in (Rule.REGISTRY, Rule.TAG, Rule.EVENT, Rule.LOGIN):
        yield _finding(call, rule, OK, model.CALLED)
    yield _finding(call, Rule.NAME, references.stack(call.stack), call.stack)
    for (text, place), wanted in zip(call.secrets, _WANTED, strict=True):
        yield _finding(call, Rule.CREDENTIALS, _credential(text, wanted), text, place)


def _push(push: Push, known: list[Fact], starts: Starts) -> Iterator[Finding]:
    parts, value = split(push.reference), push.reference
    if parts.is_local:
        return
    where = f"{parts.registry}/{parts.name}"
    registry = references.registry(parts.registry, "is pushed to")
    yield _finding(push, Rule.REGISTRY, registry, where, push.named)
    yield _finding(push, Rule.NAME, references.name(parts.name), where, push.named)
    if parts.tag:
        yield _finding(push, Rule.TAG, _tag(push, starts), value, push.tagged)
    yield _finding(push, Rule.EVENT, _event(push, starts), value, push.tagged)
    before = known[: known.index(push)]
    if not any(isinstance(one, Login) and one.job == push.job for one in before):
        yield from _doubts(push, model.LOGINS, "no login is seen before it", value)


def _tags(push: Push, starts: Starts) -> list[tuple[Scenario | None, bool | None, str]]:
    """Return what can be pushed: on which event, whether it certainly is, and the tag."""
    tag = split(push.reference).tag
    given = starts.get(push.use.file)
    if not given:
        return [(None, None, tag)]
    asked = [(one, holds(push.when, one), _filled(tag, one)) for one in given]
    return [
        (one, answer, text)
        for one, answer, text in asked
        if answer is not False and (text or not tag)
    ]


def _filled(tag: str, scenario: Scenario) -> str:
    """Return a tag in a scenario; empty where docker/metadata-action makes none."""
    for name in holes(tag):
        text = resolved(name, scenario)
        if text == "":
            return ""
        if name == "github.ref_name" and scenario.ref:
            text = scenario.name
        tag = tag.replace(f"\x01{name}\x02", text) if text else tag
    return tag


def _tag(push: Push, starts: Starts) -> Answer:
    """Judge a tag for each event; one that differs between them only where it is certain."""
    written, answers = split(push.reference).tag, []
    for scenario, answer, text in _tags(push, starts):
        verdict, reason = references.tag(text)
        if scenario and text != written:
            reason += f" (on {scenario.event}, {scenario.ref})" if reason else ""
            is_certain = answer is True and scenario.is_certain
            if verdict is Verdict.VIOLATED and not is_certain:
                verdict = Verdict.CANNOT_TELL
        answers.append((verdict, reason))
    return min(answers, key=lambda one: _WORST.index(one[0]))


def _event(push: Push, starts: Starts) -> Answer:
    """Hold what is pushed against what the process writes, for each event and reference."""
    answers = [_one_event(*one) for one in _tags(push, starts)]
    return min(answers, key=lambda one: _WORST.index(one[0]))


def _one_event(scenario: Scenario | None, answer: bool | None, tag: str) -> Answer:
    if not scenario or scenario.event == "workflow_call":
        return Verdict.CANNOT_TELL, "what starts the workflow is not seen"
    wanted = scenario.writes
    wrong = references.tag(tag)[0] is Verdict.VIOLATED if tag else False
    is_right = not tag or tag == str(wanted)
    if wanted and is_right:
        return OK
    what = f"the process writes {wanted or 'nothing'}, and this pushes {show(tag) or 'a digest'}"
    reason = f"on {scenario.event} of {scenario.ref} {what}"
    is_certain = wrong or not wanted or not holes(tag)
    if is_certain and answer and scenario.is_judged:
        return Verdict.VIOLATED, reason
    return Verdict.CANNOT_TELL, f"{reason}, if it runs there"


def _login(login: Login, known: list[Fact]) -> Iterator[Finding]:
    host = references.host(login.registry)
    if references.Parts(host, "", "", "").is_local:
        return
    own = [one for one in known if isinstance(one, Push | model.Doubt) and one.job]
    pushes = [one for one in own if isinstance(one, Push) or Rule.TAG in one.rules]
    answer = references.registry(host, "logs in at")
    if not pushes and answer[0] is Verdict.VIOLATED:
        answer = (Verdict.CANNOT_TELL, f"{answer[1]}; but nothing is pushed: is it for pulls?")
    if pushes or answer[0] is not Verdict.OK:
        yield _finding(login, Rule.REGISTRY, answer, login.registry or references.HUB, login.place)
    if any(one.job == login.job for one in own):
        places = (login.username_at, login.password_at)
        for text, wanted, place in zip(
            (login.username, login.password), _WANTED, places, strict=True
        ):
            yield _finding(login, Rule.CREDENTIALS, _credential(text, wanted), text, place)
    how = f"the password is in {login.exposed}: others can read it there"
    safe = (Verdict.VIOLATED, how) if login.exposed else OK
    yield _finding(login, Rule.LOGIN, safe, login.password, login.password_at)


def _credential(text: str, wanted: str) -> Answer:
    """Judge a user name or a password: it must be the secret of that name, and nothing else."""
    inner = holes(text)
    if not inner:
        return Verdict.VIOLATED, f"{text!r} is no secret: secrets.{wanted} is wanted"
    if text == f"\x01secrets.{wanted}\x02":
        return OK
    if _GIVEN.match(inner[0]) and re.fullmatch(r"[\w.]+", inner[0]):
        return Verdict.VIOLATED, f"{show(text)} is used, and not secrets.{wanted}"
    return Verdict.CANNOT_TELL, f"{show(text)} cannot be seen here; secrets.{wanted} is wanted"


def _is_ours(image: model.Deployed, known: list[Fact]) -> bool:
    """Whether an image is Megalotron's, or one that this repository pushes."""
    parts = split(image.reference)
    owner = parts.name.lower().partition("/")[0]
    if owner == convention.ORGANISATION or f"{convention.ORGANISATION}/" in parts.name.lower():
        return True
    if holes(parts.registry + parts.name) and references.is_stack(parts.name):
        return True
    pushed = {split(one.reference)[:2] for one in known if isinstance(one, Push)}
    return (parts.registry, parts.name) in pushed


def _deployed(image: model.Deployed) -> Answer:
    parts = split(image.reference)
    if parts.digest:
        return OK
    if parts.tag in set(convention.MovingTag):
        return Verdict.CANNOT_TELL, f"{parts.tag} moves: pin a digest to know what runs"
    if HOLE.search(parts.tag) or _PLACEHOLDER.fullmatch(parts.tag):
        return Verdict.CANNOT_TELL, f"{show(parts.tag)} is replaced before it runs"
    if references.follows(parts.tag):
        return OK
    wrong = f"the tag {parts.tag!r} moves, or is none of the convention"
    if image.is_replaced:
        return Verdict.CANNOT_TELL, f"{wrong}; kustomize may replace it"
    return Verdict.VIOLATED, wrong
