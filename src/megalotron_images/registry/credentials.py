"""Logins: the process's own two variables, then Docker's, then anonymous.

Docker's are read as the docker command reads them: DOCKER_AUTH_CONFIG, then its configuration file:
a helper for the host, a helper for all hosts, a stored login.
"""

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from megalotron_images import docker_config
from megalotron_images.concurrency import run_program, say_if_slow, seconds
from megalotron_images.errors import CannotTell
from megalotron_images.json_text import parsed

USERNAME, TOKEN = "REGISTRY_USERNAME", "REGISTRY_TOKEN"
VARIABLES = f"{USERNAME} and {TOKEN}"
AUTH_CONFIG = "DOCKER_AUTH_CONFIG"
_TOKENS = {"<token>": "identitytoken", "<registry token>": "registrytoken"}
"""What stands for a user name where the password is a token, and Docker's key for that."""


@dataclass(frozen=True)
class Credentials:
    """A login: user name, password (never printed), and where they were found."""

    username: str
    password: str = field(repr=False)
    source: str

    @property
    def name(self) -> str:
        """Who this is, for people."""
        return self.username if self.kind == "password" else f"your {self.kind}"

    @property
    def kind(self) -> str:
        """Docker's key for the password.

        An identitytoken is exchanged for the registry's tokens; a registrytoken is one.
        """
        return _TOKENS.get(self.username, "password")

    @property
    def encoded(self) -> str:
        """User name and password as HTTP's Basic has them."""
        return base64.b64encode(f"{self.username}:{self.password}".encode()).decode()

    @property
    def secrets(self) -> tuple[str, str]:
        """What no message may show."""
        return self.password, self.encoded


def find_credentials(host: str) -> Credentials | None:
    """Return the login for a registry, or None for an anonymous reader.

    REGISTRY_USERNAME with REGISTRY_TOKEN (the process's secrets) come before Docker's; a ~/.netrc
    is never used.

    Raises:
        CannotTell: one of the two variables is missing, or a login cannot be read.
    """
    username, password = (os.environ.get(name, "").strip() for name in (USERNAME, TOKEN))
    if bool(username) != bool(password):
        there, missing = (USERNAME, TOKEN) if username else (TOKEN, USERNAME)
        raise CannotTell(f"{there} is set, and {missing} is not: set both, or neither.")
    if username:
        return Credentials(username, password, VARIABLES)
    config = docker_config.read_table(os.environ.get(AUTH_CONFIG, ""), AUTH_CONFIG)
    return _stored(config, host, AUTH_CONFIG) or _from_file(host)


def _from_file(host: str) -> Credentials | None:
    file = docker_config.folder() / "config.json"
    config = docker_config.read_file(file)
    helpers = config.get("credHelpers")
    own = helpers.get(host) if isinstance(helpers, dict) else None
    name = config.get("credsStore") if own is None else own  # an empty name: no helper
    found = _from_helper(str(name), host) if name else None
    return found or _stored(config, host, f"Docker's login ({file})")


def _stored(config: Mapping[str, Any], host: str, source: str) -> Credentials | None:
    """Return a login that a configuration holds itself: its keys are hosts or addresses.

    The host itself comes first; with another port it is another registry.

    Raises:
        CannotTell: an entry is damaged, and no other is of use.
    """
    logins, damaged = config.get("auths"), False
    logins = logins if isinstance(logins, dict) else {}
    for key in sorted(logins, key=lambda key: key != host):
        place = key.removeprefix("https://").removeprefix("http://")
        if place.partition("/")[0] == host and isinstance(logins[key], dict):
            try:
                if found := _entry(logins[key], source):
                    return found
            except ValueError:
                damaged = True
    if damaged:
        raise CannotTell(f"The login in {source} is damaged: log in again.")
    return None


def _entry(login: Mapping[str, Any], source: str) -> Credentials | None:
    """Return the login of one entry, if it holds one; raise ValueError if it is damaged."""
    for marker, kind in _TOKENS.items():
        if token := login.get(kind):
            return Credentials(marker, str(token), source)
    username, password = login.get("username"), login.get("password")
    if encoded := login.get("auth"):
        username, colon, password = base64.b64decode(str(encoded)).decode().partition(":")
        if not colon:
            raise ValueError("there is no colon behind the user name")
    if username and password:
        return Credentials(str(username), str(password).strip("\0"), source)
    return None


def _from_helper(name: str, host: str) -> Credentials | None:
    """Return the login that a credential helper knows, or None if it knows none."""
    program = f"docker-credential-{name}"
    try:
        with say_if_slow(program):
            done = run_program([program, "get"], seconds(), host)
    except CannotTell as error:
        advice = f"It keeps Docker's logins: install it, unlock its store, or set {VARIABLES}."
        raise CannotTell(f"{error} {advice}") from None
    if "credentials not found" in done.stdout.lower():
        return None
    try:
        found = parsed(done.stdout if done.returncode == 0 else "")
        username, password = found["Username"], found["Secret"]
        if not (isinstance(username, str) and isinstance(password, str)):
            raise TypeError
    except (ValueError, LookupError, TypeError):
        # not its words: they may hold the secret
        why = f"{program} gives no login for {host} (status {done.returncode})"
        raise CannotTell(f"{why}. Run docker login {host}, or set {VARIABLES}.") from None
    return Credentials(username, password, program) if username and password else None
