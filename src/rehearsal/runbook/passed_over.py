"""What nobody would run and nobody would miss: texts and blocks that are no cells."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from markdown_it import MarkdownIt

from rehearsal.cell.placeholders import runbooks
from rehearsal.runbook.model import Cell, Runbook

_SHELLS = {"bash", "sh", "shell", "zsh", "ksh", "dash", "fish", "terminal", "powershell"}
_SHELLS |= {"console", "shell-session", "sh-session", "shellsession", "bash-session"}
_NAME = re.compile(r"[\w.-]+", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_OBJECT = "<IPython.core.display."
_SHOWN = {"image/svg+xml", "image/png", "text/markdown"}
_LONGEST = 100_000
"""Characters of a line: a longer one neither runs nor can be read on a page."""


def passed_over(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield each file of a folder of runbooks that is none, with the reason."""
    texts = {path.stem for path in runbooks(folder)}
    files = (path for kind in ("*.md", "*.ipynb") for path in folder.rglob(kind))
    for path in sorted(files):
        name = path.relative_to(folder)
        if any(part.startswith(".") for part in name.parts) or not path.is_file():
            continue
        if len(name.parts) > 1:
            yield str(name), "lies in a sub-folder, where nobody runs it: move it up, or away"
        elif not _NAME.fullmatch(path.stem):
            yield str(name), "has a name that no address can hold: use letters, digits, - and _"
        elif path.suffix == ".ipynb" and path.stem not in texts:
            yield str(name), "has no text beside it, so nobody verifies it: write one, or remove it"
        elif path.suffix == ".md" and path.stem not in texts:
            yield str(name), _why_no_runbook(path)


def _why_no_runbook(path: Path) -> str:
    text = path.read_bytes()
    if text.startswith(b"\xef\xbb\xbf"):
        return "begins with a byte order mark, so that its header is not read: save it without"
    if text.startswith(b"---"):
        return "has a header without `jupyter:`, or one that does not end: see CONTRIBUTING"
    return "has no header, so nobody runs it: give it one, or move it out of this folder"


def blocks_passed_over(runbook: Runbook) -> Iterator[str]:
    """Yield what is wrong with each block of a text that looks like commands, and is no cell."""
    text = runbook.source
    code = (cell.source if cell.script is None else cell.script for cell in runbook.text.code)
    scripts = Counter(script.strip() for script in code)
    for token in MarkdownIt().parse(_without_header(text)):
        line = token.map[0] + 1 if token.map else 0
        language = (token.info.split() or [""])[0].lower() if token.type == "fence" else ""
        if token.type == "code_block":
            yield f"line {line}: an indented block is not run: write ```bash, or ```text"
        elif token.type == "html_block" and "<pre" in token.content:
            yield f"line {line}: a block of HTML is not run: write ```bash, or ```text"
        elif scripts[token.content.strip()] and language in ("bash", "python"):
            scripts[token.content.strip()] -= 1
        elif language in _SHELLS or token.info.strip() == "python":
            instead = "write ```bash at the beginning of a line, or ```text for what nobody types"
            yield f"line {line}: this {language} block is not run: {instead}"
    for number, content in enumerate(text.splitlines(), 1):
        if _CONTROL.search(content):
            yield f"line {number}: holds a control character, which no page shows: write it as $'…'"
        if len(content) > _LONGEST:
            yield f"line {number}: has {len(content)} characters: put such data into a file"


def outputs_passed_over(cell: Cell) -> Iterator[str]:
    """Yield what is wrong with outputs of a cell that no page can show."""
    for output in cell.outputs:
        data = output.get("data", {})
        if data.get("text/plain", "").startswith(_OBJECT) and not {*data} & _SHOWN:
            yield "shows HTML or a widget, which the page does not: print text, or draw a picture"
        printed = output.get("text", data.get("text/plain", ""))
        longest = max(map(len, printed.splitlines()), default=0)
        if longest > _LONGEST:
            yield f"prints a line of {longest} characters, which no page can show: print a part"


def _without_header(text: str) -> str:
    """Return a text with its header's lines blank, so that line numbers stay."""
    header = re.match(r"---[ \t]*\n.*?\n---[ \t]*\n", text, re.DOTALL)
    return "\n" * header[0].count("\n") + text[header.end() :] if header else text
