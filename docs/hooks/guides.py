"""Pages from executed notebooks, as MkDocs' own Markdown.

mkdocs-jupyter makes a notebook an entry of the navigation and a link target, and copies it for
download; its own HTML is not used.
"""

import base64
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import CombinedEvent, event_priority, get_plugin_logger
from mkdocs.structure.files import File, Files
from mkdocs.structure.nav import Navigation
from mkdocs.structure.pages import Page

from rehearsal.cell.production.record_page import fence
from rehearsal.runbook.masks import Mask, load_masks
from rehearsal.runbook.model import Cell, Notebook, Runbook
from rehearsal.runbook.undo import LEAVES, MAY_LEAVE

_LOG = get_plugin_logger("guides")
DOCS = Path(__file__).parents[1]
NOTEBOOKS = DOCS.parent / "notebooks"
_UNSHOWN = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]")
_HOME = "/run/room/home"
"""A room's home folder, on the page `~`."""
_TO_DOCS = re.compile(r"(\]\(|\]: )(?:\.\./)?docs/")
_TO_NOTEBOOKS = re.compile(r"(\]\(|\]: )(?:\.\./)?notebooks/")
_TO_ROOT = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Pages that are files of the project's own folder, by their name there."""
_ITEM = re.compile(r"(?<= )(?!file )(.+)")
"""What is left, without its kind, such as `container` or `changed file`."""
_DECISION = re.compile(r"<!-- decision: (\w+) -->(.*?)<!-- decided -->")
"""A question that a team answers in `extra.decisions`, with what the page says until then."""
_MARKED = re.compile(r"(<var.*?</var>)", re.DOTALL)
_LONG = 24
_OUTPUT = re.compile(r'(<div class="[^"]*nb-out[^"]*"><pre>.*?</pre>)', re.DOTALL)
_INPUT = re.compile(
    r'<div class="[^"]*language-bash[^"]*"><pre>.*?</pre>|<code>[^<]*</code>', re.DOTALL
)
_FLAG = re.compile(r"(?<=[\s>])--[a-z][a-z-]*")
_DRAWING = re.compile(r'<img [^>]*src="([^"]+\.svg)"[^>]*>')
_PART = re.compile(r'(<a href=")([^"]+)')
_PICTURES = {"image/svg+xml": "svg", "image/png": "png"}


def to_markdown(notebook: Notebook, name: str, config: MkDocsConfig, files: Files) -> str:
    """Return a notebook as Markdown; pictures among its outputs are added to `files`."""
    blocks: list[str] = []
    wrote = False
    for number, cell in enumerate(notebook.cells):
        if cell.kind == "markdown":
            blocks.append(_TO_DOCS.sub(r"\1../", cell.source))
        elif cell.kind == "code":
            if "remove-input" not in cell.tags:
                shown = cell.source if cell.script is None else cell.script
                magic = cell.source.partition("\n")[0]
                after = " .nb-after" if wrote and ":main" in magic else ""
                wrote |= "--writes" in magic
                blocks.append(fence(shown, f" {{ .{cell.language} .nb-in{after} }}"))
            if "remove-output" not in cell.tags:
                blocks.extend(_outputs(cell, f"{name}-{number}", config, files))
            if cell is notebook.code[-1]:
                blocks += _left(notebook.declares)
    return "\n\n".join(blocks) + "\n"


