"""Logins: the process's own two variables, then Docker's configuration, then anonymous."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from megalotron_images.errors import CannotTell

USERNAME, TOKEN = "REGISTRY_USERNAME", "REGISTRY_TOKEN"
VARIABLES = f"{USERNAME} and {TOKEN}"


@dataclass(frozen=True)
class Credentials:
    """A login: user name, password (never printed), and where they were found."""

    username: str
    password: str = field(repr=False)
    source: str


def find_credentials(host: str) -> Credentials | None:
    """Return the login for a registry, or None for an anonymous reader.

    REGISTRY_USERNAME with REGISTRY_TOKEN (the process's secrets) come before Docker's configuration
    and its helpers; a ~/.netrc is never used. Raises CannotTell for one of two variables.
    """
    username, password = os.environ.get(USERNAME, ""), os.environ.get(TOKEN, "").strip()
    if bool(username) != bool(password):
        there, missing = (USERNAME, TOKEN) if username else (TOKEN, USERNAME)
        raise CannotTell(f"{there} is set, and {missing} is not: set both, or neither.")
    if username:
        return Credentials(username, password, VARIABLES)
    return _from_docker(host)


def _from_docker(host: str) -> Credentials | None:
    folder = Path(os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker"))
    if not (folder / "config.json").exists():
        return None
    from docker import auth, errors  # only where there may be a login

    try:
        found = auth.load_config().resolve_authconfig(host)
    except (errors.DockerException, ValueError, AttributeError, TypeError) as error:
        raise CannotTell(
            f"Docker's stored login for {host} cannot be read: {error}. Run docker login {host}."
        ) from None
    if not found or not found.get("username") or not found.get("password"):
        return None
    return Credentials(
        found["username"], found["password"], f"Docker's login ({folder / 'config.json'})"
    )
