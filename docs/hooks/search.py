"""The search index, for what people look for: a command, a stack, an error message.

Here each entry gets the words of words.toml by which it is found beside its own; assets/search.js
ranks with them.
"""

import json
import re
import tomllib
from pathlib import Path

import material
from jinja2 import Environment
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority, get_plugin_logger
from mkdocs.structure.files import File, Files

_LOG = get_plugin_logger("search words")
DOCS = Path(__file__).parents[1]
BOOSTS = {"guide/troubleshooting/": 1.3, "guide/release-a-stack/": 1.3, "errors/": 0.5}
BOOSTS |= dict.fromkeys(("python/", "evidence/", "contributing/"), 0.4)
BOOSTS |= dict.fromkeys(("glossary/", "reference/"), 0.6) | {"guide/first-release/": 0.7}
"""Pages that readers look for most rank above those that mention the same."""
_EVERYWHERE = ("what-you-need", "undo-it", "check-that-it-worked")
"""Sections of every guide: their titles say nothing of their content."""
_BY_TITLE_ALONE = re.compile(r"(changelog|evidence|python)\S*#|contributing/#code$|.*-go-next$")
"""Sections that few look for: earlier versions, figures, the helper's functions, files, links."""
_UNSOUGHT = re.compile(r"[0-9a-f]{64}|<p>Example, from a run of .*", re.DOTALL)
"""Each visitor would load them: digests, which nobody types, and what the reference repeats."""


@event_priority(-50)  # after the search has written its index, before the offline plugin copies it
def on_post_build(config: MkDocsConfig) -> None:
    """Write words and weights into the index."""
    file = Path(config.site_dir) / "search" / "search_index.json"
    index = json.loads(file.read_text())
    index["config"]["pipeline"] = []  # a message counts with its small words
    index["docs"] = [one for one in index["docs"] if not _BY_TITLE_ALONE.match(one["location"])]
    places = {entry["location"].replace(".html", "/"): entry for entry in index["docs"]}
    said = tomllib.loads((DOCS / "words.toml").read_text())
    for kind in ("words", "phrases"):
        for place, typed in said[kind].items():
            if place in places:
                places[place][kind] = typed
            else:
                _LOG.warning(f"words.toml names '{place}', but no page or section is there.")
    for place, entry in places.items():
        found = (boost for start, boost in BOOSTS.items() if place.startswith(start))
        entry["boost"] = 0.3 if place.endswith(_EVERYWHERE) else next(found, 1)
        entry["text"] = _UNSOUGHT.sub("…", entry["text"])
    file.write_text(json.dumps(index, separators=(",", ":")))


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
