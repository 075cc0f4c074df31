"""Findings as lines or JSON, for the verbs that check something."""

from collections.abc import Iterable
from dataclasses import asdict

from megalotron_images import output
from megalotron_images.plan import Finding, Verdict
from megalotron_images.terminal import write


def print_findings(found: Iterable[Finding], as_json: bool) -> int:
    """Print findings, each as it comes, or all as JSON; return the exit status.

    0 if all are fine, 1 if one is not, 3 if one is unknown.
    """
    known: list[Finding] = []
    for one in found:
        known.append(one)
        if not as_json:
            write(f"{one.verdict:<3} {one.about:<9} {one.text}")
    if as_json:
        output.answer("", [asdict(one) for one in known], as_json)
    verdicts = {finding.verdict for finding in known}
    return 1 if Verdict.NO in verdicts else 3 if Verdict.UNKNOWN in verdicts else 0
