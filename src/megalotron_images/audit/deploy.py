"""Images that the repository runs: compose, Kubernetes, Helm, kustomize, Terraform, Nomad."""

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from megalotron_images.audit.compose import dotenv, interpolated
from megalotron_images.audit.knowledge import PATTERNS
from megalotron_images.audit.model import Deployed, Fact, Place, Rule, Run
from megalotron_images.audit.texts import unknown
from megalotron_images.audit.yaml_files import Folder, Map, Seq, Unreadable, as_map, items, parse

_LOOKS = re.compile("image|repository|newName|newTag", re.IGNORECASE)
_YAML = (".yml", ".yaml")
_HELM = {"tag", "digest", "pullPolicy", "registry", "imageTag", "image_tag"}
"""What Helm's values have beside a repository."""
_OTHERS = (".tpl", ".json", ".tf", ".tfvars", ".nomad", ".hcl", ".container", ".j2")


def is_candidate(name: str) -> bool:
    """Whether a file may say what is run."""
    return name.endswith((*_YAML, *_OTHERS)) and not PATTERNS["apart"].search(name)


def follow(folder: Folder, name: str) -> list[Fact]:
    """Return the images that a file runs; one that is no YAML is read line by line."""
    run, is_yaml = Run(folder, name, {}, Place(name, 1)), name.endswith(_YAML)
    try:
        text = folder.text(name)
        documents = folder.documents(name) if is_yaml and _LOOKS.search(text) else []
    except Unreadable as error:
        text = folder.text(name) if is_yaml else ""
        found = list(_lines(run, text))
        if "megalotron/" in text and not found:
            run.doubt(f"{name}: {error}", (Rule.DEPLOY,))
        return found or run.facts
    variables = dotenv(run, name.rpartition("/")[0])
    for document in documents:
        for reference, line in _images(document):
            whole = interpolated(reference, variables)
            run.facts.append(Deployed(Place(name, line), name, {}, whole, _kind(document)))
    return run.facts if is_yaml else list(_lines(run, text))


def _kind(document: Any) -> str:
    """Return what a document is: `kustomize`, `kubernetes`, or empty for others."""
    if isinstance(as_map(document).get("images"), Seq):
        return "kustomize"
    return "kubernetes" if "kind" in as_map(document) else ""


def _lines(run: Run, text: str) -> Iterator[Fact]:
    """Yield the images of a template, or of a program's own format; a name is one with its host."""
    for match in PATTERNS["image_line"].finditer(text):
        key, image = match[1].lower(), match[2]
        has_host = "." in image.partition("/")[0]
        if "megalotron/" in image and (has_host or not key.endswith("name")):
            whole = re.sub(r"\{\{(.*?)\}\}", lambda one: unknown(one[1].strip()), image)
            place = Place(run.place.file, text[: match.start(2)].count("\n") + 1)
            yield Deployed(place, run.job, {}, interpolated(whole, {}))


def _images(node: Any) -> Iterator[tuple[str, int]]:
    """Yield the references in compose files, Kubernetes' kinds, Helm's values and kustomize's."""
    if isinstance(node, Map):
        yield from _named(node)
        yield from _renamed(node)
    for value, line in items(node):
        if not isinstance(value, str):
            yield from _images(value)
        elif "\n" in value and _LOOKS.search(value):
            with suppress(Unreadable):  # a text that is YAML itself, as in a ConfigMap
                inner = [found for document in parse(value) for found in _images(document)]
                yield from ((one, line + at - 1) for one, at in inner)


def _named(node: Map) -> Iterator[tuple[str, int]]:
    """Yield an image, with the tag beside it."""
    tags = [key for key in node if re.fullmatch("tag|image_?tag", key, re.IGNORECASE)]
    tag = node[tags[0]] if tags and isinstance(node[tags[0]], str) else ""
    for key, image in node.items():
        if not isinstance(image, str) or not image or "\n" in image:
            continue
        if re.search("image(_?name)?$", key, re.IGNORECASE) or (key == "name" and tags):
            is_whole = not tag or ":" in image.rpartition("/")[2] or "@" in image
            yield image if is_whole else f"{image}:{tag}", node.lines[key if is_whole else tags[0]]
        if re.fullmatch("(image_?)?repository", key, re.IGNORECASE) and _HELM & set(node):
            yield _helm(node, image, tag), node.lines[tags[0] if tags else key]


def _renamed(node: Map) -> Iterator[tuple[str, int]]:
    """Yield an image of kustomize; without a new tag it keeps the old one."""
    if {"newTag", "digest", "newName"} & set(node) and isinstance(node.get("name"), str):
        tag = node.get("newTag", unknown("the tag that it had"))
        at = f"@{node['digest']}" if node.get("digest") else f":{tag}"
        line = node.lines.get("newTag", node.lines.get("digest", node.lines["name"]))
        yield f"{node.get('newName', node['name'])}{at}", line


def _helm(node: Map, repository: str, tag: str) -> str:
    """Return the reference of Helm's values; without a tag, most charts take their own version."""
    host = f"{node['registry']}/" if node.get("registry") else ""
    at = f"@{node['digest']}" if node.get("digest") else f":{tag or unknown('its own version')}"
    return f"{host}{repository}{at}"
