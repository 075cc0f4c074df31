"""The rules of the image process, asked of facts. Pure.

Source: the page "Image process" and `megalotron_images.convention`.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from megalotron_images import convention
from megalotron_images.audit import model, references
from megalotron_images.audit.actions import resolved
from megalotron_images.audit.events import UNKNOWN_EVENT, Scenario, holds
from megalotron_images.audit.mentions import MEND
from megalotron_images.audit.model import Fact, Finding, Login, Place, Push, Rule, Verdict
from megalotron_images.audit.references import OK, Answer, split
from megalotron_images.audit.values import holes, show, unknown

_WANTED = ("REGISTRY_USERNAME", "REGISTRY_TOKEN")
_PLACEHOLDER = re.compile(r"(?!LATEST$)[A-Z][A-Z_]{2,}|__\w+__|.*[$<{#%@].*")
_LEAKED = "a secret that is a build argument can be read in the image"
_EXPOSED = "the password is an argument of the command line: others can read it"
_NO_LOGIN = "no login is seen before it"
_IDLE = "nothing is seen that needs this login: it may push"
_ORDER = [*Rule, *Verdict]
Starts = dict[str, list[Scenario]]
"""What starts each workflow."""


def judge(facts: Iterable[Fact], starts: Starts, repository: str) -> list[Finding]:
    """Return the findings of all rules; a rule without facts has one that says so."""
    known = [one for one in dict.fromkeys(facts) if not isinstance(one, Push) or _tags(one, starts)]
    found = dict.fromkeys(one for fact in known for one in _findings(fact, known, starts))
    empty = Finding(Rule.TAG, Verdict.NOTHING, "", 0, "", 0, "", "there is nothing to judge")
    found |= dict.fromkeys(replace(empty, rule=one) for one in {*Rule} - {x.rule for x in found})
    call = MEND["call"].replace("STACK", _stack(known, repository))

    def rank(one: Finding) -> tuple[int, int, str, int, int]:
        rule, verdict = map(_ORDER.index, (one.rule, one.verdict))
        return rule, verdict, one.file, one.line, one.use_line

    return [replace(one, mend=_mend(one, call)) for one in sorted(found, key=rank)]


def _stack(known: list[Fact], repository: str) -> str:
    """Return the stack of this repository, from its name or what it pushes; else a placeholder."""
    pushed = (split(one.reference).name for one in known if isinstance(one, Push))
    for name in (repository.lower(), *pushed):
        last = name.rpartition("/")[2]
        near = re.search(r"mean ([\w-]+)\?", references.stack(last)[1])
        if near or last in references.STACKS:
            return near[1] if near else last
    return "STACK"


def _mend(one: Finding, call: str) -> str:
    """Return how to fix a finding; empty where nothing is wrong."""
    if not one.is_against or one.rule is Rule.DEPLOY:
        return MEND[one.rule] if one.is_against else ""
    return call + (MEND[one.rule] if one.is_followed else "excuse it with a comment")


def _findings(fact: Fact, known: list[Fact], starts: Starts) -> Iterator[Finding]:
    if isinstance(fact, Push):
        yield from _push(fact, known, starts)
    elif isinstance(fact, Login):
        yield from _login(fact, known)
    elif isinstance(fact, model.Call):
        for rule in (Rule.REGISTRY, Rule.TAG, Rule.EVENT, Rule.LOGIN):
            yield _finding(fact, rule, OK, model.CALLED)
        yield _finding(fact, Rule.NAME, references.stack(fact.stack), fact.stack)
        yield from _credentials(fact, fact.secrets)
    elif isinstance(fact, model.Leak):
        verdict = Verdict.VIOLATED if fact.is_certain else Verdict.CANNOT_TELL
        yield _finding(fact, Rule.LOGIN, (verdict, _LEAKED), fact.value)
    elif isinstance(fact, model.Doubt):
        yield from _doubts(fact, fact.rules, fact.reason, fact.words)
    elif isinstance(fact, model.Deployed):
        yield from _deployed(fact, known)


def _doubts(fact: Fact, rules: Iterable[Rule], reason: str, words: str = "") -> Iterator[Finding]:
    for rule in rules:
        found = _finding(fact, rule, (Verdict.CANNOT_TELL, reason), words)
        yield replace(found, is_followed=False)


def _finding(
    fact: Fact, rule: Rule, answer: Answer, value: str, place: Place | None = None
) -> Finding:
    """Return an answer about a value as a finding; place: where the value is defined."""
    verdict, reason = answer
    return Finding(rule, verdict, *(place or fact.use), *fact.use, show(value)[:200], reason)


def _push(push: Push, known: list[Fact], starts: Starts) -> Iterator[Finding]:
    parts, value = split(push.reference), push.reference
    if references.LOCAL.fullmatch(parts.registry):
        return
    tags, where = _tags(push, starts), f"{parts.registry}/{parts.name}"
    where = value.removesuffix(f":{parts.tag}") if holes(parts.registry) else where
    registry = references.registry(parts.registry, "is pushed to")
    yield _finding(push, Rule.REGISTRY, registry, where, push.named)
    yield _finding(push, Rule.NAME, references.name(parts.name), where, push.named)
    for rule, question in ((Rule.TAG, _tag), (Rule.EVENT, _event)):
        answers = [question(parts.tag, *one) for one in tags if parts.tag or rule is Rule.EVENT]
        if answers:
            worst = min(answers, key=lambda one: _ORDER.index(one[0]))
            yield _finding(push, rule, worst, value, push.tagged)
    before = known[: known.index(push)]
    if not any(isinstance(one, Login) and one.job == push.job for one in before):
        yield from _doubts(push, model.LOGINS, _NO_LOGIN, value)


def _tags(push: Push, starts: Starts) -> list[tuple[Scenario, bool | None, str]]:
    """Return what can be pushed: on which event, whether it certainly is, and the tag."""
    tag = split(push.reference).tag
    given = starts.get(push.use.file) or [Scenario(UNKNOWN_EVENT, "refs/heads/main", False)]
    asked = [(one, holds(push.when, one), _filled(tag, one)) for one in given]
    return [one for one in asked if one[1] is not False and (one[2] or not tag)]


def _filled(tag: str, scenario: Scenario) -> str:
    """Return a tag in a scenario; empty where docker/metadata-action makes none."""
    for name in holes(tag) if scenario.event != UNKNOWN_EVENT else ():
        text = resolved(name, scenario)
        tag = "" if text == "" else tag.replace(unknown(name), text or unknown(name))
    return tag


def _tag(written: str, scenario: Scenario, answer: bool | None, text: str) -> Answer:
    """Judge a tag in a scenario; one that differs between them only where it is certain."""
    verdict, reason = references.tag(text)
    if text != written and reason:
        reason += f" (on {scenario.event} of {scenario.ref})"
        is_certain = answer and (scenario.is_certain or references.tag(written)[0] is verdict)
        verdict = verdict if is_certain else Verdict.CANNOT_TELL
    return verdict, reason


def _event(written: str, scenario: Scenario, answer: bool | None, tag: str) -> Answer:
    """Hold what is pushed in a scenario against what the process writes there."""
    if scenario.event == UNKNOWN_EVENT:
        return Verdict.CANNOT_TELL, "what starts the workflow is not seen"
    wanted = scenario.writes
    if wanted and tag in ("", str(wanted)):
        return OK
    what = f"the process writes {wanted or 'nothing'}, and this pushes {show(tag) or 'a digest'}"
    reason = f"on {scenario.event} of {scenario.ref} {what}"
    is_wrong = not wanted or not holes(tag) or references.tag(tag)[0] is Verdict.VIOLATED
    if is_wrong and answer and scenario.is_judged:
        return Verdict.VIOLATED, reason
    return Verdict.CANNOT_TELL, f"{reason}, if it runs there"


def _login(login: Login, known: list[Fact]) -> Iterator[Finding]:
    host = references.host(login.registry)
    if references.LOCAL.fullmatch(host):
        return
    used = [one for one in known if isinstance(one, Push | model.Doubt) and one.job]
    pushes = [one for one in used if isinstance(one, Push) or Rule.TAG in getattr(one, "rules", ())]
    answer = references.registry(host, "logs in at")
    if not pushes and answer[0] is Verdict.VIOLATED:
        answer = (Verdict.CANNOT_TELL, f"{answer[1]}; but nothing is pushed: is it for pulls?")
    if pushes or answer[0] is not Verdict.OK:
        value = login.registry or references.HUB
        yield _finding(login, Rule.REGISTRY, answer, value, login.places[0])
    if any(one.job == login.job for one in pushes):
        texts = (login.username, login.password)
        yield from _credentials(login, zip(texts, login.places[1:], strict=True))
    if not any(one.use.file == login.use.file for one in used):
        yield from _doubts(login, model.WRITES[1:], _IDLE)
    safe = (Verdict.VIOLATED, _EXPOSED) if login.is_exposed else OK
    yield _finding(login, Rule.LOGIN, safe, login.password, login.places[2])


def _credentials(fact: Fact, given: Iterable[tuple[str, Place]]) -> Iterator[Finding]:
    """Judge user name and password: each must be the secret of that name, and nothing else."""
    for (text, place), wanted in zip(given, _WANTED, strict=True):
        inner, seen = holes(text), show(text)
        answer = (Verdict.CANNOT_TELL, f"{seen} cannot be seen here; secrets.{wanted} is wanted")
        if not inner or re.fullmatch(r"(secrets|github|vars)\.[\w.]+", inner[0]):
            answer = (Verdict.VIOLATED, f"{seen!r} is used, and not secrets.{wanted}")
        answer = OK if text == unknown(f"secrets.{wanted}") else answer
        yield _finding(fact, Rule.CREDENTIALS, answer, text, place)


def _deployed(image: model.Deployed, known: list[Fact]) -> Iterator[Finding]:
    """Yield the answer about an image that is Megalotron's, or pushed by this repository."""
    parts = split(image.reference)
    is_stack = parts.name.rpartition("/")[2] in references.STACKS
    is_stack = is_stack and bool(holes(parts.registry + parts.name))
    is_ours = bool(re.search(rf"(^|\W){convention.ORGANISATION}/", parts.name.lower()))
    pushed = [split(one.reference)[:2] for one in known if isinstance(one, Push)]
    if is_ours or is_stack or parts[:2] in pushed:
        yield _finding(image, Rule.DEPLOY, _running(*parts[2:]), image.reference)
    elif image.is_built and (
        any(isinstance(one, model.Doubt) and Rule.TAG in one.rules for one in known)
        or any(holes("".join(one)) for one in pushed)
    ):
        reason = "it may be pushed by what is not followed"
        yield from _doubts(image, (Rule.DEPLOY,), reason, image.reference)


def _running(tag: str, digest: str) -> Answer:
    if digest or (references.follows(tag) and tag not in set(convention.MovingTag)):
        return OK
    if tag in set(convention.MovingTag):
        return Verdict.CANNOT_TELL, f"{tag} moves: pin a digest to know what runs"
    if holes(tag) or _PLACEHOLDER.fullmatch(tag):
        return Verdict.CANNOT_TELL, f"{show(tag)} is replaced before it runs"
    return Verdict.VIOLATED, f"the tag {tag!r} moves, or is none of the convention"
