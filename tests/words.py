"""Count the words that read like a translation, per page: a report to read, not a bar to pass.

Only prose counts: commands, outputs, code in backticks and generated parts do not.
"""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
WORDS = {
    "names": r"\b(?:it|that|tag|main|dev|which|what|who|also|and) names\b"
    r"|\bnames (?:an?|the|what|which|your|it|its|nothing|none|each|both|one)\b",
    "stands": r"\bst(?:ands?|ood)\b(?!-in)",
    "told": r"\btold\b|(?<!cannot )\btells?\b",
    "says": r"\bsa(?:ys?|id)\b",
    "anew": r"\banew\b",
    "is none of": r"\b(?:is|are) none of\b",
    "no X": r"\b(?:is|are) no (?!longer|more|one)\w+",
    "what … is": r"\bwhat (?:\w+ ){0,2}(?:is|are|was)\b",
    "mend": r"\bmends?\b",
    "somebody": r"\b(?:some|any|every|no)body\b",
    "nobody can tell": r"\bnobody can tell\b",
    "British": r"\b\w*(?:oris|anis|alis|nis)(?:e|ed|es|ing|ation)\b(?<!promise)(?<!promised)"
    r"|\b(?:practise\w*|licence|colours?|behaviours?|afterwards|towards)\b",
}
"""What to avoid, by its name in the report."""
_NOT_PROSE = re.compile(
    r"\A---\n.*?^---$|^```.*?^ *```|<!-- generated.*?<!-- end -->|`[^`\n]+`|<[a-z/!][^>]*>",
    re.DOTALL | re.MULTILINE,
)


def pages() -> list[Path]:
    """Return every text that people read as a page."""
    found = [*ROOT.glob("notebooks/*.md"), *ROOT.glob("docs/*.md")]
    return [*sorted(found), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]


def prose(text: str) -> str:
    """Return a text without header, fences, generated parts, code in backticks and tags."""
    return " ".join(_NOT_PROSE.sub(" ", text).split())


def count(text: str) -> dict[str, int]:
    """Return how often each of `WORDS` is in a text's prose, in any case."""
    found = prose(text)
    return {name: len(re.findall(words, found, re.IGNORECASE)) for name, words in WORDS.items()}


def main() -> None:
    """Print the counts of each page that has such words, and their sums."""
    counts = {page: count(page.read_text()) for page in pages()}
    for page, one in counts.items():
        print(_line(str(page.relative_to(ROOT)), one))
    print(_line("all", {name: sum(one[name] for one in counts.values()) for name in WORDS}))


def _line(what: str, counts: dict[str, int]) -> str:
    found = ", ".join(f"{name} {number}" for name, number in counts.items() if number)
    return f"{what:<44} {sum(counts.values()):>3}  {found}"


if __name__ == "__main__":
    main()
