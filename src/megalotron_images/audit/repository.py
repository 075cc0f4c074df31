"""A repository's audit: its files read, its facts judged, its excuses heard."""

import contextlib
import re
from pathlib import Path

from megalotron_images.audit import deploy, other_ci, report, rules, workflows
from megalotron_images.audit.model import PUSHES, Doubt, Fact, Finding, Place, Rule
from megalotron_images.audit.yaml_files import Folder, Unreadable
from megalotron_images.errors import CannotTell

_WORKFLOW = re.compile(r"\.(github|gitea|forgejo)/workflows/[^/]+\.ya?ml")


def audit(root: Path, repository: str = "") -> list[Finding]:
    """Return the findings of all rules about the repository in a folder; no network.

    repository: what `${{ github.repository }}` is; unknown if empty.
    Raises CannotTell where there is no such folder.
    """
    if not root.is_dir():
        raise CannotTell(f"There is no folder {root}: give the folder of a repository.")
    folder = Folder(root)
    facts = list[Fact]()
    for name in folder.names():
        _note(folder, name, repository, facts)
    return list(report.excused(rules.judge(facts), lambda name: _lines(folder, name)))


def _note(folder: Folder, name: str, repository: str, facts: list[Fact]) -> None:
    """Note the facts of a file; one that cannot be read is a doubt, where it would count."""
    is_workflow = bool(_WORKFLOW.fullmatch(name))
    machine = other_ci.kind(name)
    try:
        if is_workflow:
            workflows.follow(folder, name, repository, _is_called(folder, name), facts)
        elif machine:
            other_ci.follow(folder, name, facts)
        elif deploy.is_candidate(name):
            facts += deploy.follow(folder, name)
    except Exception as error:  # a file of any form at all; the others are still judged
        is_told = isinstance(error, Unreadable)
        form = "" if is_told else f"its form is not understood: {type(error).__name__}: "
        told = PUSHES if is_workflow or machine or not is_told else (Rule.DEPLOY,)
        facts.append(Doubt(Place(name, 1), name, {}, f"{name}: {form}{error}", told))


def _is_called(folder: Folder, name: str) -> bool:
    """Whether another workflow of the folder calls this one."""
    callers = filter(_WORKFLOW.fullmatch, folder.names())
    lines = (line.partition("#")[0] for one in callers for line in _lines(folder, one))
    return any("uses" in line and f"./{name}" in line for line in lines)


def _lines(folder: Folder, name: str) -> list[str]:
    with contextlib.suppress(Unreadable):
        return folder.text(name).splitlines() if name else []
    return []
