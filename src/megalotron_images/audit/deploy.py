"""Images that the repository runs: in compose files and Kubernetes' objects; others are doubts."""

import re
from collections.abc import Iterator
from typing import Any

from megalotron_images.audit.mentions import PATTERNS
from megalotron_images.audit.model import Deployed, Doubt, Fact, Place, Rule
from megalotron_images.audit.values import LONGEST, unknown
from megalotron_images.audit.yaml_files import Folder, Map, Seq, Unreadable, as_map

_VARIABLE = re.compile(r"\$\{\w+:?-([^{}]*)\}|\$\{[^}]*\}|\$\w+|\{\{.*?\}\}")
_NOT_FOLLOWED = "it names an image of Megalotron, and files of this kind are not followed"


def follow(folder: Folder) -> Iterator[Fact]:
    """Yield the images that the folder's files run; a line that is not read is a doubt."""
    names = [one for one in folder.names() if PATTERNS["deployments"].fullmatch(one)]
    has_env = any(one.rpartition("/")[2] == ".env" for one in names)
    is_replaced = any("kustomization" in one for one in names)
    for name in names:
        found, text = list[Fact](), ""
        try:
            text = folder.text(name)
            if name.endswith((".yml", ".yaml")) and re.search(r"image\b", text):
                for document in folder.documents(name):
                    found += _images(document, name, has_env, is_replaced)
        except Unreadable as error:
            if "megalotron" in text.lower():
                yield Doubt(Place(name, 1), "", name, str(error), (Rule.DEPLOY,))
        yield from found
        read = {one.use.line for one in found}
        for number, line in enumerate(text.splitlines(), 1):
            is_ours = (
                "megalotron/" in line if len(line) > LONGEST else PATTERNS["ours"].search(line)
            )
            if is_ours and number not in read and line.strip()[:1] != "#":
                words = line.strip()[:100]
                yield Doubt(Place(name, number), "", words, _NOT_FOLLOWED, (Rule.DEPLOY,))


def _images(document: Map, name: str, has_env: bool, is_replaced: bool) -> Iterator[Fact]:
    """Yield the images of a compose file's services, or of a Kubernetes object."""
    is_object = "kind" in document
    nodes = _below(document) if is_object else map(as_map, document.below("services").values())
    for node in nodes:
        if isinstance(node.get("image"), str):

            def value(one: re.Match[str]) -> str:
                return unknown(one[0]) if one[1] is None or has_env else one[1]

            image = _VARIABLE.sub(value, node["image"].strip().replace("$$", "$"))
            place = Place(name, node.lines["image"])
            yield Deployed(place, "", image, "build" in node, is_object and is_replaced)


def _below(node: Any) -> Iterator[Map]:
    if isinstance(node, Map):
        yield node
    for value in node.values() if isinstance(node, Map) else node if isinstance(node, Seq) else ():
        yield from _below(value)
