"""What a cell prints, on its way to the notebook: as it comes, as text, without the secrets."""

import codecs
import re
import sys
from collections.abc import Iterable

from rehearsal.cell.placeholders import forms

_GITHUB = r"\b(?:gh[pousr]_|github_pat_)\w{16,}"
"""What a token of GitHub looks like: hidden even where nobody said that it is one."""
_BEGUN = re.compile(r"\b(?:gh[pousr]_|github_pat_)\w*$")
_PREFIXES = ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_")
_LONG = 16


class Shown:
    """The text that one cell prints, without the secrets in any form that `forms` names.

    `text` holds all of it.
    """

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
        """Print what cannot be a part of a secret that goes on."""
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
        """Return where the beginning of a secret may stand at the end of a text.

        A long one may be wrapped over several lines.
        """
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
    """Return a pattern for one form of a secret.

    A long one may be wrapped, as base64 wraps its lines.
    """
    parts = map(re.escape, form)
    return r"\r?\n?".join(parts) if len(form) > _LONG else "".join(parts)
