"""What buildx pushes: outputs and caches of a build, and bake files."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence

from megalotron_images.audit import compose
from megalotron_images.audit.model import WRITES, Place, Run
from megalotron_images.audit.shell import Shell
from megalotron_images.audit.texts import expand, has_holes, unknown
from megalotron_images.audit.words import flag, options

_BAKE = ("docker-bake.json", "docker-bake.hcl", "docker-bake.override.hcl", *compose.FILES)
_KEYS = ("tags", "output", "cache-to")
_STRING = r'"((?:\\.|\$\{[^}]*\}|[^"\\])*)"'
_PIECE = re.compile(rf'{_STRING}|[][(){{}},\n]|[^][(){{}},"\n]+|"')
_COMMENT = re.compile(r"(^|[ \t])(#|//)[^\n\"]*$|^[ \t]*(#|//).*$", re.MULTILINE)


def outputs(run: Run, texts: Iterable[str], tags: Sequence[str]) -> None:
    """Note the outputs of a build: `type=registry`, or `push=true`."""
    for text, fields in _variants(texts):
        if has_holes(fields.get("type", text)):
            run.doubt("where the output of a build goes is not known", WRITES)
        elif fields.get("type") == "registry" or fields.get("push", "false") not in ("false", "0"):
            by_digest = fields.get("push-by-digest") == "true"
            for name in fields["name"].split(",") if fields.get("name") else tags:
                run.push(name, by_digest=by_digest)


def caches(run: Run, texts: Iterable[str]) -> None:
    """Note caches that are exported to a registry."""
    for text, fields in _variants(filter(None, texts)):
        if fields.get("type") == "registry":
            run.push(fields.get("ref", unknown("where the cache goes")))
        elif "type" not in fields and text.strip() not in ("", "inline"):
            run.push(text.strip())


def _variants(texts: Iterable[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield options that are made of fields, each that it may be where its type is not known."""
    for one in texts:
        is_unknown = has_holes(_fields(one).get("type", one))
        yield from ((text, _fields(text)) for text in (expand(one, False) if is_unknown else [one]))


def _fields(text: str) -> dict[str, str]:
    rows = next(csv.reader([text.strip()]), [])
    return {key: value for key, _, value in (one.strip().partition("=") for one in rows)}


def bake(shell: Shell, words: list[str], stdin: str) -> None:
    """Note what `docker buildx bake` pushes: tags, where it pushes at all, outputs and caches."""
    if flag(words, "--print"):
        return
    run, given = shell.run, options(words, "--set")
    files = options(words, "-f", "--file")
    if any(one.startswith("$") for one in files):  # a bake file of the metadata action
        tags = shell.env.get("DOCKER_METADATA_OUTPUT_TAGS", "").splitlines()
        given += [f"*.tags={one}" for one in tags]
    chosen = {k: [one.partition(f"{k}=")[2] for one in given if f".{k}=" in one] for k in _KEYS}
    pushes = flag(words, "--push") or any(one.endswith(".push=true") for one in given)
    files = [shell.find(one) for one in files if not one.startswith(("http", "$"))]
    files = files or shell.usual(_BAKE)
    before = len(run.facts)
    tags = [tag for name in files for tag in _bake_tags(shell, name, pushes)]
    tags = list(filter(None, chosen["tags"])) if chosen["tags"] else tags
    outputs(run, chosen["output"], tags)
    caches(run, chosen["cache-to"])
    for tag in dict.fromkeys(tags) if pushes else ():
        run.push(tag)
    if pushes and len(run.facts) == before:
        run.doubt(f"what bake pushes is not seen: {files or 'its file is not there'}", WRITES)


def _bake_tags(shell: Shell, name: str, pushes: bool) -> list[str]:
    """Return the tags in a bake file, and note the outputs and caches in it."""
    run = shell.run
    if name.endswith((".yml", ".yaml")):
        values = compose.dotenv(run) | shell.env
        written = [(image, place) for _, image, place in compose.services(run, name, values, True)]
    else:
        text = _COMMENT.sub("", shell.read(name))
        defaults = re.findall(r'variable\s+"?(\w+)"?\s*\{[^}]*?default\s*=\s*"([^"]*)"', text)
        functions = re.findall(r'function\s+"?(\w+)"?\s*\{[^}]*?result\s*=([\s\S]*?)\n\}', text)
        values = dict(defaults) | {f"{key}(": body for key, body in functions} | shell.env
        lists = {key: list(_list(text, key, name, values)) for key in _KEYS}
        written = lists["tags"]
        outputs(run, [one for one, _ in lists["output"]], [one for one, _ in written])
        caches(run, [one for one, _ in lists["cache-to"]] if pushes else [])
    for reference, place in written:
        run.bind(reference, place)
    return [reference for reference, _ in written]


def _list(text: str, key: str, name: str, variables: dict[str, str]) -> Iterator[tuple[str, Place]]:
    """Yield the texts in the values of a key in a file in HCL or JSON, with their lines."""
    for match in re.finditer(rf'(?<![\w-])"?{key}"?\s*[=:]\s*', text):
        for item, at in _elements(text, match.end()):
            place = Place(name, text[:at].count("\n") + 1)
            yield from ((one, place) for one in _written(item.strip(), variables) if one)


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
    if item[:1] == "{":
        fields = re.findall(r'"?([\w-]+)"?\s*[=:]\s*"?([^",}\s]+)', item)
        return [",".join(map("=".join, fields))]
    if item in variables:
        return [variables[item]]
    body = variables.get(f"{item.partition('(')[0]}(", "")
    texts = re.findall(_STRING, body or item)
    is_plain = item in ("", "null") or (texts and f'"{texts[0]}"' == item)
    chosen = [one for one in texts if is_plain or "/" in one or (body and ":" in one)]
    whole = [compose.interpolated(one, variables) for one in chosen]
    whole = [re.sub(r"\$\{.*?\}", lambda one: unknown(one[0]), one) for one in whole]
    return whole if whole or is_plain else [unknown(item[:80])]
