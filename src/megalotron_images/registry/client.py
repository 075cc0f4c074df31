"""What a registry holds, and the one way to change it: put a manifest's bytes at a tag.

Source: OCI distribution specification 1.1 ("Pulling manifests", "Pushing manifests", "Content
discovery").
"""

import contextlib
import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from typing import Any

from megalotron_images.concurrency import SECONDS, run_concurrently, seconds
from megalotron_images.convention import DIGEST, REGISTRY, Release
from megalotron_images.errors import NotThere, RegistryFailed
from megalotron_images.json_text import parsed
from megalotron_images.registry.authorization import Authorization
from megalotron_images.registry.credentials import Credentials, find_credentials
from megalotron_images.registry.https import Https
from megalotron_images.registry.response import NO_HEADERS, Headers, Request, Response, prepare
from megalotron_images.registry.retries import send_with_retries

INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
IMAGES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
KINDS = (*INDEXES, *IMAGES)
ACCEPT = ", ".join(KINDS)
"""Every kind of manifest: with fewer, a registry answers 404 for tags that exist."""
PLATFORM = ("os", "architecture", "variant")
_SAME_VARIANT = {("arm64", "v8"): "", ("amd64", "v1"): "", ("arm", ""): "v7"}
_PAGE = 100_000
"""Tags asked for at once: for each page a registry reads the names of all tags again."""
_MOST_PAGES = 1_000
_DISTRUST = "Do not trust it."
_MOST_LOOKED_AT, _LOOKED_AT_TOGETHER = 100, 4


@dataclass(frozen=True)
class Manifest:
    """A manifest or index: the exact bytes of its digest."""

    digest: str
    media_type: str
    content: bytes = field(repr=False)

    @property
    def document(self) -> dict[str, Any]:
        """The content."""
        document: dict[str, Any] = json.loads(self.content)
        return document

    @property
    def parts(self) -> list[dict[str, Any]]:
        """The descriptors in an index; none in the manifest of one image."""
        return list(self.document["manifests"]) if self.media_type in INDEXES else []

    @property
    def configuration(self) -> str | None:
        """The digest of an image's configuration; None for an index."""
        return None if self.media_type in INDEXES else str(self.document["config"]["digest"])


@dataclass(frozen=True)
class Free:
    """The tag is free: the registry says so itself."""

    digest: None = None
    manifest: None = None

    def __str__(self) -> str:
        return "nothing"


@dataclass(frozen=True)
class Taken:
    """The tag points to this digest, which is of this manifest."""

    digest: str
    manifest: Manifest | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return self.digest


@dataclass(frozen=True)
class Unknown:
    """The registry does not say, for this reason: the tag counts as taken."""

    reason: str
    digest: None = None
    manifest: None = None

    def __str__(self) -> str:
        return "something unknown"

    @property
    def data(self) -> dict[str, str | None]:
        """The same for programs."""
        return {"unknown": self.reason}


State = Free | Taken | Unknown


def platform_name(system: str, architecture: str, variant: str = "") -> str:
    """Return a platform as docker writes it, with what containerd takes for the same variant."""
    variant = _SAME_VARIANT.get((architecture, variant), variant)
    return "/".join(filter(None, (system, architecture, variant)))


def platform_in(said: object) -> Iterator[str]:
    """Yield the platform that a descriptor or configuration states, if it states one."""
    if isinstance(said, dict) and all(
        said.get(key) not in (None, "", "unknown") for key in PLATFORM[:2]
    ):
        yield platform_name(*(str(said.get(key) or "") for key in PLATFORM))


def is_attestation(part: dict[str, Any]) -> bool:
    """Whether a descriptor in an index is of an attestation, as BuildKit writes them."""
    platform = part.get("platform")
    known = platform if isinstance(platform, dict) else {}
    unknown = known.get("os") == known.get("architecture") == "unknown"
    return unknown or "vnd.docker.reference.type" in (part.get("annotations") or {})


