"""A local image for several platforms, in containerd's image store.

From API 1.48 (Docker 28) the engine lists the parts of an index itself. Before, an export of the
image shows them: a platform is there if its manifest, its configuration and all of its layers are.
The manifest alone may outlive them.
"""

import contextlib
import json
import tarfile
from collections.abc import Iterator
from typing import IO, Any

from megalotron_images.errors import EngineFailed
from megalotron_images.plan import LocalImage
from megalotron_images.registry.client import is_attestation, platform_in

Part = dict[str, Any]
"""An entry of `Manifests` in the engine's answer."""
_LARGEST = 4 * 1024 * 1024
"""Largest index that registries take, in bytes (OCI distribution specification 1.1)."""


def image(name: str, digest: str, parts: list[Part]) -> LocalImage:
    """Return the image with these parts.

    Raises EngineFailed if no platform is there.
    """
    images = [part for part in parts if part["Kind"] == "image"]
    there = [part for part in images if part["Available"]]
    here = frozenset(platform for part in there for platform in _platform(part))
    if not here:
        raise EngineFailed(
            f"Nobody can tell for which platform {name} is. Build or pull it again, with"
            " --platform."
        )
    whole = all(part["Available"] for part in parts)
    alone = frozenset(part["ID"] for part in there if not whole)
    listed = frozenset(platform for part in images for platform in _platform(part))
    return LocalImage(name, digest, here, listed - here, alone)


def _platform(part: Part) -> Iterator[str]:
    own = (part.get("ImageData") or {}).get("Platform")
    yield from platform_in(own or part["Descriptor"].get("platform"))


def read(digest: str, export: IO[bytes]) -> list[Part]:
    """Return the parts of the index `digest` from an export; none if it is no index.

    Raises EngineFailed if the export does not contain it.
    """
    names, documents = _blobs(export)
    if digest not in documents:
        raise EngineFailed(
            f"Nobody can tell for which platforms {digest} is: your engine's export does not"
            " hold it."
        )

    def part(entry: dict[str, Any]) -> Part:
        manifest = documents.get(entry["digest"], {})
        blobs = (manifest.get("config"), *manifest.get("layers", ()))
        needed = {blob["digest"] for blob in blobs if blob}
        kind = "attestation" if is_attestation(entry) else "image"
        here = bool(needed) and needed <= names
        return {"ID": entry["digest"], "Descriptor": entry, "Kind": kind, "Available": here}

    return [part(entry) for entry in documents[digest].get("manifests", ())]


def _blobs(export: IO[bytes]) -> tuple[set[str], dict[str, dict[str, Any]]]:
    """Return the digests of an export's blobs, and the content of those that are JSON objects."""
    names, documents = set[str](), dict[str, dict[str, Any]]()
    with tarfile.open(fileobj=export, mode="r|") as archive:
        for member in archive:
            digest = f"sha256:{member.name.removeprefix('blobs/sha256/')}"
            names.add(digest)
            content = archive.extractfile(member) if member.size <= _LARGEST else None
            if content and (text := content.read()).startswith(b"{"):
                with contextlib.suppress(ValueError):  # a layer that only begins like JSON
                    documents[digest] = json.loads(text)
    return names, documents
