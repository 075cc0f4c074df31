"""What was written to a room's registries, read from their logs: tags set, and deletions.

A PUT by digest creates nothing that anybody could pull by mistake, so it is no write.
"""

import contextlib
import http.client
import posixpath
import re
import secrets
import ssl
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from rehearsal.errors import CannotCheck
from rehearsal.room.paths import BUNDLE, LOGS, refused_log
from rehearsal.settings import Registry

_REQUEST = re.compile(r'"(PUT|DELETE) (\S+) HTTP/[^"]*" 2\d\d ')
_OBJECT = re.compile(r"/v2/(\S+)/(manifests|blobs)/(?!uploads/)(\S+)")
_SECONDS_TO_LOG = 5.0
_PAUSE = 0.002


def writes_in(log: str, registry: str) -> list[str]:
    """Return the references that a registry's access log says were set or deleted."""
    found = []
    for method, target in _REQUEST.findall(log):
        written = _OBJECT.fullmatch(posixpath.normpath(unquote(urlsplit(target).path)))
        if written is not None:
            repository, kind, reference = written.groups()
            if method == "DELETE":
                found.append(f"{registry}/{repository}@{reference} (deleted)")
            elif kind == "manifests" and ":" not in reference:
                found.append(f"{registry}/{repository}:{reference}")
    return found


@dataclass(frozen=True)
class RegistryActivity:
    """What a cell did.

    Attributes:
        wrote: the references that it set or deleted.
        refused: the repositories that refused its push.
    """

    wrote: frozenset[str]
    refused: frozenset[str]


class WriteLog:
    """Follows the logs of a room's registries from now on."""

    def __init__(self, registries: Iterable[Registry]) -> None:
        self._registries = tuple(registries)
        self._context = ssl.create_default_context(cafile=BUNDLE)
        self._read_of = dict[Path, int]()
        self.since_last()

    def since_last(self) -> RegistryActivity:
        """Return what was done since the last call.

        Raises CannotCheck if a registry no longer answers.
        """
        wrote, refused = set[str](), set[str]()
        for registry in self._registries:
            wrote.update(writes_in(self._logged(registry), registry.name))
            lines = self._unread(refused_log(registry.name)).split()
            refused.update(f"{registry.name}/{repository}" for repository in lines)
        return RegistryActivity(frozenset(wrote), frozenset(refused))

    def _logged(self, registry: Registry) -> str:
        """Return a log's new part, up to a request of our own: earlier answers are logged then."""
        mark, new = f"mark-{secrets.token_hex(8)}", ""
        self._ask(registry, mark)
        end = time.monotonic() + _SECONDS_TO_LOG
        while mark not in new:
            if time.monotonic() > end:
                raise CannotCheck(f"Cannot tell what was written: {registry.name} writes no log.")
            time.sleep(_PAUSE)
            new += self._unread(LOGS / registry.name)
        return new

    def _unread(self, file: Path) -> str:
        if not file.exists():
            return ""
        with open(file, errors="replace") as log:
            log.seek(self._read_of.get(file, 0))
            new = log.read()
            self._read_of[file] = log.tell()
        return new

    def _ask(self, registry: Registry, mark: str) -> None:
        """Send a request that the registry's log shows with `mark`."""
        try:
            client = http.client.HTTPSConnection(registry.hosts[0], context=self._context)
            with contextlib.closing(client):
                client.request("GET", "/v2/", headers={"User-Agent": mark})
                client.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise CannotCheck(f"The room's {registry.name} no longer answers: {error}") from error