class Registry:
    """Repositories of a registry, as far as the process needs them.

    Args:
        login: who reads and writes; nobody if there is none.
        seconds: the time limit of one request.
        writes: ask for a token that may write at once, not for one to read and another to write.
    """

    def __init__(
        self, host: str, login: Credentials | None, seconds: float = SECONDS, writes: bool = False
    ) -> None:
        self._host, self._seconds, self.login = host, seconds, login
        self._reads = "pull,push" if writes else "pull"
        https = Https(login.secrets if login else ())
        self._send = partial(send_with_retries, Authorization(https.send, login).send)

    def ask(
        self, method: str, path: str, scope: str, body: bytes = b"", headers: Headers = NO_HEADERS
    ) -> Response:
        """Send one request; return the response, which may be a refusal.

        Raises:
            RegistryFailed: there is no reliable response.
        """
        url, end = prepare(path, f"https://{self._host}/"), time.monotonic() + self._seconds
        return self._send(Request(method, url, scope, end, headers, body))

    def state(self, repository: str, reference: str) -> State:
        """Return what a tag or digest points to; free only if the registry itself says `unknown`.

        GET, not HEAD: that has no body, and so neither the registry's message nor bytes to check.
        """
        try:
            manifest = self.manifest(repository, reference)
            return Taken(manifest.digest, manifest)
        except NotThere:
            return Free()
        except RegistryFailed as error:
            return Unknown(str(error))

    def manifest(self, repository: str, reference: str) -> Manifest:
        """Return the manifest at a tag or digest, its bytes checked.

        Raises:
            RegistryFailed: there is none, or it cannot be read.
        """
        response = self._get(repository, f"manifests/{reference}")
        manifest = _manifest(response)
        if DIGEST.fullmatch(reference) and manifest.digest != reference:
            said = f"the content has the digest {manifest.digest}"
            raise response.request.failed(f"{said}. {_DISTRUST}")
        return manifest

    def tags(self, repository: str) -> list[str]:
        """Return all tags of a repository, unordered; none if there is no such repository."""
        listed = f"/v2/{repository}/tags/list"
        path: str | None = f"{listed}?n={_PAGE}"
        found, pages = dict[str, None](), set[str | None]()
        while path and path not in pages and len(pages) < _MOST_PAGES:
            pages.add(path)
            response = self.ask("GET", path, f"repository:{repository}:{self._reads}")
            if response.status == 400 and len(pages) == 1:  # Distribution 3.1, for n above 1,000
                path = listed
                continue
            if response.is_absence:
                return []
            if response.status != 200:
                raise response.failure()
            found.update(dict.fromkeys(_tags(response)))
            path = response.next_page
        if path:
            raise response.request.failed("the list of tags does not end, so it is ignored.")
        return list(found)

    def releases_of(
        self, repository: str, releases: Iterable[Release], sought: Set[str]
    ) -> dict[str, Release]:
        """Return the newest release for each digest that is `sought`, if one has it.

        Args:
            releases: the newest first; up to a hundred are looked at, a few at once.
        """
        found, left = dict[str, Release](), islice(releases, _MOST_LOOKED_AT)
        while not sought <= found.keys() and (some := list(islice(left, _LOOKED_AT_TOGETHER))):
            states = run_concurrently(partial(self.state, repository, str(one)) for one in some)
            for one, state in zip(some, states, strict=True):
                if state.digest:
                    found.setdefault(state.digest, one)
        return found

    def put(self, repository: str, tag: str, manifest: Manifest) -> None:
        """Put a manifest at a tag; raise RegistryFailed unless the registry accepted it."""
        path, scope = f"/v2/{repository}/manifests/{tag}", f"repository:{repository}:pull,push"
        kind = {"Content-Type": manifest.media_type}
        response = self.ask("PUT", path, scope, manifest.content, kind)
        if not 200 <= response.status < 300:  # accepted, at once or later: it is read back
            raise response.failure()

    def platforms(self, repository: str, manifest: Manifest) -> frozenset[str]:
        """Return the platforms of a manifest or index, such as `linux/amd64`.

        Images are read only where an index does not state their platforms; attestations have none.
        """
        parts = [part.get("platform") for part in manifest.parts if not is_attestation(part)]
        stated = [list(platform_in(part)) for part in parts]
        if not (stated and all(stated)):
            images = self._images(repository, manifest, set())
            stated = [list(platform_in(self._config(repository, one))) for one in images]
        return frozenset(chain(*stated))

    def created(self, repository: str, manifest: Manifest) -> str:
        """Return when an image, or an index's first image, was built (ISO 8601), or nothing."""
        return str(self._first_config(repository, manifest).get("created") or "")

    def revision(self, repository: str, manifest: Manifest) -> str:
        """Return the commit in the label of an image, or of an index's first image, or nothing.

        The label is org.opencontainers.image.revision of the OCI image specification.
        """
        with contextlib.suppress(LookupError, TypeError):
            labels = self._first_config(repository, manifest)["config"]["Labels"]
            return str(labels["org.opencontainers.image.revision"])
        return ""

    def _first_config(self, repository: str, manifest: Manifest) -> dict[str, Any]:
        image = next(self._images(repository, manifest, set()), None)
        return self._config(repository, image) if image else {}

    def _images(self, repository: str, manifest: Manifest, seen: set[str]) -> Iterator[Manifest]:
        """Yield the images of a manifest or index, those of nested indexes too, each once."""
        if manifest.media_type not in INDEXES:
            yield manifest
        for part in manifest.parts:
            if not is_attestation(part) and part["digest"] not in seen:
                seen.add(part["digest"])
                yield from self._images(repository, self.manifest(repository, part["digest"]), seen)

    def check_push(self, repository: str) -> None:
        """Raise RegistryFailed unless this login may push: an upload is begun, and never filled."""
        scope = f"repository:{repository}:pull,push"
        begun = self.ask("POST", f"/v2/{repository}/blobs/uploads/", scope)
        if begun.status != 202:
            raise begun.failure()

    def _config(self, repository: str, manifest: Manifest) -> dict[str, Any]:
        """Return an image's configuration; empty for what is no image, such as an attestation."""
        return self.json_blob(repository, manifest.document["config"]["digest"])

    def json_blob(self, repository: str, digest: str) -> dict[str, Any]:
        """Return a blob that is a JSON object; empty for any other."""
        response = self._get(repository, f"blobs/{digest}")
        if _digest(response.body) != digest:
            raise response.request.failed(f"the content has another digest. {_DISTRUST}")
        with contextlib.suppress(ValueError):
            found = parsed(response.body)
            return found if isinstance(found, dict) else {}
        return {}

    def _get(self, repository: str, rest: str) -> Response:
        scope, headers = f"repository:{repository}:{self._reads}", {"Accept": ACCEPT}
        response = self.ask("GET", f"/v2/{repository}/{rest}", scope, headers=headers)
        if response.status != 200:
            raise response.failure()
        return response


