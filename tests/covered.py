"""Every shell block that a reader can meet, and why it can be trusted.

It ran, or it is the output of one that did.

Read are the runbooks, the other Markdown pages, and the built HTML itself, as that is what people
copy from.
"""

import sys
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rehearsal.cell.syntax import FORM
from rehearsal.runbook.compare import as_text
from rehearsal.runbook.model import Runbook, find_runbooks
from rehearsal.settings import Settings, load_settings

_NO_SHELLS = ("python", "py", "toml", "yaml", "json", "dockerfile", "html", "css", "javascript")
_SHELLS = ("bash", "sh", "shell", "zsh")
_MOST_LISTED = 8
_HOME = "/run/room/home"


@dataclass(frozen=True)
class Block:
    """One block on one page.

    The page below the project's root, the line it begins at, its text and language.
    """

    page: str
    line: int
    text: str
    language: str


@dataclass(frozen=True)
class Covered:
    """A block and why it can be trusted, or None."""

    block: Block
    why: str | None

    def __str__(self) -> str:
        place = f"{self.block.page}:{self.block.line}"
        reason, _, note = (self.why or "NOT COVERED").partition(": ")
        first = self.block.text.strip().partition("\n")[0]
        return f"{reason:<22} {place:<40} {first}{note and f'  ({note})'}"


@dataclass(frozen=True)
class Catalogue:
    """What is known of texts.

    Cells that run, outputs that were compared, and what a person listed with a reason.
    """

    scripts: frozenset[str]
    outputs: frozenset[str]
    listed: dict[str, str]

    def why(self, block: Block) -> str | None:
        """Return why a block can be trusted, or None if nothing says so.

        A command is not, for being an output.
        """
        text = block.text.strip()
        if text in self.scripts:
            return "run with placeholders" if FORM.search(text) else "run as it stands"
        if text in self.outputs and block.language not in _SHELLS:
            return "output of one that ran"
        return f"listed: {self.listed[text]}" if text in self.listed else None


def coverage(settings: Settings, runbooks: Iterable[Runbook], site: Path) -> list[Covered]:
    """Return all blocks with the reason for each.

    Ends the program without a built site or with a list too long.
    """
    pages = sorted(site.glob("**/*.html"))
    if not pages:
        raise SystemExit(f"There is no built site in {site}: run `make site`.")
    catalogue = _catalogue(settings, runbooks)
    texts = [
        *sorted(settings.notebooks.glob("*.md")),
        *sorted((settings.root / "docs").glob("**/*.md")),
    ]
    texts += sorted(settings.root.glob("*.md"))
    blocks = [block for path in texts for block in _in_markdown(path, settings.root)]
    blocks += [block for path in pages for block in _in_html(path, settings.root)]
    if unused := set(catalogue.listed) - {block.text.strip() for block in blocks}:
        raise SystemExit(
            f"Listed as not run, but on no page: {'; '.join(sorted(unused))}. Remove it from the"
            " list."
        )
    return [Covered(block, catalogue.why(block)) for block in blocks]


def _catalogue(settings: Settings, runbooks: Iterable[Runbook]) -> Catalogue:
    cells = [cell for runbook in runbooks for cell in runbook.executed.code]
    scripts = {(cell.source if cell.script is None else cell.script).strip() for cell in cells}
    outputs = {as_text(cell.outputs).strip() for cell in cells}
    outputs |= {text.replace(_HOME, "~") for text in outputs}  # as pages show it
    return Catalogue(
        frozenset(scripts), frozenset(outputs), _listed(settings.notebooks / "unrun.toml")
    )


def _listed(file: Path) -> dict[str, str]:
    try:
        entries = tomllib.loads(file.read_text())["unrun"]
        listed = {entry["block"].strip(): entry["reason"] for entry in entries}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SystemExit(
            f"{file} cannot be used: {error}. Each entry needs `block` and `reason`."
        ) from error
    others = [block for block in listed if not block.startswith("make ")]
    if len(others) > _MOST_LISTED:
        raise SystemExit(
            f"{file} lists {len(others)} blocks besides make targets; {_MOST_LISTED} is the most."
        )
    return listed


def _in_markdown(path: Path, root: Path) -> Iterator[Block]:
    from markdown_it import MarkdownIt

    for token in MarkdownIt("commonmark").parse(path.read_text()):
        language = token.info.strip(" {").partition(" ")[0].lstrip(".").lower()
        if token.type in ("code_block", "fence") and language not in _NO_SHELLS:
            yield Block(
                str(path.relative_to(root)), (token.map or [0])[0] + 1, token.content, language
            )


def _in_html(path: Path, root: Path) -> Iterator[Block]:
    from bs4 import BeautifulSoup

    for code in BeautifulSoup(path.read_text(), "html.parser").select("pre"):
        frame = code.find_parent("div", class_="highlight")
        classes = frame.get_attribute_list("class") if frame else []
        named = [
            str(name).removeprefix("language-")
            for name in classes
            if str(name).startswith("language-")
        ]
        language = named[0] if named else "bash" if "nb-in" in classes else ""
        if language not in _NO_SHELLS:
            yield Block(
                str(path.relative_to(root)), code.sourceline or 0, code.get_text(), language
            )


def main() -> int:
    """Print all blocks of the project in this folder; return 1 if one has no reason."""
    settings = load_settings(Path.cwd())
    covered = coverage(settings, find_runbooks(settings, ()), settings.root / "site")
    missing = [entry for entry in covered if entry.why is None]
    print(*covered, sep="\n")
    print(f"{len(covered) - len(missing)} of {len(covered)} shell blocks are covered")
    for entry in missing:
        place = f"{entry.block.page}:{entry.block.line}"
        print(f"{place}: not run, not an output, and not listed with a reason", file=sys.stderr)
    return int(bool(missing))


if __name__ == "__main__":
    sys.exit(main())
