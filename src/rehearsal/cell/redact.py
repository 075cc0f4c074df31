"""A cell's output on its way to the notebook: decoded as it comes, without secrets."""

import codecs
import re
import sys
from collections.abc import Iterable

from rehearsal.cell.placeholders import forms

_GITHUB = r"\b(?:gh[pousr]_|github_pat_)\w{16,}"
"""A GitHub token's form, hidden even if nobody declared it."""
_BEGUN = re.compile(r"\b(?:gh[pousr]_|github_pat_)\w*$")
_PREFIXES = ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_")
_LONG = 16


class Shown:
    """One cell's output without secrets, in any form of `forms`; `text` holds all of it."""

    def __init__(self, secrets: Iterable[str]) -> None:
        found = sorted(
            {form for secret in secrets for form in forms(secret)}, key=len, reverse=True
        )
        self._begin = (*found, *_PREFIXES)
        self._hidden = re.compile("|".join([*map(_pattern, found), _GITHUB]))
        self.text = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._kept = ""

    def write(self, data: bytes) -> None:
        """Print what cannot be the beginning of a secret."""
        text = self._kept + self._decoder.decode(data)
        cut = self._end_of_what_is_whole(text)
        if begun := _BEGUN.search(text):
            cut = min(cut, begun.start())
        for match in self._hidden.finditer(text):
            if match.start() < cut < match.end():
                cut = match.start()
        self._kept = text[cut:]
        self._print(self.hide(text[:cut]))

    def _end_of_what_is_whole(self, text: str) -> int:
        """Return where a secret may begin at the end of a text; a long one may be wrapped."""
        letters = [number for number, letter in enumerate(text) if letter not in "\r\n"]
        joined = "".join(text[number] for number in letters)
        cut = len(text)
        for secret in self._begin:
            said = joined if len(secret) > _LONG else text
            begun = max((n for n in range(1, len(secret)) if said.endswith(secret[:n])), default=0)
            if begun:
                cut = min(cut, letters[-begun] if said is joined else len(text) - begun)
        return cut

    def end(self) -> None:
        """Print the rest."""
        self._print(self.hide(self._kept + self._decoder.decode(b"", final=True)))
        self._kept = ""

    def hide(self, text: str) -> str:
        """Return a text without the secrets."""
        return self._hidden.sub("*****", text)

    def _print(self, text: str) -> None:
        self.text += text
        sys.stdout.write(text)
        sys.stdout.flush()


def _pattern(form: str) -> str:
    """Return a pattern for a form of a secret; a long one may be wrapped, as base64 is."""
    parts = map(re.escape, form)
    return r"\r?\n?".join(parts) if len(form) > _LONG else "".join(parts)
