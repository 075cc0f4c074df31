"""What was written to the registries of a room, from their own logs: tags set, and anything deleted.

A PUT by digest names nothing that a person could pull by mistake, so it is no write. A declared write that did not
happen, and one that was not declared, are both errors: production asks a person for exactly what is declared.
"""

import contextlib
import http.client
import posixpath
import re
import secrets
import ssl
import time
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from rehearsal.errors import CannotCheck
from rehearsal.sealing import BUNDLE, ROOM
from rehearsal.settings import Registry

_REQUEST = re.compile(r'"(PUT|DELETE) (\S+) HTTP/[^"]*" 2\d\d ')
_OBJECT = re.compile(r"/v2/(\S+)/(manifests|blobs)/(?!uploads/)(\S+)")
_SECONDS_TO_LOG = 5.0
_PAUSE = 0.002


def writes_in(log: str, registry: str) -> list[str]:
    """Return the references that a registry's access log says were set, as `registry/repository:tag`, or deleted."""
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


def disagreement(declared: Iterable[str], wrote: Iterable[str]) -> str | None:
    """Return how what a cell wrote differs from what it declares, or None."""
    expected, found = set(declared), set(wrote)
    if undeclared := sorted(found - expected):
        return f"it wrote {', '.join(undeclared)} without declaring it (%%bash --writes REFERENCE)"
    if missing := sorted(expected - found):
        return f"it declares to write {', '.join(missing)}, and did not"
    return None


class Watch:
    """Follows the logs of a room's registries from the moment it is made."""

    def __init__(self, registries: Iterable[Registry]) -> None:
        context = ssl.create_default_context(cafile=BUNDLE)
        self._connections = {
            registry: http.client.HTTPSConnection(registry.hosts[0], context=context) for registry in registries
        }
        self._seen = dict.fromkeys(self._connections, 0)
        self.new()

    def close(self) -> None:
        """Close the connections."""
        for connection in self._connections.values():
            connection.close()

    def new(self) -> list[str]:
        """Return what was written since the last call; raise CannotCheck if a registry does not answer any more."""
        return [write for registry in self._connections for write in writes_in(self._read(registry), registry.name)]

    def _read(self, registry: Registry) -> str:
        """Return the new part of a log, up to a request of our own: what was answered before it has been logged."""
        mark = self._leave_mark(registry)
        end = time.monotonic() + _SECONDS_TO_LOG
        log = Path(ROOM / "log" / registry.name)
        while time.monotonic() < end:
            content = log.read_text(errors="replace")
            if mark in content[self._seen[registry] :]:
                new, self._seen[registry] = content[self._seen[registry] :], len(content)
                return new
            time.sleep(_PAUSE)
        raise CannotCheck(f"The room's {registry.name} does not write its log, so nobody knows what a cell wrote.")

    def _leave_mark(self, registry: Registry) -> str:
        mark = f"mark-{secrets.token_hex(8)}"
        connection = self._connections[registry]
        for attempt in (1, 2):
            try:
                connection.request("GET", "/v2/", headers={"User-Agent": mark})
                connection.getresponse().read()
                break
            except (OSError, http.client.HTTPException) as error:  # an idle connection may have been closed
                with contextlib.suppress(OSError):
                    connection.close()
                if attempt == 2:
                    raise CannotCheck(f"The room's {registry.name} does not answer any more: {error}") from error
        return mark
