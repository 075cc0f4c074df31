"""A repository's audit: its files read, its facts judged, its excuses heard."""

import contextlib
import itertools
import re
from pathlib import Path

from megalotron_images.audit import deploy, mentions, report, rules, workflow
from megalotron_images.audit.events import Scenario
from megalotron_images.audit.model import Doubt, Fact, Finding, Place
from megalotron_images.audit.yaml_files import Folder, Unreadable
from megalotron_images.errors import CannotTell

_WORKFLOW = re.compile(r"\.(github|gitea|forgejo)/workflows/[^/]+\.ya?ml")
_MOST_FACTS = 400


def audit(root: Path, repository: str = "") -> list[Finding]:
    """Return the findings of all rules about the repository in a folder; no network.

    repository: what `${{ github.repository }}` is; unknown if empty.
    Raises CannotTell where there is no such folder.
    """
    if not root.is_dir():
        raise CannotTell(f"There is no folder {root}: give the folder of a repository.")
    folder, starts, facts = Folder(root), dict[str, list[Scenario]](), list[Fact]()
    for name in folder.names():
        if len(facts) > _MOST_FACTS:
            facts.append(Doubt(Place(name, 1), "", name, "there is more than can be judged"))
            break
        machine = mentions.machine(name)
        try:
            if _WORKFLOW.fullmatch(name):
                noted, starts[name] = workflow.follow(folder, name, repository)
                facts += noted
            elif machine:
                reason = f"the files of {machine} are not followed"
                spoken = mentions.spoken(folder, [name])
                facts += [Doubt(Place(name, line), "", words, reason) for _, line, words in spoken]
        except Unreadable as error:
            facts.append(Doubt(Place(name, 1), "", name, str(error)))
    facts += itertools.islice(deploy.follow(folder), _MOST_FACTS)
    found = rules.judge(facts, starts, repository)
    return list(report.excused(found, lambda name: _lines(folder, name)))


def _lines(folder: Folder, name: str) -> list[str]:
    with contextlib.suppress(Unreadable):
        return folder.text(name).splitlines() if name else []
    return []
