"""What builds push by their outputs and caches, and what bake and compose files hold."""

import csv
import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from megalotron_images.audit.knowledge import PATTERNS
from megalotron_images.audit.model import WRITES, Place
from megalotron_images.audit.run import Run
from megalotron_images.audit.texts import either, unknown
from megalotron_images.audit.words import flag, operands, options
from megalotron_images.audit.yaml_files import Map, Unreadable

if TYPE_CHECKING:
    from megalotron_images.audit.shell import Shell

COMPOSE = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
_BAKE = ("docker-bake.json", "docker-bake.hcl", "docker-bake.override.hcl")
_PIECE = re.compile(r'"(?:\\.|\$\{[^}]*\}|[^"\\])*"|[][(){},\n]|[^][(){},"\n]+|"')
_INTERPOLATION = re.compile(r"\$\{(\w+)(?:(:?[-?+])([^}]*))?\}|\$(\w+)")


def _fields(text: str) -> dict[str, str]:
    rows = next(csv.reader([text.strip()]), [])
    return {key: value for key, _, value in (one.strip().partition("=") for one in rows)}


def outputs(run: Run, texts: Iterable[str], tags: Sequence[str]) -> None:
    """Note the outputs of a build: `type=registry`, or `push=true`."""
    for text in texts:
        fields = _fields(text)
        if fields.get("type") == "registry" or fields.get("push", "false") not in ("false", "0"):
            by_digest = fields.get("push-by-digest") == "true"
            for name in fields["name"].split(",") if fields.get("name") else tags:
                run.push(name, by_digest=by_digest)


def caches(run: Run, texts: Iterable[str]) -> None:
    """Note caches that are exported to a registry."""
    for text in filter(None, texts):
        fields = _fields(text)
        if fields.get("type") == "registry":
            run.push(fields.get("ref", unknown("where the cache goes")))
        elif "type" not in fields and text.strip() != "inline":
            run.push(text.strip())


def interpolated(text: str, variables: dict[str, str]) -> str:
    """Return a text with compose's and bake's variables put in."""

    def value(match: re.Match[str]) -> str:
        name, sign, default = match[1] or match[4], match[2] or "", match[3] or ""
        if name in variables:
            return variables[name] or (default if sign == ":-" else "")
        if sign.endswith("-"):
            return either([interpolated(default, variables), unknown(f"${name}")])
        return unknown(f"${name}")

    return _INTERPOLATION.sub(value, text.replace("$$", "$"))


_VARIABLE = PATTERNS["env_line"]
"""A line of a file `.env`."""


def dotenv(run: Run, folder: str = "") -> dict[str, str]:
    """Return the variables of the file `.env` in a folder, or else in the repository's."""
    names = [one for one in (posixpath.join(folder, ".env"), ".env") if run.folder.has(one)]
    text = run.folder.text(names[0]) if names else ""
    return {one[1]: one[2] or one[3] or one[4] or "" for one in _VARIABLE.finditer(text)}


def compose_push(
    run: Run,
    files: Sequence[str],
    services: Sequence[str],
    variables: dict[str, str],
    is_build: bool = False,
) -> None:
    """Note what `docker compose push` pushes: images of services; `build --push` all their tags."""
    if not files:
        run.doubt("`compose push` with a file that is not there", WRITES)
    for name in files:
        for place, service, given in compose_services(run, name):
            if services and service not in services:
                continue
            for text in _service_tags(given)[: None if is_build else 1]:
                image = interpolated(text, dotenv(run, posixpath.dirname(name)) | variables)
                run.bind(image, place)
                run.push(image)


def compose_services(run: Run, name: str) -> Iterator[tuple[Place, str, Map]]:
    """Yield the services of a compose file, with the line of their image."""
    for document in run.documents(name, "the file"):
        services = document.below("services")
        for service in services:
            given = services.below(service)
            yield Place(name, given.lines.get("image", 1)), service, given


def _service_tags(given: Map) -> list[str]:
    """Return what a build of a compose file's service is tagged."""
    held = given.below("build")
    more = [*held.get("tags", ()), *held.below("x-bake").get("tags", ())]
    return [one for one in (given.get("image"), *more) if isinstance(one, str)]


def bake_command(shell: "Shell", words: list[str], stdin: str) -> None:
    """Note `docker buildx bake`."""
    pushes = flag(words, "--push")
    given = options(words, "--set")
    files = list(map(shell.find, options(words, "-f", "--file")))
    files = files or shell.usual([*_BAKE, *COMPOSE])
    if not flag(words, "--print"):
        bake(shell.run, files, operands(words), shell.env, pushes, given)


