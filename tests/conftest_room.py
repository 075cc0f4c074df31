import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import uuid
from pathlib import Path

import psutil
import pytest

from megalotron_images.registry.client import Registry
from megalotron_images.registry.credentials import Credentials
from rehearsal.room.paths import PROJECT, ROOM, WORK
from rehearsal.settings import load_settings

HOST = "ghcr.io"
MAY_PUSH = Credentials("octocat", "practice-token-may-push", "a test")
STAGED = ("staging",)
PLATFORM = load_settings(PROJECT.resolve()).platform
"""Of what the room's engine builds and pulls, whatever the machine's processor."""
ARCHITECTURE = PLATFORM.removeprefix("linux/")
OTHER = {"amd64": "arm64", "arm64": "amd64"}[ARCHITECTURE]
BOTH = frozenset({PLATFORM, f"linux/{OTHER}"})


@pytest.fixture(scope="session")
def engine():
    from megalotron_images.engine import Engine

    return Engine(MAY_PUSH)


@pytest.fixture
def registry():
    """The room's ghcr.io, empty, with a token that may push."""
    shutil.rmtree(ROOM / "registries" / HOST / "docker", ignore_errors=True)
    return Registry(HOST, MAY_PUSH)


@pytest.fixture(scope="session")
def played():
    """How the project describes ghcr.io."""
    return next(one for one in load_settings(PROJECT.resolve()).registries if one.name == HOST)


@pytest.fixture(scope="session")
def make_image(engine):
    """Put an image with content of its own into the engine, under a name; return what the engine
    says of it.
    """

    def make(name, size=16):
        tar = io.BytesIO()
        with tarfile.open(fileobj=tar, mode="w") as archive:
            member = tarfile.TarInfo("content")
            member.size = size
            archive.addfile(member, io.BytesIO(uuid.uuid4().bytes + os.urandom(max(0, size - 16))))
        subprocess.run(
            ["docker", "import", "-", name], input=tar.getvalue(), capture_output=True, check=True
        )
        return engine.image(name)

    return make


@pytest.fixture
def cli():
    """Run `megalotron-images` in a process of its own, logged in by the two variables of the
    process.
    """

    def run(*arguments, token=MAY_PUSH.password, **more):
        environment = {
            **os.environ,
            "REGISTRY_USERNAME": "octocat" if token else "",
            "REGISTRY_TOKEN": token,
        }
        more = {"stdin": subprocess.DEVNULL, "timeout": 120, "env": environment, **more}
        program = str(Path(sys.executable).parent / "megalotron-images")
        return subprocess.run(
            [program, *arguments], capture_output=True, text=True, check=False, **more
        )

    return run


def digest_of(content):
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def put_blob(registry, repository, content):
    """Put a blob as the distribution specification says, and return its descriptor."""
    scope = f"repository:{repository}:pull,push"
    place = registry.ask("POST", f"/v2/{repository}/blobs/uploads/", scope).headers["Location"]
    answer = registry.ask("PUT", f"{place}&digest={digest_of(content)}", scope, body=content)
    assert answer.status == 201
    return {"size": len(content), "digest": digest_of(content)}


def put_image(registry, repository, tag, architecture=ARCHITECTURE, created="2026-01-01"):
    """Put an image of one layer at a tag, without an engine; return its manifest."""
    from megalotron_images.registry.client import Manifest

    configuration = {
        "os": "linux",
        "architecture": architecture,
        "rootfs": {"type": "layers", "diff_ids": []},
    }
    configuration |= {"comment": uuid.uuid4().hex, "created": f"{created}T09:00:00Z"}
    config = put_blob(registry, repository, json.dumps(configuration).encode())
    kind = "application/vnd.oci.image.manifest.v1+json"
    config["mediaType"] = "application/vnd.oci.image.config.v1+json"
    body = json.dumps(
        {"schemaVersion": 2, "mediaType": kind, "config": config, "layers": []}
    ).encode()
    manifest = Manifest(digest_of(body), kind, body)
    registry.put(repository, tag, manifest)
    return manifest


def put_index(registry, repository, tag, architectures=(ARCHITECTURE, OTHER)):
    """Put an index of several platforms at a tag; its bytes are spaced in a way that no serialiser
    would repeat.
    """
    from megalotron_images.registry.client import Manifest

    parts = []
    for architecture in architectures:
        part = put_image(registry, repository, f"part-{architecture}", architecture)
        descriptor = {
            "mediaType": part.media_type,
            "size": len(part.content),
            "digest": part.digest,
        }
        parts.append(descriptor | {"platform": {"os": "linux", "architecture": architecture}})
    kind = "application/vnd.oci.image.index.v1+json"
    body = (
        json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": parts}, indent=5).encode()
        + b"\n\n"
    )
    manifest = Manifest(digest_of(body), kind, body)
    registry.put(repository, tag, manifest)
    return manifest


def docker(*words):
    """Run docker in the folder of the notebooks; return what it prints."""
    return subprocess.run(
        ["docker", *words], cwd=WORK, capture_output=True, text=True, check=True
    ).stdout.strip()


def registry_process():
    """Return the process of the room's ghcr.io, to freeze or kill it."""
    (registry,) = (
        one
        for one in psutil.process_iter(["cmdline"])
        if one.info["cmdline"] and one.info["cmdline"][-1].endswith("ghcr.io.json")
    )
    return registry
