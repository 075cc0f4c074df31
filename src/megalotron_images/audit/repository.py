"""A repository's audit: its workflows, the files of other systems, and the images that it runs."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from megalotron_images.audit import mentions, report, rules, workflow
from megalotron_images.audit.mentions import PATTERNS
from megalotron_images.audit.model import Audit, Finding, Place, Rule
from megalotron_images.audit.values import LONGEST, unknown
from megalotron_images.audit.yaml_files import Folder, Map, Text, Unreadable
from megalotron_images.errors import CannotTell

_FILE = 20
"""What a file, or a line that deploys, costs, in characters."""


def audit(root: Path, repository: str = "") -> list[Finding]:
    """Return the findings of all rules about the repository in a folder; no network.

    repository: what `${{ github.repository }}` is; unknown if empty.
    Raises CannotTell where there is no such folder.
    """
    if not root.is_dir():
        raise CannotTell(f"There is no folder {root}: give the folder of a repository.")
    found = Audit(Folder(root), repository)
    for name in found.folder.names:
        try:
            if PATTERNS["workflows"].fullmatch(name) and found.spend(_FILE, Place(name, 1)):
                workflow.follow(found, name)
            elif PATTERNS["machines"].fullmatch(name):
                for _, line, words in mentions.spoken(found.folder, [name]):
                    found.doubt(Place(name, line), words, "only GitHub's workflows are followed")
        except (Unreadable, re.error) as error:
            found.doubt(Place(name, 1), name, str(error))
    names = [one for one in found.folder.names if PATTERNS["deployments"].fullmatch(one)]
    is_replaced = any("kustomization" in one for one in names)
    for name in names:
        _deploys(found, name, is_replaced)
    return list(report.excused(rules.ranked(found), found.folder))


def _deploys(audit: Audit, name: str, is_replaced: bool) -> None:
    """Judge the images that a file runs; a line that is not read is a doubt.

    is_replaced: kustomize may set other tags.
    """
    read, text = set[int](), ""
    try:
        text = audit.folder.text(name)
        is_read = name.endswith((".yml", ".yaml")) and re.search(r"image\b", text)
        for document in audit.folder.documents(name) if is_read else ():
            for node in _running(document):
                image = PATTERNS["replaced"].sub(lambda one: unknown(one[0]), node["image"].strip())
                image += unknown("what kustomize sets") * (is_replaced and "kind" in document)
                rules.deployed(audit, image, Place(name, node["image"].line), "build" in node)
                read.add(node["image"].line)
    except Unreadable as error:
        if "megalotron" in text.lower():
            audit.doubt(Place(name, 1), name, str(error), (Rule.DEPLOY,))
    for number, line in enumerate(text.splitlines(), 1):
        is_ours = PATTERNS["ours"].search(line[:LONGEST]) or "megalotron/" in line[LONGEST:]
        place = Place(name, number)
        if is_ours and number not in read and line.strip()[:1] != "#" and audit.spend(_FILE, place):
            audit.doubt(place, line, "files of this kind are not followed", (Rule.DEPLOY,))


def _running(document: Map) -> Iterator[Map]:
    """Yield what has an image in a compose file or a Kubernetes object."""
    nodes: list[Any] = [document] if {"kind", "services"} & document.keys() else []
    for node in nodes:  # which grows
        if isinstance(node, Map) and isinstance(node.get("image"), Text):
            yield node
        nodes += node.values() if isinstance(node, Map) else node if isinstance(node, list) else ()
