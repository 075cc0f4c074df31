"""The grammar of the headers that registries send.

Sources: RFC 8288 (Link), RFC 9110 (challenges, Retry-After).
"""

import contextlib
import re

import urllib3
from urllib3.exceptions import InvalidHeader

NEXT = re.compile(r'<([^>]+)>\s*;\s*rel="?next"?', re.IGNORECASE)
"""A link to the next page as registries write it; any other is refused."""
_PARAMETER = r'([\w-]+)\s*=\s*(?:"((?:\\.|[^"\\])*)"|([^\s",]+))'
_CHALLENGE = re.compile(
    rf"(?<![^\s,])(bearer|basic)\s+((?:{_PARAMETER}[\s,]*)*)", re.IGNORECASE | re.ASCII
)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def challenges(header: str) -> dict[str, dict[str, str]]:
    """Return the parameters of the challenges in a `WWW-Authenticate` that can be answered.

    Their schemes and the parameters' names are in lower case.
    """
    return {one[1].lower(): _parameters(one[2]) for one in _CHALLENGE.finditer(header)}


def _parameters(text: str) -> dict[str, str]:
    return {
        name.lower(): re.sub(r"\\(.)", r"\1", quoted) or plain
        for name, quoted, plain in re.findall(_PARAMETER, text)
    }


def seconds_to_wait(header: str, said: str) -> float:
    """Return the seconds that a registry asks to wait: in `Retry-After`, or in GHCR's message.

    0 if it asks for nothing.
    """
    with contextlib.suppress(InvalidHeader, ValueError, OverflowError):
        return float(urllib3.Retry().parse_retry_after(header))
    span = said.lower().partition("retry-after:")[2].partition(",")[0]
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(span))
