"""A cell's output on its way to the notebook: decoded as it comes, without secrets."""

import base64
import codecs
import contextlib
import json
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote, quote_plus

_GITHUB = r"\b(?:gh[pousr]_|github_pat_)\w{16,}"
"""A GitHub token's form, hidden even if nobody declared it."""
_BEGUN = re.compile(r"\b(?:gh[pousr]_|github_pat_)\w*$")
_PREFIXES = {"ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"}
_LINE_END = re.compile(r"[\r\n]")
_LONG = 16
_SHORTEST_FORM = 4
_SECRET_NAME = re.compile(r"TOKEN|PASSWORD|PASSWD|SECRET|(^|_)PAT($|_)|API_?KEY", re.IGNORECASE)
_SHORTEST_SECRET = 6


class Shown:
    """One cell's output without secrets, in any form of `forms`; `text` holds all of it."""

    def __init__(self, secrets: Iterable[str]) -> None:
        found = {form for secret in secrets for form in forms(secret)}
        longest_first = sorted(found, key=len, reverse=True)
        self._hidden = re.compile("|".join([*map(_pattern, longest_first), _GITHUB]))
        self._secrets = found | _PREFIXES
        self._reach = 3 * max(map(len, self._secrets))  # each letter may have a line of its own
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._kept = self.text = ""

    def write(self, data: bytes) -> None:
        """Print what cannot be the beginning of a secret."""
        text = self._kept + self._decoder.decode(data)
        begun = _BEGUN.search(text)
        cut = min(self._beginning(text), begun.start() if begun else len(text))
        for match in self._hidden.finditer(text):
            if match.start() < cut < match.end():
                cut = match.start()
        self._kept = text[cut:]
        self._print(self.hide(text[:cut]))

    def _beginning(self, text: str) -> int:
        """Return where all that follows is the beginning of a secret; without one, the end."""
        for start in range(max(0, len(text) - self._reach), len(text)):
            rest = _LINE_END.sub("", text[start:])
            if rest and any(one.startswith(rest) and one != rest for one in self._secrets):
                return start
        return len(text)

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
    return (r"\r?\n?" if len(form) > _LONG else "").join(map(re.escape, form))


def forms(secret: str) -> set[str]:
    """Return the forms in which a secret could be printed: plain, JSON, URL-encoded, base64."""
    encoded = {quote(secret), quote(secret, safe=""), quote_plus(secret)}
    small = {re.sub("%..", lambda match: match[0].lower(), text) for text in encoded}
    found = {secret, json.dumps(secret)[1:-1]} | encoded | small
    for offset in range(3):
        data = b"\0" * offset + secret.encode()
        text = base64.b64encode(data).decode()
        found.add(text[(0, 2, 3)[offset] : len(text) - (0, 3, 2)[len(data) % 3]])
    return {form for form in found if len(form) >= _SHORTEST_FORM}


def secrets_of_person() -> set[str]:
    """Return the passwords and tokens of the environment and of Docker's logins."""
    named = {value for name, value in os.environ.items() if _SECRET_NAME.search(name)}
    return {one for one in named | _stored() if len(one) >= _SHORTEST_SECRET}


def stored_logins() -> list[str]:
    """Return the hosts for which Docker's configuration has a login."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        file = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"
        return sorted(json.loads(file.read_text()).get("auths", {}))
    return []


def _stored() -> set[str]:
    """Return the passwords that Docker has stored in its configuration."""
    found = set[str]()
    with contextlib.suppress(OSError, ValueError, AttributeError, TypeError):
        file = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"
        for login in json.loads(file.read_text()).get("auths", {}).values():
            found.add(base64.b64decode(login.get("auth", "")).decode().partition(":")[2])
    return found