def bake(
    run: Run,
    files: Sequence[str],
    targets: Sequence[str],
    variables: dict[str, str],
    pushes: bool,
    given: Sequence[str] = (),
) -> None:
    """Note what a bake file pushes: its tags, where it pushes at all, and its outputs.

    given: what `--set` replaces, as `*.tags=…`, `*.output=…`, `*.cache-to=…`.
    """
    names = files or [one for one in (*_BAKE, *COMPOSE) if run.folder.has(one)]
    if any(one.startswith("$") for one in names):  # a bake file of the metadata action
        tags = variables.get("DOCKER_METADATA_OUTPUT_TAGS", "").splitlines()
        given = [*given, *(f"*.tags={tag}" for tag in tags)]
    written = [one.partition("output=")[2] for one in given if ".output=" in one]
    pushes = pushes or any(one.endswith(".push=true") for one in given)
    tags = list[str]()
    for name in names:
        if not name.startswith(("http", "$")):
            tags += _bake_tags(run, name, variables, pushes)
    if any(".tags=" in one for one in given):
        tags = []
    tags += filter(None, (one.partition("tags=")[2] for one in given if ".tags=" in one))
    before = len(run.facts)
    outputs(run, written, tags)
    caches(run, (one.partition("cache-to=")[2] for one in given if ".cache-to=" in one))
    for tag in dict.fromkeys(tags) if pushes else ():
        run.push(tag)
    if pushes and len(run.facts) == before:
        where = ", ".join(names) or "its file is not there"
        run.doubt(f"what bake pushes is not seen: {where}", WRITES)


def _bake_tags(run: Run, name: str, variables: dict[str, str], pushes: bool) -> list[str]:
    """Return the tags in a bake file, and note the outputs and caches in it."""
    if name.endswith((".yml", ".yaml")):
        services, held = compose_services(run, name), dotenv(run) | variables
        images = [(one, place) for place, _, given in services for one in _service_tags(given)]
        texts = [(interpolated(text, held), place) for text, place in images]
    else:
        try:
            text = run.folder.text(name)
        except Unreadable as error:
            run.doubt(f"the bake file {name}: {error}", WRITES)
            return []
        text = re.sub(r"(^|[ \t])(#|//)[^\n\"]*$|^[ \t]*(#|//).*$", "", text, flags=re.MULTILINE)
        texts = list(_lists(text, "tags", name, variables))
        tags = [one for one, _ in texts]
        outputs(run, [one for one, _ in _lists(text, "output", name, variables)], tags)
        if pushes:
            caches(run, [one for one, _ in _lists(text, "cache-to", name, variables)])
    for reference, place in texts:
        run.bind(reference, place)
    return [reference for reference, _ in texts]


def _lists(
    text: str, key: str, name: str, variables: dict[str, str]
) -> Iterator[tuple[str, Place]]:
    """Yield the texts in the values of a key in a file in HCL or JSON, with their lines."""
    defaults = dict(re.findall(r'variable\s+"(\w+)"\s*\{[^}]*?default\s*=\s*"([^"]*)"', text))
    values = {**defaults, **variables}
    for match in re.finditer(rf'(?<![\w-])"?{key}"?\s*[=:]\s*', text):
        for item, at in _elements(text, match.end()):
            place = Place(name, text[:at].count("\n") + 1)
            yield from ((one, place) for one in _written(item, values) if one)


def _elements(text: str, start: int) -> Iterator[tuple[str, int]]:
    """Yield the elements of a list, or the whole of another expression, each with its place."""
    is_list, depth, found, at = text[start : start + 1] == "[", 0, "", start
    for piece in _PIECE.finditer(text, start):
        sign = piece[0]
        depth += (sign in "[({") - (sign in "])}")
        if (sign == "," and depth == 1 and is_list) or depth < 0 or (sign == "\n" and not depth):
            yield found, at
            found = ""
        elif not (is_list and sign == "[" and depth == 1):
            at = at if found.strip() else piece.start()
            found += sign
        if depth < 0 or (not depth and sign in ("]", "\n")):
            break
    yield found.removesuffix("]") if is_list else found, at


def _written(item: str, variables: dict[str, str]) -> list[str]:
    """Return what an element of a list may be: a text, a choice of texts, or fields."""
    item = item.strip()
    if item[:1] == "{":
        fields = re.findall(r'"?([\w-]+)"?\s*[=:]\s*"?([^",}\s]+)', item)
        return [",".join(map("=".join, fields))]
    texts = re.findall(r'"((?:\\.|\$\{[^}]*\}|[^"\\])*)"', item)
    if item in ("", "null") or (texts and f'"{texts[0]}"' == item):
        filled = [interpolated(one, variables) for one in texts]
        return [re.sub(r"\$\{.*?\}", lambda one: unknown(one[0]), one) for one in filled]
    if item in variables:
        return [variables[item]]
    whole = [interpolated(one, variables) for one in texts if "/" in one]
    return whole or [unknown(item[:80])]
