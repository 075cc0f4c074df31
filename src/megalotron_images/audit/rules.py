"""The rules of the image process, asked of facts. Pure.

Source: the page "Image process" and `megalotron_images.convention`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from megalotron_images import convention
from megalotron_images.audit import model, references
from megalotron_images.audit.events import UNKNOWN_EVENT, Scenario, holds
from megalotron_images.audit.mentions import MEND
from megalotron_images.audit.metadata_action import resolved
from megalotron_images.audit.model import Fact, Finding, Login, Place, Push, Rule, Verdict
from megalotron_images.audit.references import OK, Answer, split
from megalotron_images.audit.values import holes, show, unknown

_CALL = """call publish-image.yml in its place:
    uses: Megalotron/image-process/.github/workflows/publish-image.yml@COMMIT
    with: {stack: STACK}
    secrets:
      REGISTRY_USERNAME: ${{ secrets.REGISTRY_USERNAME }}
      REGISTRY_TOKEN: ${{ secrets.REGISTRY_TOKEN }}
or """
_WANTED = ("REGISTRY_USERNAME", "REGISTRY_TOKEN")
_PLACEHOLDER = re.compile(r"(?!LATEST$)[A-Z][A-Z_]{2,}|__\w+__|.*[$<{#%@].*")
_LEAKED = "a secret that is a build argument can be read in the image"
_NO_LOGIN = "no login is seen before it"
_IDLE = "nothing is seen that needs this login: it may push"
_VERDICTS = list(Verdict)
Starts = Mapping[str, list[Scenario]]
"""What starts each workflow."""


def judge(facts: Iterable[Fact], starts: Starts, repository: str) -> list[Finding]:
    """Return the findings of all rules; a rule without facts has one that says so."""
    known = [one for one in dict.fromkeys(facts) if not isinstance(one, Push) or _tags(one, starts)]
    found = dict.fromkeys(one for fact in known for one in _findings(fact, known, starts))
    judged = {one.rule for one in found}
    empty = ("", 0, "", 0, "", "there is nothing to judge")
    found |= {Finding(one, Verdict.NOTHING, *empty): None for one in Rule if one not in judged}
    call, order = _CALL.replace("STACK", _stack(known, repository)), list(Rule)

    def rank(one: Finding) -> tuple[int, int, str, int, int]:
        rule, verdict = order.index(one.rule), _VERDICTS.index(one.verdict)
        return rule, verdict, one.file, one.line, one.use_line

    return [replace(one, mend=_mend(one, call)) for one in sorted(found, key=rank)]


def _stack(known: list[Fact], repository: str) -> str:
    """Return the stack of this repository, from its name or what it pushes; else a placeholder."""
    pushed = [split(one.reference).name for one in known if isinstance(one, Push)]
    for name in (repository.lower(), *pushed):
        last = name.rpartition("/")[2]
        near = re.search(r"mean ([\w-]+)\?", references.stack(last)[1])
        if last in references.STACKS or near:
            return near[1] if near else last
    return "STACK"


def _mend(one: Finding, call: str) -> str:
    """Return how to fix a finding; empty where nothing is wrong."""
    if one.verdict not in (Verdict.VIOLATED, Verdict.CANNOT_TELL):
        return ""
    other = MEND[one.rule] if one.is_followed else "excuse it with a comment"
    return MEND[one.rule] if one.rule is Rule.DEPLOY else call + other


def _findings(fact: Fact, known: list[Fact], starts: Starts) -> Iterator[Finding]:
    if isinstance(fact, Push):
        yield from _push(fact, known, starts)
    elif isinstance(fact, Login):
        yield from _login(fact, known)
    elif isinstance(fact, model.Call):
        for rule in (Rule.REGISTRY, Rule.TAG, Rule.EVENT, Rule.LOGIN):
            yield _finding(fact, rule, OK, model.CALLED)
        yield _finding(fact, Rule.NAME, references.stack(fact.stack), fact.stack)
        for (text, place), wanted in zip(fact.secrets, _WANTED, strict=True):
            yield _finding(fact, Rule.CREDENTIALS, _credential(text, wanted), text, place)
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
    at, use, shown = place or fact.use, fact.use, show(value)[:200]
    return Finding(rule, answer[0], at.file, at.line, use.file, use.line, shown, answer[1])


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
            yield _finding(push, rule, _worst(answers), value, push.tagged)
    before = known[: known.index(push)]
    if not any(isinstance(one, Login) and one.job == push.job for one in before):
        yield from _doubts(push, model.LOGINS, _NO_LOGIN, value)


def _worst(answers: Iterable[Answer]) -> Answer:
    return min(answers, key=lambda one: _VERDICTS.index(one[0]))


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
        if name == "github.ref_name":
            text = scenario.ref.split("/", 2)[2]
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
    host, file = references.host(login.registry), login.use.file
    if references.LOCAL.fullmatch(host):
        return
    used = [one for one in known if isinstance(one, Push | model.Doubt | model.Reading) and one.job]
    pushes = [one for one in used if isinstance(one, Push) or Rule.TAG in getattr(one, "rules", ())]
    answer = references.registry(host, "logs in at")
    if not pushes and answer[0] is Verdict.VIOLATED:
        answer = (Verdict.CANNOT_TELL, f"{answer[1]}; but nothing is pushed: is it for pulls?")
    if pushes or answer[0] is not Verdict.OK:
        value = login.registry or references.HUB
        yield _finding(login, Rule.REGISTRY, answer, value, login.places[0])
    if any(one.job == login.job for one in pushes):
        texts = zip((login.username, login.password), _WANTED, login.places[1:], strict=True)
        for text, wanted, place in texts:
            yield _finding(login, Rule.CREDENTIALS, _credential(text, wanted), text, place)
    if not any(one.use.file == file for one in used):
        yield from _doubts(login, model.WRITES[1:], _IDLE)
    exposed = (
        Verdict.VIOLATED,
        "the password is an argument of the command line: others can read it",
    )
    safe = exposed if login.is_exposed else OK
    yield _finding(login, Rule.LOGIN, safe, login.password, login.places[2])


def _credential(text: str, wanted: str) -> Answer:
    """Judge a user name or a password: it must be the secret of that name, and nothing else."""
    inner, seen = holes(text), show(text)
    if text == unknown(f"secrets.{wanted}"):
        return OK
    if not inner or re.fullmatch(r"(secrets|github|vars)\.[\w.]+", inner[0]):
        return Verdict.VIOLATED, f"{seen!r} is used, and not secrets.{wanted}"
    return Verdict.CANNOT_TELL, f"{seen} cannot be seen here; secrets.{wanted} is wanted"


def _deployed(image: model.Deployed, known: list[Fact]) -> Iterator[Finding]:
    """Yield the answer about an image that is Megalotron's, or pushed by this repository."""
    parts, value = split(image.reference), image.reference
    is_stack = (
        holes(parts.registry + parts.name) and parts.name.rpartition("/")[2] in references.STACKS
    )
    pushed = [split(one.reference)[:2] for one in known if isinstance(one, Push)]
    doubts = [one for one in known if isinstance(one, model.Doubt) and Rule.TAG in one.rules]
    is_open = bool(doubts) or any(holes("".join(one)) for one in pushed)
    is_ours = re.search(rf"(^|\W){convention.ORGANISATION}/", parts.name.lower())
    if is_ours or is_stack or parts[:2] in pushed:
        yield _finding(image, Rule.DEPLOY, _running(image), value)
    elif is_open and image.is_built:
        reason = "it may be pushed by what is not followed"
        yield from _doubts(image, (Rule.DEPLOY,), reason, value)


def _running(image: model.Deployed) -> Answer:
    parts = split(image.reference)
    if parts.digest:
        return OK
    if parts.tag in set(convention.MovingTag):
        return Verdict.CANNOT_TELL, f"{parts.tag} moves: pin a digest to know what runs"
    if holes(parts.tag) or _PLACEHOLDER.fullmatch(parts.tag) or image.is_replaced:
        return Verdict.CANNOT_TELL, f"{show(parts.tag)} is replaced before it runs"
    if references.follows(parts.tag):
        return OK
    return Verdict.VIOLATED, f"the tag {parts.tag!r} moves, or is none of the convention"
