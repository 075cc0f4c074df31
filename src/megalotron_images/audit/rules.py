"""The rules of the image process, asked of facts. Pure.

Source: the page "Image process" and `megalotron_images.convention`; of references, the
distribution's grammar, and Docker's rule that a name without a host is Docker Hub's.
"""

import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import NamedTuple

from megalotron_images import convention
from megalotron_images.audit import model
from megalotron_images.audit.knowledge import MEND, PATTERNS
from megalotron_images.audit.model import Fact, Finding, Login, Push, Rule, Verdict
from megalotron_images.audit.texts import expand, holes, show
from megalotron_images.errors import RuleBroken

_HUB = "docker.io"
_HUBS = ("", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com")
_LOCAL = re.compile(r"(localhost|127\.0\.0\.1|host\.docker\.internal)(:\d+)?")
"""Registries on the machine of the job itself, so that nothing is published."""
_CORRECT = re.compile(r"[\w.-]+(:\d+)?(/[\w.-]+)*(:[\w.-]+)?(@sha256:[0-9a-f]{64})?", re.ASCII)


class _Parts(NamedTuple):
    """A reference's parts; `tag` is `latest` where none is written, and empty beside a digest."""

    registry: str
    name: str
    tag: str
    digest: str


def _split(reference: str) -> _Parts:
    """Return a reference's parts; it need not be a correct one."""
    text = re.sub(r"^(docker://|oci://|https?://)", "", reference.strip().strip("\"'"))
    text, _, digest = text.partition("@")
    first, slash, rest = text.partition("/")
    has_host = bool(slash) and (bool(re.search(r"[.:]", first)) or first == "localhost")
    registry, path = (first, rest) if has_host else (_HUB, text)
    name, colon, tag = path.partition(":")
    tag = tag if colon else "" if digest else "latest"
    return _Parts(_HUB if registry in _HUBS else registry, name, tag, digest)


Answer = tuple[Verdict, str]
_OK: Answer = (Verdict.OK, "")
_WANTED = ("REGISTRY_USERNAME", "REGISTRY_TOKEN")
_PLACEHOLDER = re.compile(r"(?!LATEST$)[A-Z][A-Z_]{2,}|__\w+__|.*[$<{#%@].*")
_STACK_NAMES = {stack.name for stack in convention.STACKS}


def judge(facts: Iterable[Fact]) -> list[Finding]:
    """Return the findings of all rules; a rule without facts has one that says so."""
    known = list(dict.fromkeys(facts))
    found = dict.fromkeys(one for fact in known for one in _findings(fact, known))
    judged = {one.rule for one in found}
    nothing = (Verdict.NOTHING, "", 0, "", 0, "", "there is nothing to judge")
    order = [*Rule, *Verdict]

    def rank(one: Finding) -> tuple[int, int, str, int, int]:
        rule, verdict = order.index(one.rule), order.index(one.verdict)
        return rule, verdict, one.file, one.line, one.use_line

    return [
        *sorted(found, key=rank),
        *(Finding(rule, *nothing) for rule in Rule if rule not in judged),
    ]


def _findings(fact: Fact, known: list[Fact]) -> Iterator[Finding]:
    if isinstance(fact, Push):
        yield from _push(fact, known)
    elif isinstance(fact, Login):
        yield from _login(fact, known)
    elif isinstance(fact, model.Doubt):
        yield from _doubts(fact, fact.rules, fact.reason)
        if fact.rules == model.WRITES:
            yield from _without_login(fact, known)
    elif isinstance(fact, model.Deployed) and _is_judged(fact, known):
        answer = _combined(_deployed, fact.reference)
        yield _finding(fact, Rule.DEPLOY, answer, fact.reference)


def _doubts(fact: Fact, rules: Iterable[Rule], reason: str) -> Iterator[Finding]:
    for rule in rules:
        mend = MEND[rule] if rule is Rule.DEPLOY else model.ANY_RULE
        yield _finding(fact, rule, (Verdict.CANNOT_TELL, reason), "", mend=mend)


def _finding(
    fact: Fact, rule: Rule, answer: Answer, value: str, part: str = "", mend: str = ""
) -> Finding:
    """Return an answer about a value as a finding; part: the part that the rule is about."""
    place, (verdict, reason) = _origin(fact, value, part or value), answer
    use = (fact.use.file, fact.use.line)
    if verdict in (Verdict.VIOLATED, Verdict.CANNOT_TELL):
        mend = mend or MEND[rule]
    if isinstance(fact, Push) and rule in (Rule.REGISTRY, Rule.NAME):
        value = "/".join(_split(value)[:2])
    return Finding(rule, verdict, place.file, place.line, *use, show(value), reason, mend)


def _origin(fact: Fact, value: str, part: str) -> model.Place:
    """Return where a part of a value was defined: the closest bound text that holds it."""
    if value in fact.origins and part == value:
        return fact.origins[value]
    inside = [one for one in fact.origins if one in value and _ends_well(one, value)]
    holding = sorted((one for one in inside if part in one), key=len)
    held = sorted((one for one in inside if one in part), key=len, reverse=True)
    return fact.origins[[*holding, *held][0]] if holding or held else fact.use


def _ends_well(text: str, value: str) -> bool:
    """Whether a text is whole parts of a value: a chance likeness of letters is none."""
    before, _, after = value.partition(text)
    return not re.match(r"\w", after[:1]) and not re.match(r"\w", before[-1:])


@cache
def _combined(question: Callable[[str], Answer], text: str) -> Answer:
    """Return the answer for all that a text may be: violated only if no expansion is ok."""
    expansions = expand(text)
    correct = [one for one in expansions if _CORRECT.fullmatch(re.sub(r"^\w+://", "", one))]
    answers = [question(one) for one in correct or expansions]
    verdicts = {verdict for verdict, _ in answers}
    if len(verdicts) == 1:
        return answers[0]
    if question is _name and Verdict.OK not in verdicts:
        return next(answer for answer in answers if answer[0] is Verdict.VIOLATED)
    what = ", ".join(dict.fromkeys(hole.what for hole in holes(text)))
    return Verdict.CANNOT_TELL, f"it depends on {what[:200]}"


def _push(push: Push, known: list[Fact]) -> Iterator[Finding]:
    parts = _split(push.reference)
    if _LOCAL.fullmatch(parts.registry):
        return
    asked = [(Rule.REGISTRY, _registry), (Rule.NAME, _name), (Rule.TAG, _tag)]
    for (rule, question), part in zip(asked, parts, strict=False):
        if rule is not Rule.TAG or not push.by_digest:
            is_held = push.judged and rule is not Rule.NAME
            answer = _OK if is_held else _combined(question, push.reference)
            yield _finding(push, rule, answer, push.reference, part)
    yield from _without_login(push, known)


def _without_login(fact: Fact, known: list[Fact]) -> Iterator[Finding]:
    """Yield findings about a push in a job in which no login is seen."""
    before = itertools.takewhile(lambda one: one != fact, known)
    if not any(isinstance(one, Login) and one.job == fact.job for one in before):
        yield from _doubts(fact, (Rule.CREDENTIALS, Rule.LOGIN), "no login is seen before it")


def _registry(reference: str) -> Answer:
    return _only(_split(reference).registry, "is pushed to")


def _only(registry: str, how: str) -> Answer:
    if registry == convention.REGISTRY:
        return _OK
    reason = f"it {how} {registry}, and the process has {convention.REGISTRY} alone"
    return Verdict.VIOLATED, reason


def _name(reference: str) -> Answer:
    name, organisation = _split(reference).name, convention.ORGANISATION
    owner, _, stack = name.partition("/")
    if owner != organisation or not stack or "/" in stack or name != name.lower():
        return Verdict.VIOLATED, f"{name} is not {organisation}/<stack> in lower case"
    if stack not in _STACK_NAMES:
        return Verdict.CANNOT_TELL, f"{stack} is not in the table of stacks"
    return _OK


def _tag(reference: str) -> Answer:
    parts, staging = _split(reference), convention.STAGING
    if (parts.digest and not parts.tag) or _follows(parts.tag):
        return _OK
    if parts.tag == staging:
        return Verdict.CANNOT_TELL, f"{staging} is the helper's tag: write it with the helper alone"
    return Verdict.VIOLATED, f"the tag {parts.tag!r} is none of vX.Y.Z, main and dev"


def _follows(tag: str) -> bool:
    """Whether a tag is one of the convention."""
    try:
        return tag in set(convention.MovingTag) or bool(convention.parse_release(tag))
    except RuleBroken:
        return False


def _login(login: Login, known: list[Fact]) -> Iterator[Finding]:
    if _LOCAL.fullmatch(_host(login.registry)):
        return
    doubts = [one for one in known if isinstance(one, model.Doubt)]
    pushes = [one for one in known if isinstance(one, Push)]
    if login.how is not model.How.BUILD:
        anywhere = bool(pushes) or any(Rule.TAG in one.rules for one in doubts)
        answer = _combined(_login_registry, login.registry)
        if not anywhere and answer[0] is Verdict.VIOLATED:
            answer = (Verdict.CANNOT_TELL, f"{answer[1]}; but nothing is pushed: is it for pulls?")
        if anywhere or answer[0] is not Verdict.OK:
            yield _finding(login, Rule.REGISTRY, answer, login.registry or _HUB)
        if any(one.job == login.job for one in [*pushes, *doubts]):
            for text, wanted in zip((login.username, login.password), _WANTED, strict=True):
                yield _finding(login, Rule.CREDENTIALS, _credential(text, wanted), text)
    used = {one.workflow for one in known if isinstance(one, Push | model.Doubt | model.Read)}
    if login.workflow not in used:
        reason = "nothing is seen that needs this login: it may push"
        yield from _doubts(login, (Rule.NAME, Rule.TAG), reason)
    how = f"the password is in {login.how}: others can read it there"
    is_safe = login.how is model.How.SAFE
    yield _finding(login, Rule.LOGIN, _OK if is_safe else (Verdict.VIOLATED, how), login.password)


def _login_registry(text: str) -> Answer:
    return _only(_host(text), "logs in at")


def _host(text: str) -> str:
    """Return the registry of a login's address; empty is Docker Hub."""
    bare = re.sub(r"^https?://", "", text.strip()).partition("/")[0]
    return _HUB if bare in _HUBS else bare


def _credential(text: str, wanted: str) -> Answer:
    """Judge a user name or a password: it must be the secret of that name, and nothing else."""
    answers = {_one_credential(one, wanted) for one in expand(text, opened=False)}
    return min(answers, key=lambda answer: list(Verdict).index(answer[0]))


def _one_credential(text: str, wanted: str) -> Answer:
    inner = holes(text)
    if not inner:
        return Verdict.VIOLATED, f"{text!r} is no secret: {wanted} is wanted"
    if inner[0].what == f"secrets.{wanted}" and len(text) == 1:
        return _OK
    if PATTERNS["stolen"].match(inner[0].what):
        return Verdict.VIOLATED, f"{show(text)} is used, and not secrets.{wanted}"
    return Verdict.CANNOT_TELL, f"{show(text)} cannot be seen here; secrets.{wanted} is wanted"


def _is_judged(image: model.Deployed, known: list[Fact]) -> bool:
    """Whether an image is Megalotron's, or one that this repository pushes.

    One whose tag kustomize replaces is judged there.
    """
    name = _split(image.reference)[:2]
    deployed = [one for one in known if isinstance(one, model.Deployed)]
    customised = {_split(one.reference)[:2] for one in deployed if one.kind == "kustomize"}
    if image.kind == "kubernetes" and name in customised:
        return False
    names = (_split(one).name.lower() for one in expand(image.reference, opened=False))
    if any(re.search(rf"(^|\W){convention.ORGANISATION}/", one) for one in names):
        return True
    pushed = {_split(one.reference)[:2] for one in known if isinstance(one, Push)}
    return image.kind != "command" and name in pushed


def _deployed(reference: str) -> Answer:
    parts = _split(reference)
    if parts.digest:
        return _OK
    if parts.tag in set(convention.MovingTag):
        return Verdict.CANNOT_TELL, f"{parts.tag} moves: pin a digest to know what runs"
    if _PLACEHOLDER.fullmatch(parts.tag):
        return Verdict.CANNOT_TELL, f"{parts.tag} is replaced before it runs"
    if _follows(parts.tag):
        return _OK
    return Verdict.VIOLATED, f"the tag {parts.tag!r} moves, or is none of the convention"
