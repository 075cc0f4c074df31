"""Stand-in images for a room's registry: small, runnable, and byte-identical on every run.

An image holds the machine's static busybox. It is written into the registry's storage as
Distribution lays it out (its "filesystem" driver, version 2).
"""

import datetime
import gzip
import hashlib
import io
import json
import shutil
import tarfile
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rehearsal.errors import CannotCheck

_PROGRAMS = "sh test true false cat echo env grep id ls mkdir ps sed sleep wc"
_SERVICE = "trap 'kill $!; exit' TERM; sleep 999d & wait"
"""What an image of a history runs: until it is stopped, as a server's does."""
_VERSION = "org.opencontainers.image.version"
_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
Descriptor = dict[str, Any]
"""A blob as a manifest describes it: mediaType, size, digest."""
History = Mapping[str, Mapping[str, tuple[str, str]]]
"""Each repository's tags, with the version of the image that a tag points to, and its time."""


def load_history(file: Path) -> History:
    """Return the history in a file: a table for each repository, with its tags.

    A date makes an image, a word repeats another tag. Raises CannotCheck otherwise.
    """
    try:
        tables = tomllib.loads(file.read_text())
        return {name: {tag: _build(tag, table) for tag in table} for name, table in tables.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise CannotCheck(f"The history in {file} cannot be used: {error}.") from error


def _build(tag: str, table: Mapping[str, object]) -> tuple[str, str]:
    value = table[tag]
    version = value if isinstance(value, str) else tag
    day = table.get(version)
    if not isinstance(day, datetime.date) or isinstance(day, datetime.datetime):
        raise ValueError(f"{value!r} is neither a date nor a tag with one")
    return version, f"{day.isoformat()}T09:00:00Z"


@dataclass(frozen=True)
class Store:
    """The storage of one registry, in the folder that its configuration names.

    Attributes:
        root: that folder.
        architecture: of the images, such as `amd64`. Their busybox is the machine's own all the
            same, which its kernel runs whatever an image declares.
    """

    root: Path
    architecture: str

    def seed(self, images: Iterable[str], history: History) -> None:
        """Put a stand-in at each `name:tag` of `images` and at each tag of the history.

        An architecture may stand before a name (`arm64 name:tag`).
        """
        if not (images or history):
            return
        files = _files()
        layer, diff_id = self._blob(_LAYER, gzip.compress(files, 1, mtime=0)), _digest(files)
        for image in images:
            architecture, _, reference = image.rpartition(" ")
            name, _, tag = reference.rpartition(":")
            self._put(name, tag, layer, _config(diff_id, architecture or self.architecture))
        for name, tags in history.items():
            for tag, (version, created) in tags.items():
                config = _config(diff_id, self.architecture, created, version)
                self._put(name, tag, layer, config)

    def _put(self, name: str, tag: str, layer: Descriptor, config: bytes) -> None:
        """Store an image, and let a tag point to it."""
        described = self._blob(_CONFIG, config)
        manifest = {"schemaVersion": 2, "mediaType": _MANIFEST, "config": described}
        content = json.dumps(manifest | {"layers": [layer]}).encode()
        digest = self._blob(_MANIFEST, content)["digest"]
        for part in (described["digest"], layer["digest"]):
            self._link(name, f"_layers/{_path(part)}", part)
        self._link(name, f"_manifests/revisions/{_path(digest)}", digest)
        self._link(name, f"_manifests/tags/{tag}/index/{_path(digest)}", digest)
        self._link(name, f"_manifests/tags/{tag}/current", digest)

    def _link(self, name: str, place: str, digest: str) -> None:
        folder = self.root / "docker/registry/v2/repositories" / name / place
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "link").write_text(digest)

    def _blob(self, kind: str, content: bytes) -> Descriptor:
        digest = _digest(content)
        number = digest.removeprefix("sha256:")
        folder = self.root / "docker/registry/v2/blobs/sha256" / number[:2] / number
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "data").write_bytes(content)
        return {"mediaType": kind, "size": len(content), "digest": digest}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _path(digest: str) -> str:
    return digest.replace(":", "/")


def _files() -> bytes:
    """Return the one layer of every image: a tar archive with busybox and its names."""
    if not (busybox := shutil.which("busybox")):
        raise CannotCheck("No stand-in image can be made without busybox: install busybox-static.")
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name in ("bin", "etc", "tmp"):
            _add(tar, name, tarfile.DIRTYPE)
        _add(tar, "bin/busybox", tarfile.REGTYPE, content=Path(busybox).read_bytes())
        for name in _PROGRAMS.split():
            _add(tar, f"bin/{name}", tarfile.SYMTYPE, target="busybox")
    return archive.getvalue()


def _add(
    tar: tarfile.TarFile, name: str, kind: bytes, *, content: bytes = b"", target: str = ""
) -> None:
    member = tarfile.TarInfo(name)
    member.mode, member.type, member.linkname, member.size = 0o755, kind, target, len(content)
    tar.addfile(member, io.BytesIO(content))


def _config(
    diff_id: str, architecture: str, created: str = "2026-01-01T00:00:00Z", version: str = ""
) -> bytes:
    """Return an image's configuration; one with a version runs until it is stopped."""
    command = ["/bin/sh", "-c", _SERVICE] if version else ["/bin/sh"]
    labels = {_VERSION: version} if version else None
    config = {
        "architecture": architecture,
        "os": "linux",
        "created": created,
        "config": {"Cmd": command, "Env": ["PATH=/bin"], "Labels": labels},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{"created": created, "created_by": "stand-in with busybox"}],
    }
    return json.dumps(config).encode()
