"""How old what a page says is: the page Evidence, the line of each guide, and a page's last change.

All of it is computed here, from the committed rows and the history as far as it is there.
"""

import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.nav import Navigation
from mkdocs.structure.pages import Page
from mkdocs.utils.templates import TemplateContext

from rehearsal.runbook.model import Runbook

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT))
from bench import table  # noqa: E402  # mkdocs does not look in the project's folder
from bench.state import git, load_subjects  # noqa: E402  # the same


def on_pre_build(config: MkDocsConfig) -> None:
    """Read the results once a build."""
    config.extra["results"] = load_subjects(ROOT)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put the tables into the page."""
    if page.file.src_uri == "evidence.md":
        subjects = config.extra["results"]
        shown = table.results(ROOT, config.repo_url or "", subjects)
        markdown = markdown.replace("<!-- results -->", shown)
        markdown = markdown.replace("<!-- inputs -->", table.inputs(subjects))
    return markdown


def on_page_context(
    context: TemplateContext, page: Page, config: MkDocsConfig, nav: Navigation
) -> TemplateContext:
    """Give the templates what is known of a guide, and when the page was changed last."""
    source = Path(str(page.file.abs_src_path)).with_suffix(".md")
    context["changed"] = last_change(source)
    if page.file.src_uri.endswith(".ipynb"):
        blocks = len(Runbook(source).executed.code)
        known = table.engines_of(source.stem, blocks, config.extra["results"])
        context["guide"] = {"name": source.stem, "blocks": blocks} | known
    return context


def last_change(source: Path) -> str:
    """Return the day of a file's last commit, or nothing where the history is not there."""
    shallow = git(source.parent, "rev-parse", "--is-shallow-repository")
    last = ("log", "-1", "--format=%cs", "--", source.name)
    day = git(source.parent, *last) if shallow == "false" else ""
    return table.day(day) if day else ""
