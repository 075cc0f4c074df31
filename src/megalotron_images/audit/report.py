"""Findings as people and programs read them."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace
from functools import cache
from itertools import dropwhile
from typing import Any

from megalotron_images.audit.model import CALLED, Finding, Rule, Verdict, verdict_of

_COMMENT = re.compile(r"(^|^.*?\s)(?:#|//)\s*megalotron-images:\s*ignore\[([\w, ]+)\][ \t]*(.*)$")


def excused(findings: Iterable[Finding], lines_of: Callable[[str], list[str]]) -> Iterator[Finding]:
    """Yield findings, those that a comment excuses with its reason.

    A comment at the end of a line excuses that line; one on a line of its own the block below it,
    and before a file's first line the file: where a value is defined, or where it is used. A
    comment without a reason excuses nothing. One of `tag` excuses `event` too: what is no tag of
    the convention is right on no event.
    """
    excuses = cache(lambda file: list(_excuses(lines_of(file))))
    for one in findings:
        places = ((one.file, one.line), (one.use_file, one.use_line))
        found = ((line, *excuse) for file, line in places for excuse in excuses(file))
        names = {one.rule, "tag"} if one.rule is Rule.EVENT else {one.rule}
        reasons = [why for line, rules, on, why in found if names & {*rules} and line in on]
        is_wrong = one.verdict in (Verdict.VIOLATED, Verdict.CANNOT_TELL)
        yield replace(one, ignored=reasons[0]) if reasons and is_wrong else one


def _excuses(lines: list[str]) -> Iterator[tuple[list[str], set[int], str]]:
    """Yield the rules and the lines that each comment excuses, and its reason."""
    for at, line in enumerate(lines, 1):
        match = _COMMENT.match(line) if "megalotron-images" in line else None
        if match and match[3].strip():
            covered = {at} if match[1].strip() else _below(lines, at)
            yield re.split(r"[,\s]+", match[2]), covered, match[3].strip()


def _below(lines: list[str], at: int) -> set[int]:
    """Return the lines of the block below a comment."""
    if not any(one.strip() and one.lstrip()[0] != "#" for one in lines[: at - 1]):
        return set(range(1, len(lines) + 1))
    rest = [(n, one) for n, one in enumerate(lines[at:], at + 1) if one.strip()]
    block = list(dropwhile(lambda held: held[1].lstrip()[0] == "#", rest)) or [(at, "")]
    (start, first), *others = block
    end = next((n for n, one in others if _depth(one) <= _depth(first)), len(lines) + 1)
    return set(range(start, end))


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())


def status(findings: list[Finding]) -> int:
    """Return the exit status: 1 if a rule is violated, else 3 if it cannot be told, else 0."""
    return {Verdict.VIOLATED: 1, Verdict.CANNOT_TELL: 3}.get(verdict_of(findings), 0)


def verdicts(findings: list[Finding]) -> dict[str, str]:
    """Return each rule's verdict; `ok` where all that is against it is excused."""
    found = {}
    for rule in Rule:
        own = [one for one in findings if one.rule is rule]
        worst = verdict_of(own)
        is_excused = worst is Verdict.NOTHING and any(one.ignored for one in own)
        found[str(rule)] = str(Verdict.OK if is_excused else worst)
    return found


def data(findings: list[Finding]) -> dict[str, Any]:
    """Return findings for programs."""
    return {"rules": verdicts(findings), "findings": [asdict(one) for one in findings]}


def text(findings: list[Finding]) -> str:
    """Return findings for people: a line for each rule, below them what is not well."""
    groups, tags = _grouped(findings), [one for one in findings if one.rule is Rule.TAG]
    if not groups and {one.value for one in tags} == {CALLED}:
        where = f"{tags[0].file}:{tags[0].line}"
        return f"All is well: {where} calls {CALLED}, and nothing else pushes."
    lines = [f"{rule:<12} {verdict}" for rule, verdict in verdicts(findings).items()]
    lines += [f"  {_line(one, rules)}" for one, rules in groups.items()]
    calls = [_call(one) for one in groups if _call(one)]
    call = ["The lines that call publish-image.yml:" + calls[0]] if calls else []
    return "\n".join([*lines, *_counted(groups), *call])


def _counted(groups: Iterable[Finding]) -> list[str]:
    count = sum(not one.is_followed and not one.ignored for one in groups)
    places = "1 place is" if count == 1 else f"{count} places are"
    return [f"{places} not followed: each may push or deploy."] if count else []


def _grouped(findings: list[Finding]) -> dict[Finding, list[str]]:
    """Return what is not well, each once, with the rules that it is about."""
    groups: dict[Finding, list[str]] = {}
    for one in findings:
        if one.verdict in (Verdict.VIOLATED, Verdict.CANNOT_TELL):
            alike = one if one.is_followed else replace(one, rule=Rule.TAG)
            groups.setdefault(alike, []).append(one.rule)
    return groups


def _line(one: Finding, rules: list[str]) -> str:
    is_apart = (one.file, one.line) != (one.use_file, one.use_line)
    used = f" (used in {one.use_file}:{one.use_line})" if is_apart else ""
    value = f" {one.value}:" if one.value else ""
    where = f"{one.file}:{one.line}{used}: [{', '.join(rules)}]{value}"
    if one.ignored:
        return f"{where} ignored ({one.reason}): {one.ignored}"
    rows = one.mend.split("\n")
    mend = f"{rows[0].rstrip(':')}, {rows[-1]}" if rows[1:] else rows[0]
    return f"{where} {one.verdict}: {one.reason}. To fix it: {mend}."


def annotations(findings: list[Finding]) -> str:
    """Return findings as GitHub's workflow commands, which it shows beside the lines."""
    kinds = {Verdict.VIOLATED: "error", Verdict.CANNOT_TELL: "warning"}
    groups = _grouped(findings)
    lines = [
        f"::{'notice' if one.ignored else kinds[one.verdict]} file={_escaped(one.file, True)},"
        f"line={one.line or 1},title={_escaped(', '.join(rules), True)}::"
        f"{_escaped(_line(one, rules) + _call(one))}"
        for one, rules in groups.items()
    ]
    return "\n".join([*lines, *(f"::notice title=audit::{one}" for one in _counted(groups))])


def _call(one: Finding) -> str:
    lines = one.mend.split("\n")[1:-1]
    return "\n".join(["", *lines]) if lines and not one.ignored else ""


def _escaped(text: str, is_property: bool = False) -> str:
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text.replace(":", "%3A").replace(",", "%2C") if is_property else text
