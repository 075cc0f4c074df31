"""What the files of builds push: bake and compose files, GoReleaser's, and those of Java."""

import csv
import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence

from megalotron_images.audit.knowledge import FIELDS, PATTERNS, RELEASERC
from megalotron_images.audit.model import WRITES, Place, Run
from megalotron_images.audit.shell import Shell
from megalotron_images.audit.texts import apply, either, expand, has_holes, known, unknown
from megalotron_images.audit.words import flag, operands, options
from megalotron_images.audit.yaml_files import Map, items

COMPOSE = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
_BAKE = ("docker-bake.json", "docker-bake.hcl", "docker-bake.override.hcl", *COMPOSE)
_KEYS = ("tags", "output", "cache-to")
_GORELEASER = (".goreleaser.yml", ".goreleaser.yaml", "goreleaser.yml", "goreleaser.yaml")
_STRING = r'"((?:\\.|\$\{[^}]*\}|[^"\\])*)"'
_PIECE = re.compile(rf'{_STRING}|[][(){{}},\n]|[^][(){{}},"\n]+|"')
_INTERPOLATION = re.compile(r"\$\{(\w+)(?:(:?[-?+])([^}]*))?\}|\$(\w+)")
_COMMENT = re.compile(r"(^|[ \t])(#|//)[^\n\"]*$|^[ \t]*(#|//).*$", re.MULTILINE)
_TARGET = re.compile(r"\bto\s*\{[^}]*?image\s*=\s*['\"]([^'\"]+)|<to>\s*<image>([^<]+)", re.DOTALL)
"""Where jib pushes to, in the files of Gradle and Maven."""
_FIELDS = {name: known(*given) for name, given in FIELDS.items()}
"""Fields of GoReleaser's templates."""


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
    files = list(map(shell.find, options(words, "-f", "--file"))) or shell.usual(COMPOSE)[:1]
    if not files:
        shell.run.doubt("`compose push` with a file that is not there", WRITES)
    for name in files:
        for service, image, place in _services(shell.run, name, shell.env, verb == "build"):
            if not any(chosen) or service in chosen:
                shell.run.bind(image, place)
                shell.run.push(image)


Service = tuple[str, str, Place]
"""A service of a compose file, its image, and where this stands."""


def _services(run: Run, name: str, env: dict[str, str], is_build: bool) -> Iterator[Service]:
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
        values = dotenv(run) | shell.env
        written = [(image, place) for _, image, place in _services(run, name, values, True)]
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
    whole = [
        interpolated(one, variables)
        for one in texts
        if is_plain or "/" in one or (body and ":" in one)
    ]
    whole = [re.sub(r"\$\{.*?\}", lambda one: unknown(one[0]), one) for one in whole]
    return whole if whole or is_plain else [unknown(item[:80])]


def goreleaser(shell: Shell, words: list[str], stdin: str) -> None:
    """Note what GoReleaser pushes (the keys are those of its documentation)."""
    text, run = " ".join(words), shell.run
    verbs = [one for one in words if one[:1] != "-"]
    is_off = re.search(r"--snapshot|--skip-publish|--skip[= ]\S*(publish|docker)", text)
    if is_off or (verbs and "release" not in verbs):
        return
    names = shell.usual(re.findall(r"(?:-f|--config)[= ](\S+)", text) or _GORELEASER)
    if not names:
        run.doubt("GoReleaser's configuration is not there: it may push images", WRITES)
    for document in run.documents(names[0], "its configuration", WRITES) if names else ():
        if "includes" in document:
            run.doubt(f"{names[0]} includes others, which may push images", WRITES)
        own = (one.partition("=")[::2] for one in document.get("env", []) if "{{" not in one)
        env = dict(own) | shell.env
        for template, line in _templates(document, env):
            reference = _filled(run, template, env)
            run.bind(reference, Place(names[0], line))
            if reference:  # GoReleaser skips an empty one
                run.push(reference)


def _templates(document: Map, variables: dict[str, str]) -> Iterator[tuple[str, int]]:
    """Yield the references in GoReleaser's configuration, which are Go templates."""
    for key, field in (("dockers", "image_templates"), ("docker_manifests", "name_template")):
        for one in document.get(key, []):
            if field in one and one.get("skip_push") != "true":
                yield from items(one[field]) or [(one[field], one.lines[field])]
    for one in document.get("dockers_v2", []):
        for image, line in items(one.get("images")):
            yield from ((f"{image}:{tag}", line) for tag in one.get("tags", []))
    for one in document.get("kos", []):
        default = one.get("repository", variables.get("KO_DOCKER_REPO", ""))
        below = "" if one.get("bare") == "true" else f"/{unknown('a package')}"
        line = one.lines.get("tags", one.lines.get("repository", 1))
        for repository in one.get("repositories", [default]):
            yield from ((f"{repository}{below}:{tag}", line) for tag in one.get("tags", ["latest"]))


def _filled(run: Run, template: str, variables: dict[str, str]) -> str:
    """Return a Go template filled in."""
    github = run.contexts.get("github", {})
    is_tag = str(github.get("ref", "")).startswith("refs/tags/")
    tag = str(github["ref_name"]) if is_tag else known("a release's tag", "v1.2.3")
    version = apply(lambda one: one.removeprefix("v"), tag)
    values = {**_FIELDS, "Tag": tag, "Version": version, "RawVersion": version}
    values |= {f"Env.{name}": value for name, value in variables.items()}

    def value(match: re.Match[str]) -> str:
        field = match[1].strip().removeprefix("-").strip()
        return values.get(field.removeprefix("."), unknown(f"{{{{ {field} }}}}"))

    return re.sub(r"\{\{(.*?)\}\}", value, template)


def semantic_release(run: Run, *more: str) -> None:
    """Doubt semantic-release where its settings speak of images or of commands."""
    texts = [run.folder.text(one) for one in RELEASERC if run.folder.has(one)]
    if any(re.search(r"release.*(docker|/exec)", one, re.DOTALL) for one in [*texts, *more]):
        run.doubt("semantic-release runs commands or pushes images", WRITES)


def jib_image(shell: Shell, words: list[str], stdin: str) -> str:
    """Return where jib pushes to by the files of Maven and Gradle."""
    for name in ("build.gradle", "build.gradle.kts", "pom.xml"):
        source = shell.run.folder.text(name) if shell.run.folder.has(name) else ""
        if found := _TARGET.search(source):
            image = re.sub(r"\$\{?[\w.]+\}?", lambda one: unknown(one[0]), found[1] or found[2])
            shell.run.bind(image, Place(name, source[: found.end()].count("\n") + 1))
            return image
    return unknown("where jib pushes to")
