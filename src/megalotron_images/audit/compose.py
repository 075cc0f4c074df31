"""Compose files: what `docker compose push` writes, and their variables."""

import posixpath
import re
from collections.abc import Iterator

from megalotron_images.audit.knowledge import PATTERNS
from megalotron_images.audit.model import WRITES, Place, Run
from megalotron_images.audit.shell import Shell
from megalotron_images.audit.texts import either, unknown
from megalotron_images.audit.words import flag, operands, options

FILES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
_INTERPOLATION = re.compile(r"\$\{(\w+)(?:(:?[-?+])([^}]*))?\}|\$(\w+)")


def interpolated(text: str, variables: dict[str, str]) -> str:
    """Return a text with compose's and bake's variables put in."""

    def value(match: re.Match[str]) -> str:
        name, sign, default = match[1] or match[4], match[2] or "", match[3] or ""
        if name in variables:
            return variables[name] or (default if sign == ":-" else "")
        missing = unknown(f"${name}")
        return either([interpolated(default, variables), missing]) if sign[-1:] == "-" else missing

    return _INTERPOLATION.sub(value, text.replace("$$", "$"))


def dotenv(run: Run, folder: str = "") -> dict[str, str]:
    """Return the variables of the file `.env` in a folder, or else in the repository's."""
    names = [one for one in (posixpath.join(folder, ".env"), ".env") if run.folder.has(one)]
    found = PATTERNS["env_line"].finditer(run.folder.text(names[0]) if names else "")
    return {one[1]: one[2] or one[3] or one[4] or "" for one in found}


def compose(shell: Shell, words: list[str], stdin: str) -> None:
    """Note `docker compose push`: images of services; and `build --push`: all their tags."""
    verb, *chosen = [*operands(words), ""]
    if verb != "push" and not (verb == "build" and flag(words, "--push")):
        return
    files = list(map(shell.find, options(words, "-f", "--file"))) or shell.usual(FILES)[:1]
    if not files:
        shell.run.doubt("`compose push` with a file that is not there", WRITES)
    for name in files:
        for service, image, place in services(shell.run, name, shell.env, verb == "build"):
            if not any(chosen) or service in chosen:
                shell.run.bind(image, place)
                shell.run.push(image)


Service = tuple[str, str, Place]
"""A service of a compose file, its image, and where this stands."""


def services(run: Run, name: str, env: dict[str, str], is_build: bool) -> Iterator[Service]:
    """Yield services of a compose file with their images, and all tags that a build gives them."""
    values = dotenv(run, posixpath.dirname(name)) | env
    for document in run.documents(name, "the file"):
        for service in document.below("services"):
            given = document.below("services").below(service)
            build = given.below("build")
            more = [*build.get("tags", ()), *build.below("x-bake").get("tags", ())]
            place = Place(name, given.lines.get("image", 1))
            for text in [given.get("image"), *more] if is_build else [given.get("image")]:
                if isinstance(text, str):
                    yield service, interpolated(text, values), place
