"""A cell's output on its way to the notebook: decoded as it comes, bounded, without secrets."""

import base64
import codecs
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator

from rehearsal.cell.logins import SHORTEST_SECRET

MOST = 1_000_000
"""Bytes of output that a cell may print."""
FLOOD = (
    f"it printed more than {MOST // 1_000_000} MB: write that to a file, and show its end (tail)"
)
_GITHUB = re.compile(rb"(?:gh[pousr]_|github_pat_)\w{16,1000}")
"""A GitHub token's form, hidden even if nobody declared it."""
_GITHUB_EXACT = re.compile(rb"gh[pousr]_\w{36}|github_pat_\w{82}")
"""The same at its exact length, for text whose line ends are left out."""
_BEGUN = re.compile(rb"(?:gh[pousr]_|github_pat_)\w{0,1000}\Z")
_PREFIXES = {b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_", b"github_pat_"}
_SHORTEST_FORM = 4
_LONGEST_TOKEN = 1_011
_LONGEST_HELD = 32_768
_UNIT = rb"[dD][89abAB][0-9A-Fa-f]{2}\\+u[dD][c-fC-F][0-9A-Fa-f]{2}|[0-9A-Fa-f]{4}"
"""A character as JSON writes it: one number of UTF-16, or two."""
_ENCODED = re.compile(
    rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|%(?:25)*([0-9A-Fa-f]{2})"
    rb"|\\++(?:x([0-9A-Fa-f]{2})|u(" + _UNIT + rb")|([0-3][0-7]{2}))?"
)
"""Terminal codes, and characters that are written as numbers."""
_LEFT_OUT = bytes([*range(32), 127]) + b"'\"\\"
"""Control characters and quoting."""
_UNFINISHED = re.compile(
    rb"(?:\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]*\x1b?)?|%(?:25)*[0-9A-Fa-f]?"
    rb"|(?<!\\)\\++(?:[xu][0-9A-Fa-f]{0,3}|[0-3][0-7]?"
    rb"|u[dD][89abAB][0-9A-Fa-f]{2}(?:\\+u?[0-9A-Fa-f]{0,3})?)?)\Z"
)
_REACH = 256
"""Bytes in which an unfinished code is looked for."""


class RedactedOutput:
    """One cell's output without secrets, in any form of `forms`; `text` holds all of it."""

    def __init__(self, secrets: Iterable[str], flooded: Callable[[str], None] = print) -> None:
        """flooded: called once, with FLOOD, when there is more than MOST; the rest is dropped."""
        secrets = [one for secret in secrets for one in (secret.strip(), *_lines(secret))]
        self._plain = {_bytes(one) for one in secrets if len(_bytes(one)) >= _SHORTEST_FORM}
        self._forms = {form for secret in secrets for form in forms(secret)}
        self._flooded, self._size = flooded, 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._kept, self.text = b"", ""

    def write(self, data: bytes) -> None:
        """Print what cannot be the beginning of a secret."""
        before, self._size = self._size, self._size + len(data)
        if before > MOST:
            return
        self._kept += data[: MOST - before]
        unfinished = _UNFINISHED.search(self._kept, max(0, len(self._kept) - _REACH))
        whole = self._kept[: unfinished.start()] if unfinished else self._kept
        cut = max(self._begun(whole), len(whole) - _LONGEST_HELD)
        spans = self._spans(self._kept)
        cut = min([cut, *(start for start, end in spans if start < cut < end)])
        self._print(_masked(self._kept[:cut], [span for span in spans if span[1] <= cut]))
        self._kept = self._kept[cut:]
        if self._size > MOST:
            self.end()
            self._flooded(FLOOD)

    def end(self) -> None:
        """Print the rest."""
        self._print(_masked(self._kept, self._spans(self._kept)), final=True)
        self._kept = b""

    def hide(self, text: str) -> str:
        """Return a text without the secrets."""
        data = _bytes(text)
        return _masked(data, self._spans(data)).decode(errors="surrogateescape")

    def _begun(self, text: bytes) -> int:
        """Return where all that follows may be the beginning of a secret; without one, the end."""
        decoded = _decode(text)
        length = len(decoded) - _beginning(decoded, self._forms | _PREFIXES)
        plain = _beginning(text, self._plain)
        return min(plain, _start_of_last(text, length)) if length else plain

    def _spans(self, text: bytes) -> list[tuple[int, int]]:
        """Return where a text holds secrets, in order and apart from each other."""
        found = [*_find(text, self._plain, _GITHUB)]
        if encoded := [*_find(_decode(text), self._forms, _GITHUB_EXACT)]:
            starts, ends = _places(text)
            found += [(starts[start], ends[end - 1]) for start, end in encoded]
        spans: list[tuple[int, int]] = []
        for span in sorted(found):
            last = spans.pop() if spans and span[0] < spans[-1][1] else span
            spans.append((last[0], max(last[1], span[1])))
        return spans

    def _print(self, data: bytes, *, final: bool = False) -> None:
        text = self._decoder.decode(data, final)
        self.text += text
        sys.stdout.write(text)
        sys.stdout.flush()


def forms(secret: str) -> set[bytes]:
    """Return the forms in which a secret could be printed, once `_decode` has read them."""
    data = _bytes(secret)
    found = {data, data.replace(b" ", b"+"), _bytes(json.dumps(secret, ensure_ascii=False))}
    for offset in range(3):
        padded = b"\0" * offset + data
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = encode(padded)
            found.add(text[(0, 2, 3)[offset] : len(text) - (0, 3, 2)[len(padded) % 3]])
    return {form for one in found if len(form := _decode(one)) >= _SHORTEST_FORM}


def _lines(secret: str) -> list[str]:
    """Return the lines of a secret: programs show one of several too."""
    return [line.strip() for line in secret.splitlines() if len(line.strip()) >= SHORTEST_SECRET]


def _decode(text: bytes) -> bytes:
    """Return a text without quoting and terminal codes."""
    return _ENCODED.sub(_character, text).translate(None, _LEFT_OUT)


def _character(match: re.Match[bytes]) -> bytes:
    """Return what a match of _ENCODED stands for."""
    percent, byte, unit, octal = match.groups()
    if unit:
        units = bytes.fromhex(unit.translate(None, b"\\u").decode())
        return units.decode("utf-16-be", "replace").encode()
    if digits := percent or byte:
        return bytes.fromhex(digits.decode())
    return bytes([int(octal, 8)]) if octal else b""


def _places(text: bytes) -> tuple[list[int], list[int]]:
    """Return where each byte of a decoded text begins and ends in the text."""
    starts, ends, done = list[int](), list[int](), 0
    for match in (*_ENCODED.finditer(text), None):
        start, end = match.span() if match else (len(text), len(text))
        plain = [place for place in range(done, start) if text[place] not in _LEFT_OUT]
        written = len(_character(match).translate(None, _LEFT_OUT)) if match else 0
        starts += plain + [start] * written
        ends += [place + 1 for place in plain] + [end] * written
        done = end
    return starts, ends


def _start_of_last(text: bytes, count: int) -> int:
    """Return where the last bytes of a decoded text begin in the text."""
    tail = 4 * count
    while True:
        starts, _ = _places(text[-tail:])
        if tail >= len(text) or len(starts) > count + _REACH:
            return max(0, len(text) - tail) + starts[-count]
        tail *= 4


def _beginning(text: bytes, forms: Iterable[bytes]) -> int:
    """Return where a text's end is the beginning of a form; without one, the text's length."""
    begun = _BEGUN.search(text, max(0, len(text) - _LONGEST_TOKEN))
    first = begun.start() if begun else len(text)
    for form in forms:
        start = text.find(form[:1], max(0, len(text) - len(form) + 1), first)
        while start >= 0 and not form.startswith(text[start:]):
            start = text.find(form[:1], start + 1, first)
        first = start if start >= 0 else first
    return first


def _find(
    text: bytes, forms: Iterable[bytes], tokens: re.Pattern[bytes]
) -> Iterator[tuple[int, int]]:
    for form in forms:
        start = text.find(form)
        while start >= 0:
            yield start, start + len(form)
            start = text.find(form, start + len(form))
    for match in tokens.finditer(text):
        yield match.span()


def _masked(text: bytes, spans: Iterable[tuple[int, int]]) -> bytes:
    parts, done = [], 0
    for start, end in spans:
        parts += [text[done:start], b"*****"]
        done = end
    return b"".join([*parts, text[done:]])


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")
