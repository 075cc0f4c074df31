"""Texts and blocks that look like cells, and are not run."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from markdown_it import MarkdownIt

from rehearsal.cell.placeholders import runbooks
from rehearsal.runbook.model import Cell, Runbook

_NOT_TYPED = {"text", "yaml", "json", "toml", "ini", "dockerfile", "diff", "mermaid"}
"""Languages of fences that a page only shows; any other one must be a cell."""
_TEXTS = {".md", ".markdown", ".mdx", ".rmd", ".qmd", ".myst", ".ipynb"}
NO_RUNBOOK = (
    "is not run: a runbook is NAME.md, which begins with a header (`---`, `jupyter:`, no byte order"
    " mark), and NAME.ipynb beside it, both here; NAME is of letters, digits, - and _"
)
_READ = {"tags", "lines_to_next_cell"}
"""Metadata of a cell: what is read, and jupytext's count of the blank lines behind a fence."""
_NAME = re.compile(r"[\w.-]+", re.ASCII)
_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]"
)
_IN_A_PARAGRAPH = re.compile(r"^\s*(`{3,}|~{3,})[^`\n]*$|<pre\b", re.IGNORECASE | re.MULTILINE)
_INSTEAD = "write ```bash at the beginning of a line, or ```text for text that is not typed"
_SHOWN = {"image/svg+xml", "image/png", "text/markdown"}
_LONGEST = 100_000
"""Characters of a line: a longer one neither runs nor can be read on a page."""


def unrun_files(folder: Path) -> Iterator[str]:
    """Yield each file and folder among the runbooks that looks like a runbook, and is not run."""
    texts = [path for path in runbooks(folder) if _NAME.fullmatch(path.stem)]
    run = {file for text in texts for file in (text, text.with_suffix(".ipynb"))}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        alike = path.is_symlink() if path.is_dir() else path.suffix.lower() in _TEXTS
        if alike and path not in run and not any(part.startswith(".") for part in name.parts):
            yield str(name)


def unrun_blocks(runbook: Runbook) -> Iterator[str]:
    """Yield what is wrong with each block of a text that looks like commands, and is no cell."""
    text = runbook.source
    yield from _unread_options(runbook)
    code = (cell.source if cell.script is None else cell.script for cell in runbook.text.code)
    scripts = Counter(script.strip() for script in code)
    for token in MarkdownIt("commonmark", {"maxNesting": 500}).parse(_without_header(text)):
        line = token.map[0] + 1 if token.map else 0
        language = (token.info.lower().split() or ["unnamed"])[0]
        if token.type == "code_block":
            yield f"line {line}: an indented block is not run: {_INSTEAD}"
        elif token.type == "html_block" and re.search(r"<(pre|code)\b", token.content.lower()):
            yield f"line {line}: a block of HTML is not run: {_INSTEAD}"
        elif token.type == "inline" and _IN_A_PARAGRAPH.search(token.content):
            yield f"line {line}: a block within a paragraph is not run: {_INSTEAD}"
        elif token.type == "fence" and language not in _NOT_TYPED:
            scripts[token.content.strip()] -= 1
            if scripts[token.content.strip()] < 0:
                yield f"line {line}: this {language} block is not run: {_INSTEAD}"
    for number, content in enumerate(text.split("\n"), 1):
        if _CONTROL.search(content):
            yield f"line {number}: holds a control character, which no page shows: write it as $'…'"
        if len(content) > _LONGEST:
            yield f"line {number}: has {len(content)} characters: put such data into a file"


def _unread_options(runbook: Runbook) -> Iterator[str]:
    """Yield what is declared at a block, and read by nothing."""
    if not runbook.text.code:
        yield "has no cell, so nothing of it is run: give it one, or move it out of this folder"
    for cell in runbook.text.node.cells:
        if cell.cell_type == "raw":
            yield f"«{cell.source[:40]}» is a raw cell, which no page shows: {_INSTEAD}"
        elif cell.cell_type == "code" and (unread := sorted(cell.metadata.keys() - _READ)):
            said = cell.metadata.get("incorrectly_encoded_metadata", ", ".join(unread))
            yield f"«{said}» behind a fence's language is not read: put options into magic_args"


def unshown_outputs(cell: Cell) -> Iterator[str]:
    """Yield what is wrong with outputs of a cell that no page can show."""
    for output in cell.outputs:
        data = output.get("data", {"text/plain": "-"})
        plain = data.get("text/plain", "")
        no_text = not plain or plain.startswith("<IPython.") or "application/" in " ".join(data)
        if no_text and not {*data} & _SHOWN:
            yield "shows HTML or a widget, which the page does not: print text, or draw a picture"
        longest = max(map(len, output.get("text", plain).splitlines()), default=0)
        if longest > _LONGEST:
            yield f"prints a line of {longest} characters, which no page can show: print a part"


def _without_header(text: str) -> str:
    """Return a text with its header's lines blank, so that line numbers stay."""
    header = re.match(r"---[ \t]*\n.*?\n---[ \t]*\n", text, re.DOTALL)
    return "\n" * header[0].count("\n") + text[header.end() :] if header else text
