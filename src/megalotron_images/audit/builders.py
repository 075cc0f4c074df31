"""Programs that build and push by a file of their own: bake, compose, GoReleaser, ko, jib."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from megalotron_images.audit.model import WRITES, How, Place
from megalotron_images.audit.run import Run
from megalotron_images.audit.texts import apply, either, known, unknown
from megalotron_images.audit.words import flag, operands, options
from megalotron_images.audit.yaml_files import Map, Unreadable

if TYPE_CHECKING:
    from megalotron_images.audit.shell import Shell

COMPOSE = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
_BAKE = ("docker-bake.json", "docker-bake.hcl", "docker-bake.override.hcl")
_GORELEASER = (".goreleaser.yml", ".goreleaser.yaml", "goreleaser.yml", "goreleaser.yaml")
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


def dotenv(run: Run) -> dict[str, str]:
    """Return the variables of the file `.env`."""
    if not run.folder.has(".env"):
        return {}
    pairs = (line.split("=", 1) for line in run.folder.text(".env").splitlines() if "=" in line)
    return {name.strip(): value.strip().strip("\"'") for name, value in pairs}


def compose_push(
    run: Run, files: Sequence[str], services: Sequence[str], variables: dict[str, str]
) -> None:
    """Note what `docker compose push` pushes: the images of services that are built."""
    names = files or [one for one in COMPOSE if run.folder.has(one)][:1]
    if not names:
        run.doubt("`compose push` with a file that is not there", WRITES)
    for name in names:
        for place, service, given in compose_services(run, name):
            if (not services or service in services) and "image" in given:
                image = interpolated(given["image"], dotenv(run) | variables)
                run.bind(image, place)
                run.push(image)


def compose_services(run: Run, name: str) -> Iterator[tuple[Place, str, Map]]:
    """Yield the services of a compose file, with the line of their image."""
    try:
        documents = run.folder.documents(name)
    except Unreadable as error:
        run.doubt(f"{name}: {error}")
        return
    for document in documents:
        services = document.get("services") if isinstance(document, Map) else None
        for service, given in (services if isinstance(services, Map) else Map()).items():
            if isinstance(given, Map):
                yield Place(name, given.lines.get("image", 1)), service, given


def bake_command(shell: "Shell", words: list[str], stdin: str) -> None:
    """Note `docker buildx bake`."""
    pushes = flag(words, "--push")
    given = options(words, "--set")
    files = options(words, "-f", "--file")
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
    """Note what a bake file pushes: its tags, where it pushes at all, and its outputs."""
    names = files or [one for one in (*_BAKE, *COMPOSE) if run.folder.has(one)]
    set_push = any(
        re.search(r"output=.*(type=registry|push=true)|\.push=true", one) for one in given
    )
    found = [one.partition("tags=")[2] for one in given if ".tags=" in one or ".tags+=" in one]
    for one in given:
        if ".cache-to=" in one:
            caches(run, [one.partition("=")[2]])
    for name in names:
        if not name.startswith(("http", "$")):
            found += _bake_tags(run, name, variables, pushes or set_push)
    if not (pushes or set_push):
        return
    for tag in dict.fromkeys(found):
        run.push(tag)
    if not found:
        run.doubt(
            f"what bake pushes is not seen: {', '.join(names) or 'its file is not there'}", WRITES
        )


def _bake_tags(run: Run, name: str, variables: dict[str, str], pushes: bool) -> list[str]:
    """Return the tags in a bake file, and note the outputs and caches in it."""
    if name.endswith((".yml", ".yaml")):
        images = [(p, g["image"]) for p, _, g in compose_services(run, name) if "image" in g]
        texts = [(interpolated(text, dotenv(run) | variables), place) for place, text in images]
    else:
        try:
            text = run.folder.text(name)
        except Unreadable as error:
            run.doubt(f"the bake file {name}: {error}")
            return []
        texts = list(_lists(text, "tags", name, variables))
        for key, note in (("output", outputs), ("cache-to", caches)):
            held = [one for one, _ in _lists(text, key, name, variables)]
            tags = [one for one, _ in texts]
            if key == "output":
                outputs(run, held, tags)
            else:
                note(run, held) if pushes else None  # type: ignore[call-arg]
    for reference, place in texts:
        run.bind(reference, place)
    return [reference for reference, _ in texts]


def _lists(
    text: str, key: str, name: str, variables: dict[str, str]
) -> Iterator[tuple[str, Place]]:
    """Yield the texts in the lists named `key` of a file in HCL or JSON, with their lines."""
    defaults = dict(re.findall(r'variable\s+"(\w+)"\s*\{[^}]*?default\s*=\s*"([^"]*)"', text))
    values = {name_: str(variables.get(name_, one)) for name_, one in defaults.items()}
    for match in re.finditer(rf'"?{key}"?\s*[=:]\s*\[(.*?)\]', text, re.DOTALL):
        for item in re.finditer(r'"((?:[^"$]|\$\{[^}]*\}|\$)*)"', match[1]):
            line = text[: match.start(1) + item.start()].count("\n") + 1
            yield interpolated(item[1], variables | values), Place(name, line)
        if not re.search(r'"', match[1]) and match[1].strip():
            yield (
                unknown(f"what {key} of {name} holds"),
                Place(name, text[: match.start()].count("\n") + 1),
            )


def goreleaser(shell: "Shell", words: list[str], stdin: str) -> str | None:
    """Note `goreleaser release`, unless it is a snapshot or skips what it would publish."""
    release(shell.run, words, shell.env)
    return None


def release(run: Run, words: Sequence[str], variables: dict[str, str]) -> None:
    """Note what GoReleaser pushes (the keys are those of its documentation)."""
    text = " ".join(words)
    skipped = re.search(r"--skip[= ](\S*)", text)
    verbs = [one for one in words if one[:1] != "-"]
    if (verbs and "release" not in verbs) or "--snapshot" in text or "--skip-publish" in text:
        return
    if skipped and re.search(r"publish|docker", skipped[1]):
        return
    named = re.search(r"(?:-f|--config)[= ](\S+)", text)
    names = [named[1]] if named else [one for one in _GORELEASER if run.folder.has(one)]
    if not names:
        run.doubt("GoReleaser's configuration is not there: it may push images", WRITES)
        return
    try:
        documents = run.folder.documents(names[0])
    except Unreadable as error:
        run.doubt(f"GoReleaser's configuration {names[0]}: {error}", WRITES)
        return
    for document in documents:
        if isinstance(document, Map):
            _goreleaser_images(run, document, names[0], variables)


def _goreleaser_images(run: Run, document: Map, name: str, variables: dict[str, str]) -> None:
    for key, field in (("dockers", "image_templates"), ("docker_manifests", "name_template")):
        for one in document.get(key, []):
            if one.get("skip_push", "false") in ("true",):
                continue
            held = one.get(field, [])
            for at, text in enumerate([held] if isinstance(held, str) else held):
                line = one.lines[field] if isinstance(held, str) else held.lines[at]
                _template(run, text, Place(name, line), variables)
    for one in document.get("dockers_v2", []):
        for at, image in enumerate(one.get("images", [])):
            for tag in one.get("tags", []):
                _template(run, f"{image}:{tag}", Place(name, one["images"].lines[at]), variables)
    _ko_images(run, document, name, variables)


def _ko_images(run: Run, document: Map, name: str, variables: dict[str, str]) -> None:
    for one in document.get("kos", []):
        repositories = one.get(
            "repositories", [one.get("repository", variables.get("KO_DOCKER_REPO", ""))]
        )
        for repository in repositories:
            for tag in one.get("tags", ["latest"]):
                place = Place(name, one.lines.get("tags", one.lines.get("repository", 1)))
                whole = (
                    repository
                    if one.get("bare") == "true"
                    else f"{repository}/{unknown('a package')}"
                )
                _template(run, f"{whole}:{tag}", place, variables)


def _template(run: Run, text: str, place: Place, variables: dict[str, str]) -> None:
    """Note a reference that is a Go template; an empty one is skipped, as GoReleaser does."""
    github = run.contexts.get("github", {})
    tag = github.get("ref_name", "") if str(github.get("ref", "")).startswith("refs/tags/") else ""
    version = apply(lambda one: one.removeprefix("v"), tag or known("a release's tag", "v1.2.3"))
    values = {"Tag": tag or known("a release's tag", "v1.2.3"), "Version": version}
    values |= {
        "RawVersion": version,
        "Major": known("a number", "1"),
        "Minor": known("a number", "2"),
    }
    values |= {"Patch": known("a number", "3"), "ProjectName": unknown("the project's name")}
    values |= {
        "ShortCommit": known("the commit's hash", "4f3c2b1"),
        "Date": known("a date", "20260131"),
    }
    values |= {
        "Commit": known("the commit's hash", "4f3c2b1a" * 5),
        "FullCommit": known("the commit's hash", "4f3c2b1a" * 5),
    }

    def value(match: re.Match[str]) -> str:
        field = match[1].strip().removeprefix("-").strip()
        if env := re.fullmatch(r"\.Env\.(\w+)", field):
            return variables.get(env[1], unknown(f"${env[1]}"))
        return values.get(field.removeprefix("."), unknown(f"{{{{ {field} }}}}"))

    reference = re.sub(r"\{\{(.*?)\}\}", value, text)
    run.bind(reference, place)
    if reference:
        run.push(reference)


def ko(shell: "Shell", words: list[str], stdin: str) -> str | None:
    """Note `ko build` and its kin; the tag is `latest`, unless `--tags` says otherwise."""
    verb = (operands(words) or [""])[0]
    if verb == "login":
        shell.handler(shell, ["docker", *words[words.index("login") :]], stdin)
        return None
    if verb not in ("build", "publish", "apply", "resolve", "create") or flag(
        words, "--local", "-L"
    ):
        return None
    if "--push=false" in words:
        return None
    repository = shell.env.get("KO_DOCKER_REPO", unknown("$KO_DOCKER_REPO"))
    if repository == "ko.local":
        return None
    whole = repository if flag(words, "--bare") else f"{repository}/{unknown('a package')}"
    for tags in options(words, "--tags", "-t") or ["latest"]:
        for tag in tags.split(","):
            shell.run.push(f"{whole}:{tag}")
    return f"{whole}@sha256:{'0' * 64}"


def jib(run: Run, words: Sequence[str]) -> None:
    """Note jib of Maven and Gradle: the target in the command line, or in the build's file."""
    text = " ".join(words)
    named = re.findall(r"-D(?:jib\.to\.)?image=(\S+)|--image=(\S+)", text)
    tags = re.findall(r"-Djib\.to\.tags=(\S+)", text)
    images = [a or b for a, b in named]
    for name in ("build.gradle", "build.gradle.kts", "pom.xml"):
        if not images and run.folder.has(name):
            source = run.folder.text(name)
            found = re.search(
                r"\bto\s*\{[^}]*?image\s*=\s*['\"]([^'\"]+)|<to>\s*<image>([^<]+)", source
            )
            if found:
                images = [re.sub(r"\$\{?[\w.]+\}?", lambda m: unknown(m[0]), found[1] or found[2])]
                run.bind(images[0], Place(name, source[: found.end()].count("\n") + 1))
    users, words_ = (
        re.findall(r"auth\.username=(\S+)", text),
        re.findall(r"auth\.password=(\S+)", text),
    )
    if users and words_:
        registry = images[0].partition("/")[0] if images else unknown("a registry")
        run.login(registry, users[0], words_[0], How.ARGUMENT)
    if not images:
        run.doubt("where jib pushes to is not seen", WRITES)
    for image in images:
        run.push(image)
        bare = re.sub(r":[^/:]*$", "", image)
        for tag in ",".join(tags).split(",") if tags else []:
            run.push(f"{bare}:{tag}")
