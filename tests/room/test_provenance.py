"""`check --provenance`: what stands beside an image about how it was built."""

import json

import pytest

from conftest_room import ARCHITECTURE, digest_of, put_blob, put_image, put_index
from megalotron_images.plan import Verdict
from megalotron_images.provenance import find_provenance
from megalotron_images.registry.client import Manifest

IMAGE = "megalotron/backend"
IMAGE_KIND = "application/vnd.oci.image.manifest.v1+json"
PROVENANCE = "https://slsa.dev/provenance/v1"


def put(registry, tag, document, kind):
    body = json.dumps({"schemaVersion": 2, "mediaType": kind} | document).encode()
    manifest = Manifest(digest_of(body), kind, body)
    registry.put(IMAGE, tag, manifest)
    return manifest


def state(registry, index, about, subject, predicate=PROVENANCE):
    """Put an attestation about an image of an index; return the index that holds it too."""
    kind, _, number = subject.partition(":")
    statement = {"subject": [{"name": "x", "digest": {kind: number}}], "predicateType": predicate}
    layer = put_blob(registry, IMAGE, json.dumps(statement).encode())
    layer |= {"mediaType": "application/vnd.in-toto+json"}
    layer |= {"annotations": {"in-toto.io/predicate-type": predicate}}
    config = put_blob(registry, IMAGE, b"{}") | {"mediaType": "application/json"}
    part = put(registry, "attestation", {"config": config, "layers": [layer]}, IMAGE_KIND)
    described = {
        "mediaType": IMAGE_KIND,
        "size": len(part.content),
        "digest": part.digest,
        "platform": {"architecture": "unknown", "os": "unknown"},
        "annotations": {
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": about,
        },
    }
    return put(registry, "v1.0.0", {"manifests": [*index.parts, described]}, index.media_type)


def found(registry, manifest):
    return find_provenance(registry, IMAGE, manifest)


@pytest.mark.main
def test_provenance_of_each_image_is_found(registry):
    index = put_index(registry, IMAGE, "v1.0.0")
    first, second = (part["digest"] for part in index.parts)
    one = state(registry, index, first, first)
    assert second in found(registry, one).text
    assert found(registry, one).verdict is Verdict.NO
    assert found(registry, state(registry, one, second, second)).verdict is Verdict.YES


@pytest.mark.parametrize("wrong", ["subject", "predicate", "about"])
def test_a_statement_about_something_else_is_none(wrong, registry):
    index = put_index(registry, IMAGE, "v1.0.0", [ARCHITECTURE])
    (image,) = (part["digest"] for part in index.parts)
    other = f"sha256:{'0' * 64}"
    made = state(
        registry,
        index,
        other if wrong == "about" else image,
        other if wrong == "subject" else image,
        "https://spdx.dev/Document" if wrong == "predicate" else PROVENANCE,
    )
    assert found(registry, made).verdict is Verdict.NO


def test_one_image_by_itself_has_none(registry):
    said = found(registry, put_image(registry, IMAGE, "v1.0.0"))
    assert said.verdict is Verdict.NO
    assert "one image without attestations" in said.text


def test_the_verb_says_it_too(registry, cli):
    put_image(registry, IMAGE, "v1.0.0")
    done = cli("check", f"ghcr.io/{IMAGE}:v1.0.0", "--provenance")
    assert "no  built" in done.stdout
    done = cli("check", f"ghcr.io/{IMAGE}:v1.1.0", "--provenance")
    assert "unknown built" in done.stdout
