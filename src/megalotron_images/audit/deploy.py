"""Images that the repository runs: in compose files and Kubernetes' objects; others are doubts."""

import posixpath
import re
from collections.abc import Iterator
from typing import Any

from megalotron_images.audit import mentions
from megalotron_images.audit.model import Deployed, Doubt, Fact, Place, Rule
from megalotron_images.audit.values import unknown
from megalotron_images.audit.yaml_files import Folder, Map, Seq, Unreadable, as_map

_INTERPOLATION = re.compile(r"\$\{(\w+)(?:(:?[-?+])([^{}]*))?\}|\$(\w+)|(\{\{.*?\}\})")
_ENV_LINE = re.compile(
    r"^[ \t]*(?:export[ \t]+)?(\w+)[ \t]*=[ \t]*(?:\"([^\"\n]*)\"|'([^'\n]*)'|([^\n#]*?))[ \t]*(?:#.*)?$",
    re.MULTILINE,
)
_REPLACED = re.compile(r"^\s*-?\s*(newTag|newName|digest)\s*:", re.MULTILINE)
_NOT_FOLLOWED = "it names an image of Megalotron, and files of this kind are not followed"


def follow(folder: Folder) -> list[Fact]:
    """Return the images that the folder's files run."""
    names = [one for one in folder.names() if mentions.may_deploy(one)]
    is_replaced = any(_REPLACED.search(_text(folder, one)) for one in names if "kustom" in one)
    return [fact for name in names for fact in _file(folder, name, is_replaced)]


def _text(folder: Folder, name: str) -> str:
    try:
        return folder.text(name)
    except Unreadable:
        return ""


def _file(folder: Folder, name: str, is_replaced: bool) -> list[Fact]:
    """Return the images of a file; a line that is not read and names one of ours is a doubt."""
    text, found, read = _text(folder, name), list[Fact](), set[int]()
    if re.search(r"\bimage\b|^services\b", text, re.MULTILINE) and name.endswith((".yml", ".yaml")):
        try:
            for document in folder.documents(name):
                is_object = "kind" in document and "images" not in document
                for image, line in _images(document, is_object):
                    whole = _filled(image, _dotenv(folder, posixpath.dirname(name)))
                    found.append(Deployed(Place(name, line), "", whole, is_object and is_replaced))
                    read.add(line)
        except Unreadable as error:
            if "megalotron" in text.lower():
                return [Doubt(Place(name, 1), "", name, str(error), (Rule.DEPLOY,))]
    rows = text.splitlines()
    others = [one for one in mentions.named_images(text) if one not in read]
    anchored = {rows[one - 1].partition("&")[2].split(" ")[0] for one in others}
    for number in others:
        line = rows[number - 1].strip()
        if line[:1] != "#" and not (found and anchored and "&" in line):
            found.append(Doubt(Place(name, number), "", line[:100], _NOT_FOLLOWED, (Rule.DEPLOY,)))
    return found


def _images(document: Map, is_object: bool) -> Iterator[tuple[str, int]]:
    """Yield the images of a compose file's services, or of a Kubernetes object, with their lines."""
    if is_object:
        yield from _below(document)
        return
    services = document.below("services")
    for service in map(as_map, services.values()):
        if isinstance(service.get("image"), str):
            yield service["image"].strip(), service.lines["image"]


def _below(node: Any) -> Iterator[tuple[str, int]]:
    if isinstance(node, Map):
        if isinstance(node.get("image"), str):
            yield node["image"].strip(), node.lines["image"]
        for value in node.values():
            yield from _below(value)
    elif isinstance(node, Seq):
        for value in node:
            yield from _below(value)


def _filled(text: str, variables: dict[str, str]) -> str:
    """Return a text with compose's variables put in, as far as `.env` or a default says them."""

    def value(match: re.Match[str]) -> str:
        name, sign, default = match[1] or match[4], match[2] or "", match[3] or ""
        if match[5] or not name:
            return unknown(match[0])
        if variables.get(name):
            return variables[name]
        return unknown(match[0]) if sign[-1:] != "-" else default

    return _INTERPOLATION.sub(value, text.replace("$$", "$"))


def _dotenv(folder: Folder, below: str) -> dict[str, str]:
    """Return the variables of the file `.env` beside a file, or else of the repository's."""
    for name in (posixpath.join(below, ".env"), ".env"):
        if name in folder.names():
            found = _ENV_LINE.finditer(_text(folder, name))
            return {one[1]: one[2] or one[3] or one[4] or "" for one in found}
    return {}
