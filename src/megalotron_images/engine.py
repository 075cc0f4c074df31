"""The Docker engine, through its SDK: looking at an image and pushing it.

The SDK's push returns text and never raises, so its lines are read here.
"""

import contextlib
import math
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import docker
from docker.errors import APIError, ImageNotFound

from megalotron_images.concurrency import say_if_slow, seconds
from megalotron_images.docker_config import current_engine
from megalotron_images.errors import CannotTell, EngineFailed, NameTaken, innermost
from megalotron_images.plan import LocalImage
from megalotron_images.registry.client import PLATFORM, platform_in, platform_name
from megalotron_images.registry.credentials import Credentials
from megalotron_images.registry.hints import explain
from megalotron_images.registry.response import redact
from megalotron_images.terminal import step

Progress = Callable[[str, int, int], None]
"""Called with a layer's ID, the bytes sent, and its size."""
_SECONDS_OF_A_PUSH = 600
_WAITED_FOR = "your Docker engine"
_CONTAINERD = "io.containerd.snapshotter"
"""The engine's name for containerd's image store."""


class Engine:
    """A running Docker engine.

    Args:
        credentials: the login that it pushes with.
    """

    def __init__(self, credentials: Credentials | None = None) -> None:
        self._credentials = credentials
        with _failures(), say_if_slow(_WAITED_FOR):
            self._api: Any = _client().api

    def version(self) -> str:
        """Return the engine's version."""
        with _failures(), say_if_slow(_WAITED_FOR):
            return str(self._api.version()["Version"])

    def image(self, name: str) -> LocalImage:
        """Return an image, by its name or ID; raise EngineFailed if there is none.

        Before API 1.48 (Docker 28), an engine with containerd's image store lists one platform of
        an image: its own, if the image is for that. It can be asked about others.
        """
        with _failures(), say_if_slow(_WAITED_FOR):
            try:
                return self._image(name)
            except ImageNotFound:
                raise EngineFailed(f"No image {name} in your engine. Build or pull it.") from None

    def _image(self, name: str) -> LocalImage:
        response = self._api._get(self._api._url("/images/{0}/json", name), params={"manifests": 1})
        found = self._api._result(response, json=True)
        image = LocalImage(name, found["Id"], frozenset(), created=found.get("Created") or "")
        if parts := found.get("Manifests"):
            here = [part for part in parts if part["Available"] and part["Kind"] == "image"]
            platforms = frozenset(_platforms(here))
            if all(part["Available"] for part in parts):
                return replace(image, platforms=platforms)
            # of an image that is not all there the engine pushes one platform: its own, if it can
            pushable, engine = frozenset(part["ID"] for part in here), self._api.version()
            own = platforms & {platform_name(engine["Os"], engine["Arch"])}
            return replace(image, platforms=own or platforms, parts=pushable)
        stated = {key: found.get(key.capitalize()) for key in PLATFORM}
        image = replace(image, platforms=frozenset(platform_in(stated)))
        if _CONTAINERD not in str(self._api.info().get("DriverStatus")):
            return image
        return replace(image, is_for=partial(self._is_for, image.id))

    def _is_for(self, image: str, platform: str) -> bool:
        """Return whether an image has a part for a platform.

        The engine is asked for a container whose name it never takes: it looks for the part first
        (404 if there is none), then at the name (400), and creates nothing.
        """
        with _failures(), say_if_slow(_WAITED_FOR):
            try:
                self._api.create_container(image, name="-", platform=platform)
            except APIError as error:
                if error.status_code not in (400, 404):
                    raise
                return error.status_code == 400
        return True

    def push(self, image: LocalImage, repository: str, tag: str, progress: Progress) -> None:
        """Push an image to `repository:tag`.

        The name is given to the image for the push, and removed again.

        Raises:
            EngineFailed: the push failed; the error has the registry's words.
        """
        login = {}  # not None: for that the SDK looks for a login of its own
        if mine := self._credentials:
            login = {"username": mine.username, mine.kind: mine.password}
        with _failures():
            self._api.timeout = _SECONDS_OF_A_PUSH
            self._api.tag(image.id, repository, tag, force=True)
            try:
                how = {"stream": True, "decode": True, "auth_config": login}
                _follow(self._api.push(repository, tag, **how), progress)
            except EngineFailed as error:
                raise type(error)(redact(mine.secrets if mine else (), str(error))) from None
            finally:
                self._forget(image, f"{repository}:{tag}")

    def _forget(self, image: LocalImage, name: str) -> None:
        """Remove a name, unless it is the image's last: the image would go with it."""
        with contextlib.suppress(APIError):
            if set(self._api.inspect_image(image.id).get("RepoTags") or ()) - {name}:
                self._api.remove_image(name, noprune=True)


def _platforms(parts: list[dict[str, Any]]) -> Iterator[str]:
    for part in parts:
        own = (part.get("ImageData") or {}).get("Platform")
        yield from platform_in(own or part["Descriptor"].get("platform"))


def _client() -> docker.DockerClient:
    """Return a client of the engine that the docker command would use."""
    if (address := current_engine()).lower().startswith("ssh:"):
        where = f"The engine at {_without_user(address)} is reached over SSH"
        raise EngineFailed(f"{where}, which is not supported. Run this command on that machine.")
    environment = {**os.environ, "DOCKER_HOST": address}
    return docker.from_env(timeout=math.ceil(seconds()), environment=environment)


def _without_user(text: str) -> str:
    """Return an address, or a text with one, without the name and password in it."""
    return re.sub(r"//\S*@", "//", text)


def _follow(stream: Iterator[dict[str, Any]], progress: Progress) -> None:
    """Read a push to its end; raise EngineFailed for an error."""
    for line in stream:
        if "error" in line or "errorDetail" in line:
            said = line.get("errorDetail", {}).get("message") or line.get("error")
            raise _push_failed(str(said or "the engine does not say why"))
        if (line.get("aux") or {}).get("manifestPushedInsteadOfIndex"):
            pushed = platform_in(line["aux"].get("selectedManifest", {}).get("platform"))
            only = next(pushed, "one platform")
            step(f"the engine pushes only {only}: it does not have the other platforms")
        detail = line.get("progressDetail") or {}
        if total := detail.get("total"):
            progress(line.get("id", ""), min(detail.get("current", 0), total), total)


def _push_failed(said: str) -> EngineFailed:
    gone = re.search("tag does not exist|does not exist locally|but accessing it also failed", said)
    return NameTaken(said) if gone else EngineFailed(explain(said))


@contextlib.contextmanager
def _failures() -> Iterator[None]:
    """Turn what the SDK raises into EngineFailed, in the engine's words."""
    try:
        yield
    except APIError as error:
        raise _push_failed(str(error.explanation or error)) from None
    except CannotTell:
        raise
    # the SDK lets through what reading its configuration and its streams raises
    except Exception as error:
        said = _describe_failure(innermost(error))
        raise EngineFailed(_without_user(" ".join(said.split()))) from None


def _describe_failure(error: BaseException) -> str:
    said = getattr(error, "strerror", None) or str(error)
    engine = f"The Docker engine at {os.environ.get('DOCKER_HOST') or 'its usual address'}"
    if isinstance(error, PermissionError):
        step = "Join the group that owns its socket (docker) and log in again, or use sudo."
        return f"{engine} does not give you permission ({said}). {step}"
    if getattr(error, "errno", None) is None:  # the SDK reads all of Docker's logins, too
        step = "Check it: docker version. If it answers, log in again: a stored login is damaged."
        return f"{engine} cannot be used ({said}). {step}"
    return f"{engine} does not respond ({said}). Start it, and try: docker version"