def connect(writes: bool = False) -> Registry:
    """Return the process's registry, with the login of the environment or of Docker."""
    return Registry(REGISTRY, find_credentials(REGISTRY), seconds(), writes)


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _manifest(response: Response) -> Manifest:
    digest = _digest(response.body)
    named = response.headers.get("Docker-Content-Digest", "").replace(",", " ").split()
    if others := set(named) - {digest}:  # it may come twice, or empty
        said = f"its header says {', '.join(sorted(others))}, but the content is {digest}"
        raise response.request.failed(f"{said}. {_DISTRUST}")
    try:
        document = parsed(response.body)
        kind = _kind(document, response.headers.get("Content-Type", ""))
        parts = document["manifests"] if kind in INDEXES else [document["config"]]
        if not all(DIGEST.fullmatch(part["digest"]) for part in parts):
            raise ValueError(parts)
    except (ValueError, LookupError, TypeError, AttributeError):
        said = "the response is not a manifest. Try again later."
        raise response.request.failed(said) from None
    return Manifest(digest, kind, response.body)


def _kind(document: dict[str, Any], header: str) -> str:
    """Return a manifest's media type: its own, the header's, or what its fields say it is."""
    said = str(document.get("mediaType") or header.partition(";")[0].strip().lower())
    if said in KINDS:
        return said
    return INDEXES[0] if "manifests" in document else IMAGES[0]


def _tags(response: Response) -> list[str]:
    with contextlib.suppress(ValueError, LookupError, TypeError):
        tags = parsed(response.body)["tags"]
        tags = [] if tags is None else tags
        if isinstance(tags, list) and all(isinstance(tag, str) for tag in tags):
            return tags
    raise response.request.failed("the response is not a list of tags. Try again later.")
