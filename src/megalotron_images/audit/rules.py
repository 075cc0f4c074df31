"""The rules of the image process, asked of pushes, logins and images. Pure.

References may have unknown parts. Source: the page "Image process", the distribution's grammar,
Docker's rule that a name without a host is Docker Hub's, and `megalotron_images.convention`.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

from megalotron_images import convention
from megalotron_images.audit import model
from megalotron_images.audit.events import UNKNOWN_EVENT, Scenario, When, holds, names
from megalotron_images.audit.mentions import FIX, PATTERNS
from megalotron_images.audit.model import OK, Answer, Audit, Finding, Place, Rule, Value, Verdict
from megalotron_images.audit.values import HOLE, holes, show, unknown
from megalotron_images.errors import RuleBroken

HUB = "docker.io"
OWNED = ("github.repository", "github.repository_owner", "github.event.repository.name")
"""Names that are never a host or a tag."""
_ORDER = [*Rule, *Verdict]
_STACKS = {stack.name for stack in convention.STACKS}
SECRETS = ("REGISTRY_USERNAME", "REGISTRY_TOKEN")
"""The secrets for a login, as user name and password."""


class Push(NamedTuple):
    """A reference to push, which may have unknown parts.

    Attributes:
        named: where its name is defined.
        tagged: where its tag is defined.
        when: what must hold for it to be pushed.
    """

    reference: str
    named: Place
    tagged: Place
    when: When = ()


def split(reference: str) -> tuple[str, str, str, str]:
    """Return a reference's registry, name, tag and digest.

    It need not be a correct one, and may have unknown parts. The tag is `latest` where none is
    written, and empty beside a digest.
    """
    text = re.sub(r"^(docker://|oci://|https?://)", "", reference.strip().strip("\"'"))
    path, _, digest = text.partition("@")
    first, slash, rest = path.partition("/")
    start = "".join(holes(first[:1]))
    is_owner = not start or start in OWNED or bool(PATTERNS["hub_user"].search(start))
    is_host = bool(slash) and bool(re.search(r"[.:]|^localhost$", first))
    is_host = is_host or (len(first) == 1 and not is_owner and "/" in rest)
    registry, path = (first, rest) if is_host else (HUB if is_owner else unknown(start), path)
    name, colon, tag = path.partition(":")
    end = "".join(holes(name[-1:]))
    missing = unknown("its tag") if end and end not in OWNED else "latest"
    return registry, name, tag if colon else "" if digest else missing, digest


def depends(text: str) -> Answer:
    """Return that the answer is unknown, and what it depends on."""
    return Verdict.CANNOT_TELL, f"it depends on {', '.join(map(show, HOLE.findall(text)))}"


def registry(name: str) -> Answer:
    """Judge a registry."""
    wrong = (Verdict.VIOLATED, f"the process uses only {convention.REGISTRY}")
    return OK if name == convention.REGISTRY else depends(name) if holes(name) else wrong


def _name(text: str) -> Answer:
    """Judge an image's name below its registry."""
    whole = text.replace(unknown("github.repository"), f"{unknown('owner')}/{unknown('name')}")
    owner, _, last = whole.partition("/")
    is_owner = owner == convention.ORGANISATION or HOLE.search(owner)
    if not is_owner or "/" in last or text != text.lower():
        wrong = f"{show(text)} is not {convention.ORGANISATION}/<stack> in lower case"
        return Verdict.VIOLATED, wrong
    answer = stack(last or owner)
    return depends(text) if holes(text) and answer[0] is not Verdict.VIOLATED else answer


def stack(text: str) -> Answer:
    """Judge a stack's name; the nearest one is in the reason."""
    wrong = _broken(convention.parse_stack, text)
    return depends(text) if holes(text) else (Verdict.VIOLATED, wrong) if wrong else OK


def tag(text: str) -> Answer:
    """Judge a tag, for whatever its unknown parts may be."""
    tried = text
    for what in filter(PATTERNS["hashes"].fullmatch, holes(text)):
        tried = tried.replace(unknown(what), "1a2b3c4")
    start = HOLE.split(tried)[0]
    could = start[:1] == "v" or any(one.startswith(start) for one in convention.MovingTag)
    could = could and not re.search(r"[^\w.-]", HOLE.sub("", tried))
    if not (could if holes(tried) else not _broken(convention.parse_tag, tried)):
        return Verdict.VIOLATED, f"the tag {show(text)!r} is not vX.Y.Z, main or dev"
    return depends(text) if holes(text) else OK


def _broken(parse: Callable[[str], object], text: str) -> str:
    """Return which rule of the convention a text breaks; empty for none."""
    try:
        parse(text)
    except RuleBroken as error:
        return str(error).rstrip(".")
    return ""


