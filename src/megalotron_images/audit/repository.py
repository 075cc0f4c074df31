"""A repository's audit: its files read, its facts judged, its excuses heard."""

import contextlib
import re
from pathlib import Path

from megalotron_images.audit import deploy, mentions, report, rules, workflow
from megalotron_images.audit.events import Scenario
from megalotron_images.audit.model import Doubt, Fact, Finding, Place
from megalotron_images.audit.yaml_files import Folder, Unreadable
from megalotron_images.errors import CannotTell

_WORKFLOW = re.compile(r"\.(github|gitea|forgejo)/workflows/[^/]+\.ya?ml")
_MOST_FACTS = 2_000


def audit(root: Path, repository: str = "") -> list[Finding]:
    """Return the findings of all rules about the repository in a folder; no network.

    repository: what `${{ github.repository }}` is; unknown if empty.
    Raises CannotTell where there is no such folder.
    """
    if not root.is_dir():
        raise CannotTell(f"There is no folder {root}: give the folder of a repository.")
    folder, starts = Folder(root), dict[str, list[Scenario]]()
    facts = list[Fact]()
    for name in folder.names():
        if len(facts) > _MOST_FACTS:
            facts.append(Doubt(Place(name, 1), "", name, "there is too much to judge"))
            break
        facts += _file(folder, name, repository, starts)
    facts += deploy.follow(folder)
    found = rules.judge(facts, starts, repository)
    return list(report.excused(found, lambda name: _lines(folder, name)))


def _file(
    folder: Folder, name: str, repository: str, starts: dict[str, list[Scenario]]
) -> list[Fact]:
    """Return the facts of a file that may push; one that cannot be read is a doubt."""
    try:
        if _WORKFLOW.fullmatch(name):
            found = workflow.follow(folder, name, repository)
            starts[name] = found.starts
            return found.facts
        if machine := mentions.machine(name):
            reason = f"{machine}'s files are not followed"
            spoken = mentions.spoken(folder, name)
            return [Doubt(Place(name, line), "", words, reason) for _, line, words in spoken]
    except Unreadable as error:
        return [Doubt(Place(name, 1), "", name, str(error))]
    return []


def _lines(folder: Folder, name: str) -> list[str]:
    with contextlib.suppress(Unreadable):
        return folder.text(name).splitlines() if name else []
    return []
