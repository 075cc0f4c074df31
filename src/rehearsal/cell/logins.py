"""The secrets that a person's environment and Docker's configuration hold."""

import base64
import contextlib
import json
import os
import re
from collections.abc import Iterator
from urllib.parse import unquote

from rehearsal.room import docker_config

SHORTEST_SECRET = 6
IN_ADDRESS = re.compile(r"((?://|^)[^/@:\s\"]*):([^/\s\"]+)@")
"""User name and password of an address, with or without its scheme."""
_NAME = re.compile(
    r"TOKEN|PASSWORD|PASSWD|PASSPHRASE|PASS($|_)|_PWD($|_)|SECRET|CREDENTIAL|(^|_)PAT($|_)"
    r"|(API|ACCESS|PRIVATE|SIGNING)_?KEY|^(identity|registry)token$|^auth(orization)?$",
    re.IGNORECASE,
)
"""Names of variables and keys whose value is a secret."""
_IN_JSON = re.compile(r'"([^"\\]*)"\s*:\s*("(?:[^"\\]|\\.)*")')


def secrets_of_person() -> set[str]:
    """Return the passwords and tokens of the environment and of Docker's configuration.

    A variable counts by its name, and any for the addresses and logins in its value.
    """
    found = {value for name, value in os.environ.items() if _NAME.search(name)}
    for text in (*os.environ.values(), docker_config.read_text()):
        found.update(_in_text(text))
    return {one for one in found if len(one.strip()) >= SHORTEST_SECRET}


def _in_text(text: str) -> Iterator[str]:
    """Yield the secrets that JSON and addresses in a text hold.

    Searched for and not parsed: one damaged entry must not hide the others from us.
    """
    for _, password in IN_ADDRESS.findall(text):
        yield from (password, unquote(password))
    for key, quoted in _IN_JSON.findall(text):
        if _NAME.search(key):
            with contextlib.suppress(ValueError):
                value = json.loads(quoted, strict=False)
                yield from (value, _password_of(value))


def _password_of(encoded: str) -> str:
    """Return the password of a login as HTTP's Basic has it, or nothing."""
    with contextlib.suppress(ValueError):
        login = base64.b64decode(encoded.removeprefix("Basic ")).decode(errors="replace")
        return login.partition(":")[2].strip("\0")
    return ""
