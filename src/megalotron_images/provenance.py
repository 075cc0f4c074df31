"""Provenance: the statement that BuildKit puts beside an image of how it was built.

It is an attestation in the image's index (BuildKit's attestation storage): a manifest whose layers
are in-toto statements. It is not signed: it tells what a builder said, not who it was.
"""

from collections.abc import Iterator

from megalotron_images.plan import Finding, Verdict
from megalotron_images.registry.client import Manifest, Registry, is_attestation

_ABOUT = "vnd.docker.reference.digest"
_KIND = "in-toto.io/predicate-type"
_PROVENANCE = "https://slsa.dev/provenance/"


def find_provenance(registry: Registry, repository: str, manifest: Manifest) -> Finding:
    """Return whether each image of a manifest or index has a statement of its provenance.

    Raises:
        RegistryFailed: the registry does not say.
    """
    images = {part["digest"] for part in manifest.parts if not is_attestation(part)}
    stated = set(_stated(registry, repository, manifest))
    if not images:
        why = "is one image without attestations: build it with containerd's image store"
        return Finding("built", Verdict.NO, f"{manifest.digest} {why} (--provenance mode=max)")
    if missing := sorted(images - stated):
        return Finding("built", Verdict.NO, f"no provenance for {', '.join(missing)}")
    text = f"provenance for {len(images)} of {len(images)} images"
    return Finding("built", Verdict.YES, text)


def _stated(registry: Registry, repository: str, index: Manifest) -> Iterator[str]:
    """Yield the digests of the images about which an index holds a statement of provenance."""
    for part in filter(is_attestation, index.parts):
        about = str((part.get("annotations") or {}).get(_ABOUT, ""))
        for layer in registry.manifest(repository, part["digest"]).document.get("layers", ()):
            kind = (layer.get("annotations") or {}).get(_KIND, "")
            if kind.startswith(_PROVENANCE) and about in _subjects(registry, repository, layer):
                yield about


def _subjects(registry: Registry, repository: str, layer: dict[str, str]) -> set[str]:
    statement = registry.json_blob(repository, layer["digest"])
    digests = (subject.get("digest", {}) for subject in statement.get("subject", ()))
    return {f"{kind}:{value}" for one in digests for kind, value in one.items()}
