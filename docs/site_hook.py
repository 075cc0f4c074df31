"""Publish the executed notebooks as pages: MkDocs' own Markdown, made from their cells.

mkdocs-jupyter makes a notebook an entry of the navigation and a link target, and copies it for
download; its own HTML (25 times as large, with links that nobody checks) is set aside.
"""

import posixpath
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import CombinedEvent, event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbformat import NotebookNode

from rehearsal.runbook.compare import Mask, load_masks

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
_TERMINAL_CODES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_MAGIC = re.compile(r"%%bash\b[^\n]*\n")
_TO_DOCS = re.compile(r"(\]\(|\]: )\.\./docs/")
_TO_NOTEBOOKS = re.compile(r"(\]\(|\]: )\.\./notebooks/")
_BLOCKS = re.compile(r"(<pre.*?</pre>)", re.DOTALL)
_INDENTATION = re.compile(r"\s*\n\s*")
_LONG = 24
_OUTPUT = re.compile(r'(<div class="[^"]*nb-out[^"]*"><pre>.*?</pre>)', re.DOTALL)
_LABEL = re.compile(r'(class="md-nav__link[^>]*>)<span class="md-ellipsis">\n?([^<]*?)\n?</span>')
_AFTER_BLOCK = re.compile(r"(</(?:p|div|h1|h2|h3|ul|ol|li|table|tr|td|th|thead|tbody|details)>)\n+")
_UNUSED = re.compile(
    r'<meta name="generator"[^>]*>|<link rel="(?:prev|next)"[^>]*>|<div'
    r' data-md-component="announce">\s*</div>'
    r'|<script>var target=document.getElementById.*?</script>|"annotate": null, |,'
    r' "(?:tags|version)": null'
    r'|, "select.version": "Select version"',
    re.DOTALL,
)
"""What the theme puts on every page for features that this site does not use."""
_PICTURES = {"image/svg+xml": "svg", "image/png": "png"}


def fence(text: str, attributes: str) -> str:
    """Return a fenced block whose fence is longer than any run of backticks in it."""
    ticks = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{ticks} {{ {attributes} }}\n{text.rstrip()}\n{ticks}"


def to_markdown(notebook: NotebookNode, name: str, config: MkDocsConfig, files: Files) -> str:
    """Return a notebook as Markdown; pictures among its outputs are added to `files`."""
    blocks: list[str] = []
    for number, cell in enumerate(notebook.cells):
        tags = cell.metadata.get("tags", ())
        if cell.cell_type == "markdown":
            blocks.append(_TO_DOCS.sub(r"\1../", cell.source))
        elif cell.cell_type == "code":
            if "remove-input" not in tags:
                language = "bash" if _MAGIC.match(cell.source) else "python"
                blocks.append(fence(_MAGIC.sub("", cell.source, count=1), f".{language} .nb-in"))
            if "remove-output" not in tags:
                blocks.extend(_outputs(cell, f"{name}-{number}", config, files))
    return "\n\n".join(blocks) + "\n"


def _outputs(cell: NotebookNode, name: str, config: MkDocsConfig, files: Files) -> Iterator[str]:
    """Yield a cell's outputs as Markdown; text that follows text is one block."""
    text = ""
    for number, output in enumerate(cell.outputs):
        if output.output_type == "stream":
            text += output.text
            continue
        if output.output_type == "error":
            text += "\n".join(output.traceback) + "\n"
            continue
        kind = next((kind for kind in _PICTURES if kind in output.data), None)
        if kind is None and "text/markdown" not in output.data:
            text += output.data.get("text/plain", "") + "\n"
            continue
        yield from _text(text)
        text = ""
        yield (
            _picture(output, kind, f"{name}-{number}", config, files)
            if kind
            else output.data["text/markdown"]
        )
    yield from _text(text)


def _text(text: str) -> Iterator[str]:
    """Yield a text output; a long one folded, with its count of lines."""
    if not text.strip():
        return
    block = fence(_TERMINAL_CODES.sub("", text), ".text .nb-out .no-copy")
    lines = len(text.strip().splitlines())
    if lines > _LONG:
        block = (
            f'<details class="nb-long" markdown="1"><summary>{lines} lines of'
            f" output</summary>\n\n{block}\n\n</details>"
        )
    yield block


def _picture(output: NotebookNode, kind: str, name: str, config: MkDocsConfig, files: Files) -> str:
    file = f"{name}.{_PICTURES[kind]}"
    content = output.data[kind]
    if kind == "image/png":
        import base64

        content = base64.b64decode(content)
    files.append(File.generated(config, f"guide/{file}", content=content))
    return f"![{output.metadata.get('alt', 'Output')}]({file})"