def push(audit: Audit, one: Push, use: Place, starts: list[Scenario]) -> bool:
    """Judge a push; return whether an event that starts its workflow may let it happen."""
    host, name, written, _ = split(one.reference)
    asked = ((start, holds(one.when, start), _filled(written, start)) for start in starts)
    tags = [each for each in asked if each[1] is not False and (each[2] or not written)]
    if not tags or PATTERNS["local"].fullmatch(host):
        return False
    audit.pushed.add((host, name))
    where = one.reference.removesuffix(f":{written}") if holes(host) else f"{host}/{name}"
    audit.find(Rule.REGISTRY, registry(host), (where, one.named), use)
    audit.find(Rule.NAME, _name(name), (where, one.named), use)
    for rule, question in ((Rule.TAG, _tag), (Rule.EVENT, _event))[not written :]:
        answers = [question(written, *each) for each in tags]
        worst = min(answers, key=lambda answer: _ORDER.index(answer[0]))
        audit.find(rule, worst, (one.reference, one.tagged), use)
    return True


def _filled(text: str, scenario: Scenario) -> str:
    """Return a tag in a scenario; empty where docker/metadata-action makes none."""
    known = names(scenario) if scenario.event != UNKNOWN_EVENT else {}
    for name in {*holes(text)} & known.keys():
        text = text.replace(unknown(name), known[name]) if known[name] else ""
    return text


def _tag(written: str, scenario: Scenario, is_pushed: bool | None, text: str) -> Answer:
    """Judge a tag in a scenario; one that differs between them only where it is certain."""
    verdict, reason = tag(text)
    if text != written and reason:
        reason += f" (on {scenario.event} of {scenario.ref})"
        is_certain = is_pushed and (scenario.is_certain or tag(written)[0] is verdict)
        verdict = verdict if is_certain else Verdict.CANNOT_TELL
    return verdict, reason


def _event(written: str, scenario: Scenario, is_pushed: bool | None, text: str) -> Answer:
    """Compare what is pushed in a scenario with what the process writes there."""
    if scenario.event == UNKNOWN_EVENT:
        return Verdict.CANNOT_TELL, "which events start the workflow depends on its callers"
    wanted, what = scenario.writes, show(text) or "a digest"
    if wanted and text in ("", str(wanted)):
        return OK
    where = f"on {scenario.event} of {scenario.ref}"
    reason = f"{where} the process writes {wanted or 'nothing'}, and this pushes {what}"
    is_wrong = not wanted or not holes(text) or tag(text)[0] is Verdict.VIOLATED
    is_judged = scenario.is_certain or scenario.event not in convention.WRITING_EVENTS
    if is_wrong and is_pushed and is_judged:
        return Verdict.VIOLATED, reason
    return Verdict.CANNOT_TELL, f"{reason}, if it runs there"


def credentials(audit: Audit, given: Iterable[Value], use: Place) -> None:
    """Judge user name and password: each must be the secret of that name, and nothing else."""
    for (text, place), wanted in zip(given, SECRETS, strict=True):
        inner = "".join(holes(text)[:1])
        is_known = not inner or re.fullmatch(r"(secrets|github|vars)\.[\w.]+", inner)
        wrong = Verdict.VIOLATED if is_known else Verdict.CANNOT_TELL
        reason = f"{show(text)!r} is used instead of secrets.{wanted}"
        answer = OK if text == unknown(f"secrets.{wanted}") else (wrong, reason)
        audit.find(Rule.CREDENTIALS, answer, (text, place), use)


def deployed(audit: Audit, reference: str, place: Place, is_built: bool) -> None:
    """Judge an image that runs, if it is Megalotron's, or pushed by this repository.

    is_built: the same file says how to build it, so that something else may push it.
    """
    host, name, text, digest = split(reference)
    is_stack = name.rpartition("/")[2] in _STACKS and holes(host + name)
    is_ours = re.search(rf"(^|\W){convention.ORGANISATION}/", name.lower())
    doubts = (one for one in audit.found if one.verdict is Verdict.CANNOT_TELL)
    if is_ours or is_stack or (host, name) in audit.pushed:
        audit.find(Rule.DEPLOY, _running(text, digest), (reference, place), place)
    elif is_built and any(one.rule in model.WRITES for one in doubts):
        audit.doubt(place, reference, "what is not followed may push it", (Rule.DEPLOY,))


def _running(text: str, digest: str) -> Answer:
    if text in set(convention.MovingTag) and not digest:
        return Verdict.CANNOT_TELL, f"{text} moves: pin a digest to know what runs"
    if digest or not _broken(convention.parse_tag, text):
        return OK
    if holes(text) or PATTERNS["placeholder"].fullmatch(text):
        return Verdict.CANNOT_TELL, f"{show(text)} is replaced before it runs"
    return Verdict.VIOLATED, f"the tag {text!r} moves, or is not of the convention"


def ranked(audit: Audit) -> Iterator[Finding]:
    """Yield all findings, the worst of each rule first, with how to fix them."""
    call = FIX["call"].replace("STACK", _stack(audit))
    for one in sorted(audit.found, key=lambda one: [*map(_ORDER.index, (one.rule, one.verdict))]):
        fix = call * (one.rule in model.PUSHES) + FIX[one.rule if one.is_followed else "excuse"]
        yield replace(one, fix=fix) if one.verdict in model.AGAINST else one


def _stack(audit: Audit) -> str:
    """Return the stack of this repository, from its name or what it pushes; else a placeholder."""
    for name in (audit.repository.lower(), *sorted(name for _, name in audit.pushed)):
        if near := difflib.get_close_matches(name.rpartition("/")[2], _STACKS, n=1):
            return near[0]
    return "STACK"
