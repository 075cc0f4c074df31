"""Findings as people and programs read them."""

import contextlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from functools import cache
from typing import Any

from megalotron_images.audit.model import AGAINST, CALLED, Finding, Rule, Verdict
from megalotron_images.audit.yaml_files import Folder, Unreadable

_COMMENT = re.compile(r"(^|^.*?\s)(?:#|//)\s*megalotron-images:\s*ignore\[([\w, ]+)\]\s*(.*\S)")
_MOST_LINES = 5_000
_KINDS = {Verdict.VIOLATED: "error", Verdict.CANNOT_TELL: "warning"}


def excused(findings: Iterable[Finding], folder: Folder) -> Iterator[Finding]:
    """Yield findings, those that a comment excuses with its reason.

    A comment at the end of a line excuses that line; one on a line of its own the block below it,
    and before a file's first line the file: where a value is defined, or where it is used. A
    comment without a reason excuses nothing. One of `tag` excuses `event` too: a tag that is not of
    the convention is wrong on any event.
    """
    excuses = cache(lambda file: list(_excuses(folder, file)))
    for one in findings:
        names = {one.rule, "tag"} if one.rule is Rule.EVENT else {one.rule}
        reasons = [
            reason
            for file, line in ((one.file, one.line), (one.use_file, one.use_line))
            for rules, lines, reason in excuses(file)
            if one.verdict in AGAINST and line in lines and names & {*rules}
        ]
        yield replace(one, ignored="".join(reasons[:1]))


def _excuses(folder: Folder, name: str) -> Iterator[tuple[list[str], range, str]]:
    """Yield the rules and the lines that each comment of a file excuses, and its reason."""
    with contextlib.suppress(Unreadable):
        lines = folder.text(name).splitlines()[:_MOST_LINES]
        for at, line in enumerate(lines, 1):
            if "megalotron-images" in line and (match := _COMMENT.match(line)):
                covered = range(at, at + 1) if match[1].strip() else _below(lines, at)
                yield re.split(r"[,\s]+", match[2]), covered, match[3]


def _below(lines: list[str], at: int) -> range:
    """Return the lines of the block below a comment."""
    starts = ((n, re.match(r"\s*[^\s#]", one)) for n, one in enumerate(lines, 1))
    depths = [(n, start.end()) for n, start in starts if start]
    if not depths or at < depths[0][0]:
        return range(1, len(lines) + 1)
    (start, depth), *rest = [one for one in depths if one[0] > at] or [(at, 0)]
    return range(start, next((n for n, one in rest if one <= depth), len(lines) + 1))


def _worst(findings: Iterable[Finding]) -> Verdict:
    """Return the worst verdict of findings; `ok` where all that is against it is excused."""
    verdicts = {Verdict.OK if one.ignored else one.verdict for one in findings}
    return next((one for one in Verdict if one in verdicts), Verdict.NOTHING)


def status(findings: list[Finding]) -> int:
    """Return the exit status: 1 if a rule is violated, else 3 if it cannot tell, else 0."""
    return {Verdict.VIOLATED: 1, Verdict.CANNOT_TELL: 3}.get(_worst(findings), 0)


def verdicts(findings: list[Finding]) -> dict[str, str]:
    """Return each rule's verdict."""
    return {str(rule): str(_worst(one for one in findings if one.rule is rule)) for rule in Rule}


def data(findings: list[Finding]) -> dict[str, Any]:
    """Return findings for programs."""
    return {"rules": verdicts(findings), "findings": [asdict(one) for one in findings]}


def text(findings: list[Finding]) -> str:
    """Return findings for people: a line for each rule, below them what is wrong or unknown."""
    groups, tags = _grouped(findings), [one for one in findings if one.rule is Rule.TAG]
    if not groups and {one.value for one in tags} == {CALLED}:
        one = tags[0]
        return f"All is well: {one.file}:{one.line} calls {CALLED}, and nothing else pushes."
    lines = [f"{rule:<12} {verdict}" for rule, verdict in verdicts(findings).items()]
    for one, rules in groups.items():
        lines.append("  " + _line(one, rules, re.sub(r":\n[^\0]*\n", ", ", one.fix)))
    calls = [one.fix.split("\n")[1:-1] for one in groups if "\n" in one.fix and not one.ignored]
    call = [f"The lines that call {CALLED}:", *calls[0]] if calls else []
    return "\n".join([*lines, *_counted(groups), *call])


def _counted(groups: Iterable[Finding]) -> list[str]:
    count = sum(not one.is_followed and not one.ignored for one in groups)
    return [f"Places that are not followed, and may push or deploy: {count}."] if count else []


def _grouped(findings: list[Finding]) -> dict[Finding, list[str]]:
    """Return what is wrong or unknown, each once, with the rules that it is about."""
    groups: dict[Finding, list[str]] = {}
    for one in findings:
        if one.verdict in AGAINST:
            alike = one if one.is_followed else replace(one, rule=Rule.TAG)
            groups.setdefault(alike, []).append(one.rule)
    return groups


def _line(one: Finding, rules: list[str], fix: str) -> str:
    is_apart = (one.file, one.line) != (one.use_file, one.use_line)
    used = f" (used in {one.use_file}:{one.use_line})" if is_apart else ""
    value = f" {one.value}:" if one.value else ""
    where = f"{one.file}:{one.line}{used}: [{', '.join(rules)}]{value}"
    if one.ignored:
        return f"{where} ignored ({one.reason}): {one.ignored}"
    return f"{where} {one.verdict}: {one.reason}. To fix it: {fix}."


def annotations(findings: list[Finding]) -> str:
    """Return findings as GitHub's workflow commands, which it shows beside the lines."""
    groups = _grouped(findings)
    lines = [
        f"::{'notice' if one.ignored else _KINDS[one.verdict]} file={_escaped(one.file, ':,')},"
        f"line={one.line or 1},title={_escaped(', '.join(rules), ':,')}::"
        f"{_escaped(_line(one, rules, one.fix))}"
        for one, rules in groups.items()
    ]
    return "\n".join([*lines, *(f"::notice title=audit::{one}" for one in _counted(groups))])


def _escaped(text: str, more: str = "") -> str:
    return re.sub(rf"[%\r\n{more}]", lambda one: f"%{ord(one[0]):02X}", text)
