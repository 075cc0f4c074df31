"""Text that is printed for people: nothing in it steers their terminal."""

import re
import sys

_STEERS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"  # Cc, bidi, surrogates
)


def printable(text: str) -> str:
    r"""Return a text with what steers a terminal written out, such as \x1b; lines and tabs stay."""
    return _STEERS.sub(lambda match: ascii(match[0])[1:-1], text)


def say(text: str, *, error: bool = False, end: str = "\n") -> None:
    """Print a text for a person, on standard error for `error`."""
    print(printable(text), end=end, file=sys.stderr if error else sys.stdout, flush=True)
