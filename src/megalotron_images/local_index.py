"""A local image for several platforms, as containerd's image store holds it: which of them are there.

From API 1.48 on (Docker 28) the engine lists the parts of an index itself. Before, its export of the image tells: the
index, and of its parts those that are there.
"""

import json
import tarfile
from collections.abc import Iterator
from typing import IO, Any

from megalotron_images.errors import EngineFailed
from megalotron_images.plans import LocalImage
from megalotron_images.registry import is_attestation, platform_in

Part = dict[str, Any]
"""One entry of `Manifests` in the engine's answer: `Descriptor`, `Kind`, `Available`, `ImageData`."""
_LARGEST = 4 * 1024 * 1024
"""Bytes of the largest index that a registry takes (OCI distribution specification 1.1, "Pushing manifests")."""


def image(name: str, digest: str, parts: list[Part]) -> LocalImage:
    """Return the image whose index has these parts; raise EngineFailed where no platform of it is there."""
    images = [part for part in parts if part["Kind"] == "image"]
    here = frozenset(platform for part in images if part["Available"] for platform in _platform(part))
    if not here:
        raise EngineFailed(f"Nobody can tell for which platform {name} is. Build or pull it again, with --platform.")
    whole = all(part["Available"] for part in parts)
    alone = frozenset[str]() if whole else frozenset(part["ID"] for part in images if part["Available"])
    listed = frozenset(platform for part in images for platform in _platform(part))
    return LocalImage(name, digest, here, listed - here, alone)


def _platform(part: Part) -> Iterator[str]:
    yield from platform_in((part.get("ImageData") or {}).get("Platform") or part["Descriptor"].get("platform"))


def read(digest: str, export: IO[bytes]) -> list[Part]:
    """Return the parts of the index `digest` from an export of its image; none where that is no index.

    Raises EngineFailed where the export does not hold it.
    """
    names, index = set[str](), None
    with tarfile.open(fileobj=export, mode="r|") as archive:
        for member in archive:
            found = f"sha256:{member.name.removeprefix('blobs/sha256/')}"
            names.add(found)
            if found == digest and member.size <= _LARGEST and (content := archive.extractfile(member)):
                index = json.loads(content.read())
    if index is None:
        raise EngineFailed(f"Nobody can tell for which platforms {digest} is: your engine's export does not hold it.")
    return [_part(entry, entry["digest"] in names) for entry in index.get("manifests", ())]


def _part(entry: dict[str, Any], available: bool) -> Part:
    kind = "attestation" if is_attestation(entry) else "image"
    return {"ID": entry["digest"], "Descriptor": entry, "Kind": kind, "Available": available}