@event_priority(100)  # before mkdocs-jupyter, which turns each .ipynb file into a page
def _add(files: Files, config: MkDocsConfig) -> Files:
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        files.append(File.generated(config, f"guide/{path.name}", abs_src_path=str(path)))
    files.append(
        File.generated(
            config, "contributing.md", abs_src_path=str(NOTEBOOKS.parent / "CONTRIBUTING.md")
        )
    )
    return files


@event_priority(-100)  # after mkdocs-jupyter, which forgets where they came from
def _restore(files: Files, config: MkDocsConfig) -> Files:
    for file in files:
        if file.src_uri.endswith(".ipynb"):
            file.abs_src_path = str(NOTEBOOKS / Path(file.src_uri).name)
            file.edit_uri = f"../notebooks/{Path(file.src_uri).stem}.md"
    return files


on_files = CombinedEvent(_add, _restore)


@event_priority(-100)
def on_pre_page(page: Page, config: MkDocsConfig, files: Files) -> Page:
    """Give a notebook's page MkDocs' own rendering back."""
    page.__dict__.pop("render", None)
    page.edit_url = page.edit_url and page.edit_url.replace("/docs/../", "/")
    return page


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return the page's Markdown with the repository's links turned into links of the site."""
    if page.file.src_uri.endswith(".ipynb"):
        notebook = nbformat.read(page.file.abs_src_path, as_version=4)
        return to_markdown(notebook, Path(page.file.src_uri).stem, config, files)
    return _TO_NOTEBOOKS.sub(r"\1guide/", markdown)


def mark(output: str, masks: Sequence[Mask]) -> str:
    """Return an output's HTML with what differs at the reader's marked.

    The script says why (labels.js).
    """
    for mask in (mask for mask in masks if mask.kind in ("named", "digest", "text")):
        kind = f' class="{mask.name}"' if mask.name in ("time", "size") else ""
        output = mask.pattern.sub(lambda match, kind=kind: f"<var{kind}>{match[0]}</var>", output)
    return output


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put drawings into the page itself, where they take the colours of the scheme.

    Mark what differs in outputs.
    """
    masks = load_masks(NOTEBOOKS / "masks.toml")
    html = _OUTPUT.sub(lambda match: mark(match[0], masks), html)

    def inline(match: re.Match[str]) -> str:
        source = re.search(r'src="([^"]+)"', match[0])
        path = (
            posixpath.normpath(posixpath.join(posixpath.dirname(page.file.url), source[1]))
            if source
            else ""
        )
        file = files.get_file_from_path(path)
        return file.content_string.strip() if file else match[0]

    return re.sub(r'<img [^>]*\.svg"[^>]*>', inline, html)


def on_post_page(output: str, page: Page | None, config: MkDocsConfig) -> str:
    """Mend what axe and vnu find in the theme (an unnamed dialog, autocomplete on a radio button).

    Make it light.
    """
    output = re.sub(
        r'(<div class="md-search"[^>]*role="dialog")(?! aria-label)',
        r'\1 aria-label="Search"',
        output,
    )
    output = re.sub(
        r'(<input class="md-(?:option|toggle)"[^>]*?) autocomplete="off"', r"\1", output
    )
    output = output.replace('<span class="w"> </span>', " ").replace("<pre><span></span>", "<pre>")
    output = _UNUSED.sub("", output)
    depth = (
        posixpath.dirname(page.file.url).count("/") + bool(posixpath.dirname(page.file.url))
        if page
        else 0
    )
    output = output.replace(
        "https://unpkg.com/iframe-worker/shim", f"{'../' * depth}assets/iframe-worker.js"
    )
    output = output.replace("language-bash nb-", "nb-").replace("language-text nb-", "nb-")
    parts = (
        part if part.startswith("<pre") else _INDENTATION.sub("\n", part)
        for part in _BLOCKS.split(output)
    )
    before, article, rest = "".join(parts).partition("<article")
    inside, end, after = rest.partition("</article>")
    frames = (_LABEL.sub(r"\1\2", part.replace(">\n<", "><")) for part in (before, after))
    inside = _AFTER_BLOCK.sub(r"\1", inside).replace(' title="Link"', "")
    return next(frames) + article + inside + end + next(frames)


def on_post_template(output: str, template_name: str, config: MkDocsConfig) -> str:
    """Mend the page for addresses that do not exist in the same way."""
    return on_post_page(output, None, config) if template_name == "404.html" else output
