"""The search index, for what people look for: a command, a stack, an error message.

Here each entry gets what it is found by beside its text: its page's title, headings of the
reference and of Troubleshooting, stacks' names where they are defined, registries' messages, each
docker command in the section that runs it first, and the words of words.toml. assets/search.js
ranks with them.
"""

import json
import re
import tomllib
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import material
from jinja2 import Environment
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority, get_plugin_logger
from mkdocs.structure.files import File, Files
from mkdocs.structure.nav import Navigation
from mkdocs.structure.pages import Page

from megalotron_images.convention import STACKS
from megalotron_images.registry.hints import REFUSALS
from rehearsal.runbook.model import Runbook

_LOG = get_plugin_logger("search words")
DOCS = Path(__file__).parents[1]
WORDS = DOCS / "words.toml"
BOOSTS = {"guide/troubleshooting/": 1.3, "guide/release-a-stack/": 1.3, "errors/": 0.3}
BOOSTS |= dict.fromkeys(("python/", "evidence/", "contributing/"), 0.4)
BOOSTS |= dict.fromkeys(("glossary/", "reference/"), 0.6)
"""Pages that readers look for most rank above those that mention the same."""
_EVERYWHERE = ("what-you-need", "undo-it", "see-that-it-worked", "where-to-go-next")
"""Sections of every guide: their titles say nothing of their content."""
_COMMAND = re.compile(
    r"(?:^|\| )(docker(?: (?:buildx|image|container|manifest|system))? [a-z]+)", re.MULTILINE
)
_CHANGES = re.compile(r"changelog\S*#")
_TAG = re.compile(r"<[^>]*>")
_TEACH = (
    "guide/push-an-image.ipynb",
    "guide/choose-an-image.ipynb",
    "guide/use-in-production.ipynb",
)
"""The pages that explain commands of docker; the others only use them."""
_pages: list[Page] = []


def on_nav(nav: Navigation, config: MkDocsConfig, files: Files) -> Navigation:
    """Remember the pages in reading order, those that teach before those that use."""
    teach = {page.file.src_uri: page for page in nav.pages if page.file.src_uri in _TEACH}
    _pages[:] = [
        *(teach[uri] for uri in _TEACH),
        *(p for p in nav.pages if p.file.src_uri not in teach),
    ]
    return nav


def commands(path: str) -> list[str]:
    """Return the docker commands of a notebook, in order."""
    scripts = (cell.script for cell in Runbook(Path(path)).executed.code)
    return [match[1] for script in scripts if script for match in _COMMAND.finditer(script)]


def _tags(entries: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield words with the index entry to which they lead."""
    given: set[str] = set()
    for page in _pages:
        own = [entry for entry in entries if entry["location"].partition("#")[0] == page.url]
        yield own[0], str(page.title)
        source = page.file.abs_src_path or ""
        for command in commands(source) if source.endswith(".ipynb") else ():
            if command not in given and (
                place := next((e for e in own if command in _text(e)), None)
            ):
                given.add(command)
                yield place, command
        if any(name in page.url for name in ("troubleshooting", "reference", "glossary")):
            yield from ((entry, entry["title"]) for entry in own[1:])
        if "convention" in page.url:
            yield from ((own[-1], name) for stack in STACKS for name in (stack.title, stack.name))
        if "errors" in page.url:
            met = "".join(
                _text(entry) for entry in entries if "troubleshooting" in entry["location"]
            )
            yield from ((own[1], refusal.said) for refusal in REFUSALS if refusal.said not in met)


def _text(entry: dict[str, Any]) -> str:
    return unescape(_TAG.sub("", entry["text"]))


@event_priority(-50)  # after the search has written its index, before the offline plugin copies it
def on_post_build(config: MkDocsConfig) -> None:
    """Write the weights into the index."""
    file = Path(config.site_dir) / "search" / "search_index.json"
    index = json.loads(file.read_text())
    index["config"]["pipeline"] = []  # a message counts with its small words
    # by its title alone: nobody looks for how a thing was before
    index["docs"] = [one for one in index["docs"] if not _CHANGES.match(one["location"])]
    for entry, tag in _tags(index["docs"]):
        entry.setdefault("tags", []).append(tag)
    places = {entry["location"].replace(".html", "/"): entry for entry in index["docs"]}
    for place, typed in tomllib.loads(WORDS.read_text())["words"].items():
        if place in places:
            places[place]["words"] = typed
        else:
            _LOG.warning(f"words.toml names '{place}', but no page or section is there.")
    for place, entry in places.items():
        entry["boost"] = _boost(place)
    file.write_text(json.dumps(index, separators=(",", ":")))


def _boost(place: str) -> float:
    if place.rpartition("#")[2] in _EVERYWHERE:
        return 0.3
    return next((boost for start, boost in BOOSTS.items() if place.startswith(start)), 1)


def _theme_worker() -> Path:
    """Return the theme's own search worker, whose name changes with its version."""
    folder = Path(material.__file__).parent / "templates" / "assets" / "javascripts" / "workers"
    return next(folder.glob("search.*.min.js"))


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Write the search's worker, which ranks what the theme's finds."""
    worker = f'const WORKER = "javascripts/workers/{_theme_worker().name}";\n'
    script = (DOCS / "assets" / "search.js").read_text()
    files.append(File.generated(config, "assets/rank.js", content=worker + script))
    return files


def on_env(env: Environment, config: MkDocsConfig, files: Files) -> Environment:
    """Let the template put that worker in place of the theme's."""
    env.globals["theme_worker"] = f"assets/javascripts/workers/{_theme_worker().name}"
    return env
