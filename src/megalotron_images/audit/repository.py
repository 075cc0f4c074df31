"""A repository's audit: its files read, its facts judged, its excuses heard."""

import contextlib
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

from megalotron_images.audit import deploy, mentions, report, rules, workflow
from megalotron_images.audit.events import Scenario
from megalotron_images.audit.model import Doubt, Fact, Finding, Place
from megalotron_images.audit.yaml_files import Folder, Unreadable
from megalotron_images.errors import CannotTell

_WORKFLOW = re.compile(r"\.(github|gitea|forgejo)/workflows/[^/]+\.ya?ml")
_MOST_FACTS = 400
_TOO_MUCH = "there is more than can be judged"


def audit(root: Path, repository: str = "") -> list[Finding]:
    """Return the findings of all rules about the repository in a folder; no network.

    repository: what `${{ github.repository }}` is; unknown if empty.
    Raises CannotTell where there is no such folder.
    """
    if not root.is_dir():
        raise CannotTell(f"There is no folder {root}: give the folder of a repository.")
    folder, starts = Folder(root), dict[str, list[Scenario]]()
    facts = list(itertools.islice(_facts(folder, starts, repository), _MOST_FACTS))
    if len(facts) == _MOST_FACTS:
        facts.append(Doubt(facts[-1].use, "", "", _TOO_MUCH))
    facts += itertools.islice(deploy.follow(folder), _MOST_FACTS)
    found = rules.judge(facts, starts, repository)
    return list(report.excused(found, lambda name: _lines(folder, name)))


def _facts(folder: Folder, starts: rules.Starts, repository: str) -> Iterator[Fact]:
    """Yield what workflows and the files of other systems do; note what starts a workflow."""
    for name in folder.names():
        try:
            if _WORKFLOW.fullmatch(name):
                noted, starts[name] = workflow.follow(folder, name, repository)
                yield from noted
            elif machine := mentions.machine(name):
                reason = f"the files of {machine} are not followed"
                for _, line, words in mentions.spoken(folder, [name]):
                    yield Doubt(Place(name, line), "", words, reason)
        except Unreadable as error:
            yield Doubt(Place(name, 1), "", name, str(error))


def _lines(folder: Folder, name: str) -> list[str]:
    with contextlib.suppress(Unreadable):
        return folder.text(name).splitlines() if name else []
    return []