def _left(declares: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a page leaves, a sentence each."""
    beginnings = {LEAVES: "Left on your machine on purpose", MAY_LEAVE: "Left on some engines only"}
    for key, beginning in beginnings.items():
        if items := [_ITEM.sub(r"`\1`", one) for one in declares.get(key, ())]:
            yield f"{beginning}: the {', the '.join(items)}."


def _outputs(cell: Cell, name: str, config: MkDocsConfig, files: Files) -> Iterator[str]:
    """Yield a cell's outputs as Markdown; text that follows text is one block."""
    text = ""
    for number, output in enumerate(cell.outputs):
        data = output.get("data", {})
        kind = next((kind for kind in _PICTURES if kind in data), None)
        if kind or "text/markdown" in data:
            yield from _text(text)
            text = ""
            picture = f"{name}-{number}"
            yield _picture(output, kind, picture, config, files) if kind else data["text/markdown"]
        else:
            printed = "\n".join(output.get("traceback", [data.get("text/plain", "")])) + "\n"
            text += output.get("text", printed)
    yield from _text(text)


def _text(text: str) -> Iterator[str]:
    """Yield a text output; a long one folded, with its count of lines."""
    if text.strip():
        shown = _UNSHOWN.sub("", text).replace(_HOME, "~")
        block = fence(shown, " { .text .nb-out .no-copy }")
        lines = len(text.strip().splitlines())
        summary = f"<summary>{lines} lines of output</summary>"
        long = f'<details class="nb-long" markdown="1">{summary}\n\n{block}\n\n</details>'
        yield long if lines > _LONG else block


def _picture(
    output: Mapping[str, Any], kind: str, name: str, config: MkDocsConfig, files: Files
) -> str:
    file, content = f"{name}.{_PICTURES[kind]}", output["data"][kind]
    data = base64.b64decode(content) if kind == "image/png" else content
    files.append(File.generated(config, f"guide/{file}", content=data))
    return f"![{output['metadata'].get('alt', 'Output')}]({file})"


@event_priority(100)  # before mkdocs-jupyter, which turns each .ipynb file into a page
def _add(files: Files, config: MkDocsConfig) -> Files:
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        files.append(File.generated(config, f"guide/{path.name}", abs_src_path=str(path)))
    for name, page in _TO_ROOT.items():
        files.append(File.generated(config, page, abs_src_path=str(DOCS.parent / name)))
    return files


@event_priority(-100)  # after mkdocs-jupyter, which forgets where they came from
def _restore(files: Files, config: MkDocsConfig) -> Files:
    for file in files:
        if file.src_uri.endswith(".ipynb"):
            file.abs_src_path = str(NOTEBOOKS / Path(file.src_uri).name)
            file.edit_uri = f"../notebooks/{Path(file.src_uri).stem}.md"
        elif file.src_uri in _TO_ROOT.values():
            file.edit_uri = f"../{Path(str(file.abs_src_path)).name}"
    return files


on_files = CombinedEvent(_add, _restore)


def on_nav(nav: Navigation, config: MkDocsConfig, files: Files) -> Navigation:
    """Begin each page's path with the home page, which has no tab: the logo leads there."""
    home = files.get_file_from_path("index.md")
    nav.homepage = home.page if home else None
    return nav


@event_priority(-100)
def on_pre_page(page: Page, config: MkDocsConfig, files: Files) -> Page:
    """Restore MkDocs' own rendering of a notebook's page."""
    page.__dict__.pop("render", None)
    page.edit_url = page.edit_url and page.edit_url.replace("/docs/../", "/")
    return page


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return the page's Markdown with the repository's links turned into links of the site."""
    if page.file.src_uri.endswith(".ipynb"):
        runbook = Runbook(Path(str(page.file.abs_src_path)).with_suffix(".md"))
        return to_markdown(runbook.executed, runbook.name, config, files)
    decisions = config.extra["decisions"]
    markdown = _DECISION.sub(lambda match: decisions[match[1]] or match[2], markdown)
    for name, own in _TO_ROOT.items():
        markdown = re.sub(rf"\]\((?:\.\./)?{name}", f"]({own}", markdown)
    if page.file.src_uri in _TO_ROOT.values():
        markdown = _TO_DOCS.sub(r"\1", markdown)
    return _TO_NOTEBOOKS.sub(r"\1guide/", markdown)


def mark(output: str, masks: Sequence[Mask]) -> str:
    """Mark what may differ for the reader in an output's HTML; labels.js explains it."""
    for mask in (mask for mask in masks if mask.kind in ("named", "digest", "text")):
        kind = f' class="{mask.name}"' if mask.name in ("time", "size") else ""
        parts = _MARKED.split(output)  # what is marked already is at the odd places
        parts[::2] = (mask.pattern.sub(rf"<var{kind}>\g<0></var>", part) for part in parts[::2])
        output = "".join(parts)
    return output


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Inline drawings, so that they take the scheme's colours, and mark outputs."""
    masks = load_masks(NOTEBOOKS / "masks.toml")
    html = _OUTPUT.sub(lambda match: mark(match[0], masks), html)
    whole = r'<span class="nb-flag">\g<0></span>'  # an option breaks at none of its dashes
    html = _INPUT.sub(lambda match: _FLAG.sub(whole, match[0]), html)

    def inline(match: re.Match[str]) -> str:
        path = posixpath.join(posixpath.dirname(page.file.url), match[1])
        file = files.get_file_from_path(posixpath.normpath(path))
        return _PART.sub(link, file.content_string.strip()) if file else match[0]

    def link(match: re.Match[str]) -> str:
        """Return the link of a drawing's part as one of this page; warn of an unknown page."""
        path, anchor = match[2].partition("#")[::2]
        uri = path.replace("../../notebooks/", "guide/").removeprefix("../")
        if (target := files.src_uris.get(uri)) is None:
            where = f"Doc file '{page.file.src_uri}' shows a drawing with a link"
            _LOG.warning(f"{where} '{match[2]}', but the target is not found.")
            return match[0]
        return f"{match[1]}{target.url_relative_to(page.file)}{anchor and f'#{anchor}'}"

    return _DRAWING.sub(inline, html)
