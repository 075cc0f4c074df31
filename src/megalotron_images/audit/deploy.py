"""Images that the repository runs: compose, Kubernetes, Helm values, kustomize."""

import re
from collections.abc import Iterator
from typing import Any

from megalotron_images.audit.builders import dotenv, interpolated
from megalotron_images.audit.model import Deployed, Doubt, Fact, Place, Rule
from megalotron_images.audit.run import Run
from megalotron_images.audit.texts import unknown
from megalotron_images.audit.yaml_files import Folder, Map, Seq, Unreadable

_IMAGE = re.compile(r"\bimage[\"']?\s*:\s*[\"']?([^\s\"']+)", re.MULTILINE)
_LOOKS = re.compile(r"\b(image|images|repository|newName|newTag)[\"']?\s*:")


def follow(folder: Folder, name: str) -> list[Fact]:
    """Return the images that a YAML file runs; a template that names one of ours is a doubt."""
    text = folder.text(name)
    if not _LOOKS.search(text):
        return []
    run = Run(folder, name, {}, Place(name, 1))
    try:
        documents = folder.documents(name)
    except Unreadable as error:
        if "{{" in text:
            _template(run, text)
        elif "megalotron/" in text:
            run.doubt(f"{name}: {error}", (Rule.DEPLOY,))
        return run.facts
    for document in documents:
        for reference, line in _images(document):
            whole = interpolated(reference, dotenv(run))
            run.facts.append(Deployed(Place(name, line), name, {}, whole, _kind(document)))
    return run.facts


def _kind(document: Any) -> str:
    """Return what a document is: `kustomize`, `kubernetes`, or empty for others."""
    if not isinstance(document, Map):
        return ""
    if isinstance(document.get("images"), Seq):
        return "kustomize"
    return "kubernetes" if "kind" in document else ""


def _template(run: Run, text: str) -> None:
    """Note images in a file that is a template and no YAML."""
    for match in _IMAGE.finditer(text):
        if "megalotron/" in match[1]:
            place = Place(run.place.file, text[: match.start(1)].count("\n") + 1)
            run.facts.append(
                Doubt(place, run.job, {}, f"a template decides what {match[1]} is", (Rule.DEPLOY,))
            )


def _images(node: Any) -> Iterator[tuple[str, int]]:
    """Yield the references in compose files, Kubernetes' kinds, Helm's values and kustomize's."""
    if isinstance(node, Seq):
        for one in node:
            yield from _images(one)
    if not isinstance(node, Map):
        return
    image = node.get("image")
    if isinstance(image, str) and image:
        has_tag = ":" in image.rpartition("/")[2] or "@" in image
        tag = "" if has_tag or not isinstance(node.get("tag"), str) else f":{node['tag']}"
        yield f"{image}{tag}", node.lines["tag" if tag else "image"]
    if isinstance(node.get("repository"), str) and {"tag", "digest"} & set(node):
        yield _helm(node), node.lines.get("tag", node.lines["repository"])
    if {"newTag", "digest", "newName"} & set(node) and isinstance(node.get("name"), str):
        at = f"@{node['digest']}" if node.get("digest") else f":{node.get('newTag', 'latest')}"
        line = node.lines.get("newTag", node.lines.get("digest", node.lines["name"]))
        yield f"{node.get('newName', node['name'])}{at}", line
    for value in node.values():
        yield from _images(value)


def _helm(node: Map) -> str:
    """Return the reference of Helm's values; without a tag, most charts take their own version."""
    host = f"{node['registry']}/" if node.get("registry") else ""
    tag = node.get("tag") or unknown("the chart's own version")
    at = f"@{node['digest']}" if node.get("digest") else f":{tag}"
    return f"{host}{node['repository']}{at}"


def is_candidate(name: str) -> bool:
    """Whether a file may say what is run: YAML outside of the folder of workflows."""
    return name.endswith((".yml", ".yaml", ".tpl")) and not name.startswith(".github/")
