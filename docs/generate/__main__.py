"""Write what is generated into the pages; with `--check` only name the files that would change."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from docs.generate import reference, tables

DOCS = Path(__file__).parents[1]
_BLOCK = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
MADE = tables.TABLES | reference.REFERENCES


def current() -> Iterator[tuple[Path, str]]:
    """Yield each file with its text as it should be."""
    for page in sorted([*DOCS.glob("*.md"), *DOCS.parent.glob("notebooks/*.md")]):
        text = page.read_text()
        yield page, _BLOCK.sub(lambda match: f"{match[1]}\n{MADE[match[2]]()}\n\n{match[3]}", text)


def main() -> int:
    """Return 1 if a file was to be checked and is out of date."""
    stale = [
        (file, text) for file, text in current() if not file.exists() or file.read_text() != text
    ]
    for file, text in stale:
        print(
            f"{file.relative_to(DOCS.parent)}: {'stale: make generate' if CHECKING else 'written'}"
        )
        if not CHECKING:
            file.write_text(text)
    return int(CHECKING and bool(stale))


CHECKING = "--check" in sys.argv[1:]
if __name__ == "__main__":
    sys.exit(main())
