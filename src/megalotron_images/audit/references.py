"""Parts of a reference to an image. Pure.

Source: the distribution's reference grammar, and Docker's rule that a name without a host is Docker
Hub's.
"""

import re
from typing import NamedTuple

HUB = "docker.io"
_HUBS = ("", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com")
_LOCAL = re.compile(r"(localhost|127\.0\.0\.1|host\.docker\.internal)(:\d+)?")


_CORRECT = re.compile(r"[\w.-]+(:\d+)?(/[\w.-]+)*(:[\w.-]+)?(@sha256:[0-9a-f]{64})?", re.ASCII)


class Parts(NamedTuple):
    """A reference's parts; `tag` is `latest` where none is written, and empty beside a digest."""

    registry: str
    name: str
    tag: str
    digest: str


def split(reference: str) -> Parts:
    """Return a reference's parts; it need not be a correct one."""
    text = re.sub(r"^(docker://|oci://|https?://)", "", reference.strip().strip("\"'"))
    text, _, digest = text.partition("@")
    first, slash, rest = text.partition("/")
    has_host = bool(slash) and (bool(re.search(r"[.:]", first)) or first == "localhost")
    registry, path = (first, rest) if has_host else (HUB, text)
    name, colon, tag = path.partition(":")
    return Parts(
        HUB if registry in _HUBS else registry,
        name,
        tag if colon else "" if digest else "latest",
        digest,
    )


def is_correct(reference: str) -> bool:
    """Whether a text can be a reference at all, capitals aside."""
    return bool(_CORRECT.fullmatch(re.sub(r"^\w+://", "", reference)))


def host(text: str) -> str:
    """Return the registry of a login's address; empty is Docker Hub."""
    bare = re.sub(r"^https?://", "", text.strip()).partition("/")[0]
    return HUB if bare in _HUBS else bare


def is_local(registry: str) -> bool:
    """Whether a registry is on the machine of the job itself, so that nothing is published."""
    return bool(_LOCAL.fullmatch(registry))
