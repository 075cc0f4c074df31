"""Stand-in images for a room's registry: small, runnable, and byte-identical on every run.

An image holds the machine's static busybox. It is written into the registry's storage as
Distribution lays it out (its "filesystem" driver, version 2).
"""

import datetime
import functools
import gzip
import hashlib
import io
import json
import platform
import shutil
import tarfile
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rehearsal.errors import CannotCheck

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_PROGRAMS = ("cat", "echo", "env", "grep", "id", "ls", "mkdir", "ps", "sed", "sleep", "wc")
_OF_A_SHELL = ("sh", "test", "true", "false")
_CREATED = "2026-01-01T00:00:00Z"
_SERVICE = "trap 'kill $!; exit' TERM; sleep 999d & wait"
"""What an image of a history runs: until it is stopped, as a server's does."""
_VERSION = "org.opencontainers.image.version"
_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def load_history(file: Path) -> dict[str, dict[str, str]]:
    """Return each repository's tags, with the time of the image or the tag it repeats.

    The file has a table for each repository; a date makes an image, a word repeats another tag.
    Raises CannotCheck otherwise.
    """
    try:
        tables = tomllib.loads(file.read_text())
        return {
            name: {tag: _moment(value, table) for tag, value in table.items()}
            for name, table in tables.items()
        }
    except (OSError, ValueError, AttributeError) as error:
        raise CannotCheck(f"The history in {file} cannot be used: {error}.") from error


def _moment(value: object, table: Mapping[str, object]) -> str:
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return f"{value.isoformat()}T09:00:00Z"
    if isinstance(value, str) and isinstance(table.get(value), datetime.date):
        return value
    raise ValueError(f"{value!r} is neither a day nor a tag that has one")


@dataclass(frozen=True)
class Store:
    """The storage of one registry, in the folder that its configuration names."""

    root: Path

    def seed(self, images: Iterable[str], history: Mapping[str, Mapping[str, str]]) -> None:
        """Put a stand-in at each `name:tag` of `images` and at each tag of the history.

        An architecture may stand before a name (`arm64 name:tag`); the default is this machine's.
        """
        if not (images or history):
            return
        layer = _layer()
        for image in images:
            architecture, _, reference = image.rpartition(" ")
            name, _, tag = reference.rpartition(":")
            self._tag(name, tag, self._image(name, layer, _CREATED, {}, architecture))
        for name, tags in history.items():
            built = [tag for tag, said in tags.items() if said not in tags]
            made = {tag: self._image(name, layer, tags[tag], {_VERSION: tag}) for tag in built}
            for tag, said in tags.items():
                self._tag(name, tag, made[said if said in tags else tag])

    def _image(
        self, name: str, layer: bytes, created: str, labels: dict[str, str], architecture: str = ""
    ) -> str:
        packed = _compressed(layer)
        config = _config(layer, created, labels, architecture)
        parts = {"config": (_CONFIG, config), "layer": (_LAYER, packed)}
        described = {
            part: {"mediaType": kind, "size": len(content), "digest": self._blob(content)}
            for part, (kind, content) in parts.items()
        }
        manifest = {"schemaVersion": 2, "mediaType": _MANIFEST, "config": described["config"]}
        digest = self._blob(json.dumps(manifest | {"layers": [described["layer"]]}).encode())
        for part in described.values():
            self._link(name, f"_layers/{_path(str(part['digest']))}", str(part["digest"]))
        self._link(name, f"_manifests/revisions/{_path(digest)}", digest)
        return digest

    def _tag(self, name: str, tag: str, digest: str) -> None:
        self._link(name, f"_manifests/tags/{tag}/current", digest)
        self._link(name, f"_manifests/tags/{tag}/index/{_path(digest)}", digest)

    def _blob(self, content: bytes) -> str:
        digest = _digest(content)
        kind, _, number = digest.partition(":")
        folder = self.root / "docker/registry/v2/blobs" / kind / number[:2] / number
        if not folder.exists():
            folder.mkdir(parents=True)
            (folder / "data").write_bytes(content)
        return digest

    def _link(self, name: str, place: str, digest: str) -> None:
        folder = self.root / "docker/registry/v2/repositories" / name / place
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "link").write_text(digest)


@functools.cache  # the one layer is asked for with every image of a history
def _compressed(layer: bytes) -> bytes:
    return gzip.compress(layer, compresslevel=1, mtime=0)


@functools.cache
def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _path(digest: str) -> str:
    return digest.replace(":", "/")


def _layer() -> bytes:
    busybox = shutil.which("busybox")
    if busybox is None:
        raise CannotCheck(
            "busybox is missing, so no stand-in image can be made: install busybox-static."
        )
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in ("bin", "etc", "tmp"):
            tar.addfile(_member(name, type=tarfile.DIRTYPE))
        program = Path(busybox).read_bytes()
        tar.addfile(_member("bin/busybox", size=len(program)), io.BytesIO(program))
        for name in (*_OF_A_SHELL, *_PROGRAMS):
            tar.addfile(_member(f"bin/{name}", type=tarfile.SYMTYPE, linkname="busybox"))
    return buffer.getvalue()


def _member(name: str, **more: object) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.mode = 0o755
    for attribute, value in more.items():
        setattr(member, attribute, value)
    return member


def _config(layer: bytes, created: str, labels: dict[str, str], architecture: str) -> bytes:
    machine = platform.machine()
    command = ["/bin/sh", "-c", _SERVICE] if labels else ["/bin/sh"]
    config = {
        "architecture": architecture or _ARCHITECTURES.get(machine, machine),
        "os": "linux",
        "created": created,
        "config": {"Cmd": command, "Env": ["PATH=/bin"], "Labels": labels or None},
        "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        "history": [{"created": created, "created_by": "stand-in with busybox"}],
    }
    return json.dumps(config).encode()
