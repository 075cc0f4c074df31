"""Texts and blocks that look like cells, and are not run."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from markdown_it import MarkdownIt

from rehearsal.cell.placeholders import runbooks
from rehearsal.runbook.model import Cell, Runbook
from rehearsal.runbook.undo import LEAVES, MAY_LEAVE

_LANGUAGES = """
ash bash bat batch cli cmd command commands console csh dash dos fish ipython ksh nu nushell ps1
powershell pwsh py pycon python python3 sh shell shellscript shellsession tcsh term terminal tty zsh
"""
_COMMANDS = frozenset(_LANGUAGES.split())
_TEXTS = {".md", ".markdown", ".mdx", ".rmd", ".qmd", ".myst"}
_KEYS = {"placeholders", LEAVES, MAY_LEAVE}
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


def unrun_files(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield each file in the runbooks' folder that is not a runbook, with the reason."""
    texts = {path.stem for path in runbooks(folder)}
    for path in sorted(folder.rglob("*")):
        name, kind = path.relative_to(folder), path.suffix.lower()
        known = path.is_symlink() if path.is_dir() else kind in (*_TEXTS, ".ipynb")
        if not known or any(part.startswith(".") for part in name.parts):
            continue
        if not path.is_file():
            yield (
                str(name),
                "is a pipe, or a broken link, and not a file: move it out of this folder",
            )
        elif len(name.parts) > 1:
            yield str(name), "is in a subfolder, where it is not run: move it up, or away"
        elif path.suffix not in (".md", ".ipynb"):
            yield str(name), "is not read, as its name ends otherwise: end it with .md or .ipynb"
        elif not _NAME.fullmatch(path.stem):
            yield str(name), "has a name that no address can hold: use letters, digits, - and _"
        elif kind == ".ipynb" and path.stem not in texts:
            yield str(name), "has no text beside it, so it is not verified: write one, or remove it"
        elif kind == ".md" and path.stem not in texts:
            yield str(name), _why_no_runbook(path)


def _why_no_runbook(path: Path) -> str:
    text = path.read_bytes()
    if text.startswith(b"\xef\xbb\xbf"):
        return "begins with a byte order mark, so that its header is not read: save it without"
    if text.startswith(b"---"):
        return "has a header without `jupyter:`, or one that does not end: see CONTRIBUTING"
    return "has no header, so it is not run: give it one, or move it out of this folder"


def unrun_blocks(runbook: Runbook) -> Iterator[str]:
    """Yield what is wrong with each block of a text that looks like commands, and is no cell."""
    text = runbook.source
    yield from _unread_options(runbook)
    code = (cell.source if cell.script is None else cell.script for cell in runbook.text.code)
    scripts = Counter(script.strip() for script in code)
    for token in MarkdownIt("commonmark", {"maxNesting": 500}).parse(_without_header(text)):
        line = token.map[0] + 1 if token.map else 0
        named = re.findall(r"[a-z]\w*", token.info.partition("=")[0].lower())
        commands = token.type == "fence" and (not token.info.strip() or _COMMANDS & {*named})
        if token.type == "code_block":
            yield f"line {line}: an indented block is not run: {_INSTEAD}"
        elif token.type == "html_block" and re.search(r"<(pre|code)\b", token.content.lower()):
            yield f"line {line}: a block of HTML is not run: {_INSTEAD}"
        elif token.type == "inline" and _IN_A_PARAGRAPH.search(token.content):
            yield f"line {line}: a block within a paragraph is not run: {_INSTEAD}"
        elif commands and scripts[token.content.strip()]:
            scripts[token.content.strip()] -= 1
        elif commands:
            language = token.info.lower().split(maxsplit=1)[0] if named else "unnamed"
            yield f"line {line}: this {language} block is not run: {_INSTEAD}"
    for number, content in enumerate(text.split("\n"), 1):
        if _CONTROL.search(content):
            yield f"line {number}: holds a control character, which no page shows: write it as $'…'"
        if len(content) > _LONGEST:
            yield f"line {number}: has {len(content)} characters: put such data into a file"


def _unread_options(runbook: Runbook) -> Iterator[str]:
    """Yield what is declared in the header or at a block, and read by nothing."""
    for key in sorted(runbook.text.declares.keys() - _KEYS):
        yield f"the header declares `rehearsal: {key}:`, which is not read: see CONTRIBUTING"
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
