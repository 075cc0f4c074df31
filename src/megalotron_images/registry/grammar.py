"""The grammar of the headers that registries send, read by libraries where there are good ones.

Sources: RFC 8288 (Link), RFC 9110 (challenges, media types, dates).
"""

import re
import time
from collections.abc import Iterator
from datetime import UTC
from email.message import Message
from email.utils import collapse_rfc2231_value, parsedate_to_datetime
from urllib.request import parse_http_list, parse_keqv_list

_LINK = re.compile(r'<([^>]*)>((?:[^",<]|"(?:\\.|[^"\\])*")*)')
"""An address, and its parameters up to a comma outside of quotes."""
_SCHEME = re.compile(r"([\w!#$%&'*+.^`|~-]+)(?:\s+(?=\S)|\s*$)(?!\s*=)")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|μs|ms|s|m|h)")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
_UNITS |= {"h": 3600.0}


def next_link(header: str) -> str | None:
    """Return the address of the next page, or None if there is none.

    Raises:
        ValueError: the header cannot be read.
    """
    links = [(address, _relations(parameters)) for address, parameters in _LINK.findall(header)]
    if _LINK.sub("", header).strip(" \t,") or not all(one and two for one, two in links):
        raise ValueError(header)
    return next((address for address, relations in links if "next" in relations), None)


def _relations(parameters: str) -> list[str]:
    message = Message()
    message["Link"] = f"link{parameters}"
    said = collapse_rfc2231_value(message.get_param("rel", "", header="Link"))
    return said.strip("'").lower().split()


def challenges(header: str) -> dict[str, dict[str, str]]:
    """Return the parameters of each challenge of a `WWW-Authenticate`, by its scheme in lower case.

    Several may stand in one header; what is no list of parameters is left out.
    """
    return {scheme: _parameters(items) for scheme, items in _schemes(header)}


def _schemes(header: str) -> Iterator[tuple[str, list[str]]]:
    scheme, items = "", list[str]()
    for item in parse_http_list(header):
        if begins := _SCHEME.match(item):
            if scheme:
                yield scheme, items
            scheme, items = begins[1].lower(), [item[begins.end() :]]
        else:
            items.append(item)
    if scheme:
        yield scheme, items


def _parameters(items: list[str]) -> dict[str, str]:
    split = (item.partition("=") for item in items)
    pairs = ((name.strip().lower(), value.strip()) for name, _, value in split)
    return parse_keqv_list([f"{name}={value}" for name, value in pairs if value])


def seconds_to_wait(header: str, said: str) -> float:
    """Return the seconds that a registry asks to wait: in `Retry-After`, or in GHCR's message.

    0 if it asks for nothing.
    """
    header = header.strip()
    if header.isascii() and header.isdigit():
        return float(header)
    try:
        date = parsedate_to_datetime(header)  # one without a zone is in GMT (RFC 9110, 5.6.7)
        return max(0.0, date.replace(tzinfo=date.tzinfo or UTC).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        _, found, rest = said.lower().partition("retry-after:")
        span = rest.strip().partition(",")[0] if found else ""
        return sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(span))
