"""Mends of the theme's HTML: what axe and vnu find, and a script from another host."""

import posixpath
import re

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.pages import Page

_DIALOG = re.compile(r'(<div class="md-search"[^>]*role="dialog")(?! aria-label)')
_TOGGLE = re.compile(r'(<input class="md-(?:option|toggle)"[^>]*?) autocomplete="off"')
_SHIM = "https://unpkg.com/iframe-worker/shim"


def on_post_page(output: str, page: Page | None, config: MkDocsConfig) -> str:
    """Name the search's dialog, take autocomplete off radio buttons, load nothing from afar."""
    output = _DIALOG.sub(r'\1 aria-label="Search"', output)
    output = _TOGGLE.sub(r"\1", output)
    folder = posixpath.dirname(page.file.url) if page else ""
    root = "../" * (folder.count("/") + bool(folder))
    return output.replace(_SHIM, f"{root}assets/iframe-worker.js")


def on_post_template(output: str, template_name: str, config: MkDocsConfig) -> str:
    """Mend the page for addresses that do not exist in the same way."""
    return on_post_page(output, None, config) if template_name == "404.html" else output
