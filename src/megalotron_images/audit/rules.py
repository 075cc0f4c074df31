"""The rules of the image process, asked of facts. Pure.

Source: the page "Image process" and `megalotron_images.convention`.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cache

from megalotron_images.audit.knowledge import MEND
from megalotron_images.audit.model import (
    ANY_RULE,
    WRITES,
    Deployed,
    Doubt,
    Fact,
    Finding,
    How,
    Login,
    Place,
    Push,
    Read,
    Rule,
    Verdict,
)
from megalotron_images.audit.references import host, is_correct, is_local, split
from megalotron_images.audit.texts import expand, holes, show
from megalotron_images.convention import (
    ORGANISATION,
    REGISTRY,
    STACKS,
    STAGING,
    MovingTag,
    parse_release,
)
from megalotron_images.errors import RuleBroken

Answer = tuple[Verdict, str]
_OK: Answer = (Verdict.OK, "")
_WANTED = ("REGISTRY_USERNAME", "REGISTRY_TOKEN")
_PLACEHOLDER = re.compile(r"(?!LATEST$)[A-Z][A-Z_]{2,}|__\w+__|.*[$<{#%@].*")
_STACK_NAMES = {stack.name for stack in STACKS}
_MEND = {Rule(name): text for name, text in MEND.items()}


def judge(facts: Iterable[Fact]) -> list[Finding]:
    """Return the findings of all rules; a rule without facts has one that says so."""
    known = list(dict.fromkeys(facts))
    found = dict.fromkeys(one for fact in known for one in _findings(fact, known))
    order = [*Rule, *Verdict]
    findings = sorted(
        found,
        key=lambda f: (order.index(f.rule), order.index(f.verdict), f.file, f.line, f.use_line),
    )
    judged = {one.rule for one in findings}
    nothing = [
        Finding(rule, Verdict.NOTHING, "", 0, "", 0, "", "there is nothing to judge")
        for rule in Rule
        if rule not in judged
    ]
    return [*findings, *nothing]


def _findings(fact: Fact, known: list[Fact]) -> Iterator[Finding]:
    if isinstance(fact, Push):
        yield from _push(fact, known)
    elif isinstance(fact, Login):
        yield from _login(fact, known)
    elif isinstance(fact, Doubt):
        if fact.rules == WRITES:
            yield from _without_login(fact, known)
        cannot = (Verdict.CANNOT_TELL, fact.reason)
        for rule in fact.rules:
            mend = _MEND[rule] if rule is Rule.DEPLOY else ANY_RULE
            yield replace(_finding(fact, rule, cannot, ""), mend=mend)
    elif isinstance(fact, Deployed) and _is_judged(fact, known):
        answer = _combined(_deployed, fact.reference)
        yield _finding(fact, Rule.DEPLOY, answer, fact.reference)


def _finding(fact: Fact, rule: Rule, answer: Answer, value: str, part: str = "") -> Finding:
    place = _origin(fact, value, part or value)
    mend = _MEND[rule] if answer[0] in (Verdict.VIOLATED, Verdict.CANNOT_TELL) else ""
    use = (fact.use.file, fact.use.line)
    return Finding(rule, answer[0], place.file, place.line, *use, show(value), answer[1], mend)


def _origin(fact: Fact, value: str, part: str) -> Place:
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


def _combined(question: Callable[[str], Answer], text: str) -> Answer:
    """Return the answer for all that a text may be: violated only if no expansion is ok."""
    expansions = expand(text)
    correct = [one for one in expansions if is_correct(one)]
    answers = [question(one) for one in correct or expansions]
    verdicts = {verdict for verdict, _ in answers}
    if len(verdicts) == 1:
        return answers[0]
    if question is _name and Verdict.OK not in verdicts:
        return next(answer for answer in answers if answer[0] is Verdict.VIOLATED)
    what = ", ".join(dict.fromkeys(hole.what for hole in holes(text)))
    return Verdict.CANNOT_TELL, f"it depends on {what[:200]}"


@cache
def _answers(reference: str, by_digest: bool) -> dict[Rule, Answer]:
    """Return what the rules about references say of one."""
    found = {Rule.REGISTRY: _combined(_registry, reference), Rule.NAME: _combined(_name, reference)}
    if not by_digest:
        found[Rule.TAG] = _combined(_tag, reference)
    return found


def _push(push: Push, known: list[Fact]) -> Iterator[Finding]:
    parts = split(push.reference)
    if is_local(parts.registry):
        return
    about = {Rule.REGISTRY: parts.registry, Rule.NAME: parts.name, Rule.TAG: parts.tag}
    for rule, answer in _answers(push.reference, push.by_digest).items():
        is_held = push.judged and rule is not Rule.NAME
        found = _finding(push, rule, _OK if is_held else answer, push.reference, about[rule])
        bare = show(f"{parts.registry}/{parts.name}")
        yield found if rule is Rule.TAG else replace(found, value=bare)
    yield from _without_login(push, known)


def _without_login(fact: Fact, known: list[Fact]) -> Iterator[Finding]:
    """Yield findings about a push in a job in which no login is seen."""
    if not any(isinstance(one, Login) and one.job == fact.job for one in known):
        for rule in (Rule.CREDENTIALS, Rule.LOGIN):
            cannot = (Verdict.CANNOT_TELL, "no login is seen before it")
            yield replace(_finding(fact, rule, cannot, ""), mend=ANY_RULE)


def _registry(reference: str) -> Answer:
    return _only(split(reference).registry, "is pushed to")


def _only(registry: str, how: str) -> Answer:
    if registry == REGISTRY:
        return _OK
    return Verdict.VIOLATED, f"it {how} {registry}, and the process has {REGISTRY} alone"


def _name(reference: str) -> Answer:
    name = split(reference).name
    owner, _, stack = name.partition("/")
    if owner != ORGANISATION or not stack or "/" in stack or name != name.lower():
        return Verdict.VIOLATED, f"{name} is not {ORGANISATION}/<stack> in lower case"
    if stack not in _STACK_NAMES:
        return Verdict.CANNOT_TELL, f"{stack} is not in the table of stacks"
    return _OK


def _tag(reference: str) -> Answer:
    parts = split(reference)
    if parts.digest and not parts.tag:
        return _OK
    if parts.tag in set(MovingTag):
        return _OK
    if parts.tag == STAGING:
        return Verdict.CANNOT_TELL, f"{STAGING} is the helper's tag: write it with the helper alone"
    try:
        parse_release(parts.tag)
    except RuleBroken:
        return Verdict.VIOLATED, f"the tag {parts.tag!r} is none of vX.Y.Z, main and dev"
    return _OK


def _login(login: Login, known: list[Fact]) -> Iterator[Finding]:
    pushes = any(isinstance(one, Push | Doubt) and one.job == login.job for one in known)
    anywhere = any(
        isinstance(one, Push) or (isinstance(one, Doubt) and Rule.TAG in one.rules) for one in known
    )
    if is_local(host(login.registry)):
        return
    if login.how is not How.BUILD:
        answer = _combined(_login_registry, login.registry)
        if not anywhere and answer[0] is Verdict.VIOLATED:
            answer = (Verdict.CANNOT_TELL, f"{answer[1]}; but nothing is pushed: is it for pulls?")
        if anywhere or answer[0] is not Verdict.OK:
            yield _finding(login, Rule.REGISTRY, answer, login.registry or "docker.io")
    if pushes and login.how is not How.BUILD:
        for text, wanted in zip((login.username, login.password), _WANTED, strict=True):
            yield _finding(login, Rule.CREDENTIALS, _credential(text, wanted), text)
    used = {one.workflow for one in known if isinstance(one, Push | Doubt | Read)}
    if login.workflow not in used:
        cannot = (Verdict.CANNOT_TELL, "nothing is seen that needs this login: it may push")
        for rule in (Rule.NAME, Rule.TAG):
            yield replace(_finding(login, rule, cannot, ""), mend=ANY_RULE)
    yield _finding(login, Rule.LOGIN, _how(login.how), login.password)


def _login_registry(text: str) -> Answer:
    return _only(host(text), "logs in at")


def _credential(text: str, wanted: str) -> Answer:
    """Judge a user name or a password: it must be the secret of that name, and nothing else."""
    answers = {_one_credential(one, wanted) for one in expand(text, opened=False)}
    return min(answers, key=lambda answer: list(Verdict).index(answer[0]))


def _one_credential(text: str, wanted: str) -> Answer:
    inner = holes(text)
    if not inner:
        return Verdict.VIOLATED, f"{text!r} is no secret: {wanted} is wanted"
    what = inner[0].what
    if what == f"secrets.{wanted}" and len(text) == 1:
        return _OK
    if re.match(
        r"secrets\.|github\.(actor|token|repository_owner)|\$CI_|\$GITHUB_|a (password|user)", what
    ):
        return Verdict.VIOLATED, f"{show(text)} is used, and not secrets.{wanted}"
    return Verdict.CANNOT_TELL, f"{show(text)} cannot be seen here; secrets.{wanted} is wanted"


def _how(how: How) -> Answer:
    if how is How.SAFE:
        return _OK
    return Verdict.VIOLATED, f"the password is in {how}: others can read it there"


def _is_judged(image: Deployed, known: list[Fact]) -> bool:
    """Whether an image is Megalotron's, or one that this repository pushes.

    One whose tag kustomize replaces is judged there.
    """
    name = split(image.reference)[:2]
    tuned = [one for one in known if isinstance(one, Deployed) and one.kind == "kustomize"]
    customised = {split(one.reference)[:2] for one in tuned}
    if image.kind == "kubernetes" and name in customised:
        return False
    pushed = {split(one.reference)[:2] for one in known if isinstance(one, Push)}
    names = (split(one).name.lower() for one in expand(image.reference, opened=False))
    ours = any(re.search(rf"(^|\W){ORGANISATION}/", one) for one in names)
    return ours or name in pushed


def _deployed(reference: str) -> Answer:
    parts = split(reference)
    if parts.digest:
        return _OK
    if parts.tag in set(MovingTag):
        return Verdict.CANNOT_TELL, f"{parts.tag} moves: pin a digest to know what runs"
    if _PLACEHOLDER.fullmatch(parts.tag):
        return Verdict.CANNOT_TELL, f"{parts.tag} is replaced before it runs"
    try:
        parse_release(parts.tag)
    except RuleBroken:
        return Verdict.VIOLATED, f"the tag {parts.tag!r} moves, or is none of the convention"
    return _OK
