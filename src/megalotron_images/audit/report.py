"""Findings as people and programs read them."""

import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from typing import Any

from megalotron_images.audit.model import ANY_RULE, Finding, Rule, Verdict, verdict_of

_COMMENT = re.compile(r"(^.*?)(?:#|//)\s*megalotron-images:\s*ignore\[([\w, ]+)\][ \t]*(.*)$")


def excused(findings: Iterable[Finding], lines_of: Callable[[str], list[str]]) -> list[Finding]:
    """Return findings, those that a comment in their file excuses with its reason.

    A comment at the end of a line excuses that line; one on a line of its own the block below it,
    and before a file's first line the file. A comment without a reason excuses nothing.
    """
    return [
        replace(
            one,
            ignored=_excuse(one, lines_of)
            if one.verdict in (Verdict.VIOLATED, Verdict.CANNOT_TELL)
            else "",
        )
        for one in findings
    ]


def _excuse(finding: Finding, lines_of: Callable[[str], list[str]]) -> str:
    """Return the reason of a comment where the value is defined or used; empty if there is none."""
    for file, number in ((finding.file, finding.line), (finding.use_file, finding.use_line)):
        lines = lines_of(file)
        for at, line in enumerate(lines, 1):
            match = _COMMENT.match(line)
            if match and finding.rule in re.split(r"[,\s]+", match[2]) and match[3].strip():
                if number in ({at} if match[1].strip() else _below(lines, at)):
                    return match[3].strip()
    return ""


def _below(lines: list[str], at: int) -> set[int]:
    """Return the lines of the block below a comment."""
    if not any(one.strip() and one.lstrip()[0] != "#" for one in lines[: at - 1]):
        return set(range(1, len(lines) + 1))
    start = next((n for n in range(at, len(lines)) if lines[n].strip()[:1] not in ("", "#")), at)
    deep = _depth(lines[start]) if start < len(lines) else 0
    end = next(
        (n for n in range(start + 1, len(lines)) if lines[n].strip() and _depth(lines[n]) <= deep),
        len(lines),
    )
    return set(range(start + 1, end + 1))


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
    lines = [f"{rule:<12} {verdict}" for rule, verdict in verdicts(findings).items()]
    groups: dict[Finding, list[str]] = {}
    for one in findings:
        if one.verdict in (Verdict.VIOLATED, Verdict.CANNOT_TELL):
            alike = replace(one, rule=Rule.TAG) if one.mend == ANY_RULE else one
            groups.setdefault(alike, []).append(one.rule)
    return "\n".join([*lines, *(f"  {_line(one, rules)}" for one, rules in groups.items())])


def _line(one: Finding, rules: list[str]) -> str:
    is_apart = (one.file, one.line) != (one.use_file, one.use_line)
    used = f" (used in {one.use_file}:{one.use_line})" if is_apart else ""
    value = f" {one.value}:" if one.value else ""
    where = f"{one.file}:{one.line}{used}: [{', '.join(rules)}]{value}"
    if one.ignored:
        return f"{where} ignored ({one.reason}): {one.ignored}"
    return f"{where} {one.verdict}: {one.reason}. To mend it: {one.mend}."


def annotations(findings: list[Finding]) -> str:
    """Return findings as GitHub's workflow commands, which it shows beside the lines."""
    kinds = {Verdict.VIOLATED: "error", Verdict.CANNOT_TELL: "warning"}
    return "\n".join(
        f"::{'notice' if one.ignored else kinds[one.verdict]} file={_escaped(one.file, True)},"
        f"line={one.line or 1},title={one.rule}::{_escaped(_line(one, [one.rule]))}"
        for one in findings
        if one.verdict in kinds
    )


def _escaped(text: str, is_property: bool = False) -> str:
    for sign, code in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A")):
        text = text.replace(sign, code)
    return text.replace(":", "%3A").replace(",", "%2C") if is_property else text
