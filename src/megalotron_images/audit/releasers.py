"""Programs that release by a file of their own: GoReleaser, ko, jib."""

import posixpath
import re
from collections.abc import Sequence

from megalotron_images.audit.knowledge import RELEASERC
from megalotron_images.audit.model import WRITES, Place
from megalotron_images.audit.run import Run
from megalotron_images.audit.texts import apply, known, unknown
from megalotron_images.audit.yaml_files import Map

_GORELEASER = (".goreleaser.yml", ".goreleaser.yaml", "goreleaser.yml", "goreleaser.yaml")
_HASH = known("the commit's hash", "4f3c2b1a" * 5)
_FIELDS = {
    **{name: known("a number", "1") for name in ("Major", "Minor", "Patch")},
    **dict.fromkeys(("Commit", "FullCommit"), _HASH),
    "ShortCommit": known("the commit's hash", "4f3c2b1"),
    "Date": known("a date", "20260131"),
}
"""Fields of GoReleaser's templates."""
_TARGET = re.compile(r"\bto\s*\{[^}]*?image\s*=\s*['\"]([^'\"]+)|<to>\s*<image>([^<]+)", re.DOTALL)
"""Where jib pushes to, in the files of Gradle and Maven."""


def release(run: Run, words: Sequence[str], variables: dict[str, str]) -> None:
    """Note what GoReleaser pushes (the keys are those of its documentation)."""
    text = " ".join(words)
    verbs = [one for one in words if one[:1] != "-"]
    is_off = re.search(r"--snapshot|--skip-publish|--skip[= ]\S*(publish|docker)", text)
    if is_off or (verbs and "release" not in verbs):
        return
    named = re.findall(r"(?:-f|--config)[= ](\S+)", text) or _GORELEASER
    places = (posixpath.join(variables.get("\0folder", ""), one) for one in named)
    names = [one for one in (*places, *named) if run.folder.has(one)]
    if not names:
        run.doubt("GoReleaser's configuration is not there: it may push images", WRITES)
        return
    for document in run.documents(names[0], "GoReleaser's configuration", WRITES):
        if "includes" in document:
            run.doubt(f"{names[0]} includes others, which may push images", WRITES)
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
        default = one.get("repository", variables.get("KO_DOCKER_REPO", ""))
        below = "" if one.get("bare") == "true" else f"/{unknown('a package')}"
        place = Place(name, one.lines.get("tags", one.lines.get("repository", 1)))
        for repository in one.get("repositories", [default]):
            for tag in one.get("tags", ["latest"]):
                _template(run, f"{repository}{below}:{tag}", place, variables)


def _template(run: Run, text: str, place: Place, variables: dict[str, str]) -> None:
    """Note a reference that is a Go template; an empty one is skipped, as GoReleaser does."""
    github = run.contexts.get("github", {})
    is_tag = str(github.get("ref", "")).startswith("refs/tags/")
    tag = str(github["ref_name"]) if is_tag else known("a release's tag", "v1.2.3")
    version = apply(lambda one: one.removeprefix("v"), tag)
    values = _FIELDS | {"Tag": tag, "Version": version, "RawVersion": version}

    def value(match: re.Match[str]) -> str:
        field = match[1].strip().removeprefix("-").strip()
        if env := re.fullmatch(r"\.Env\.(\w+)", field):
            return variables.get(env[1], unknown(f"${env[1]}"))
        return values.get(field.removeprefix("."), unknown(f"{{{{ {field} }}}}"))

    reference = re.sub(r"\{\{(.*?)\}\}", value, text)
    run.bind(reference, place)
    if reference:
        run.push(reference)


def semantic_release(run: Run, *more: str) -> None:
    """Doubt semantic-release where its settings speak of images or of commands."""
    texts = [run.folder.text(one) for one in RELEASERC if run.folder.has(one)]
    if any(re.search(r"release.*(docker|/exec)", one, re.DOTALL) for one in [*texts, *more]):
        run.doubt("semantic-release runs commands or pushes images", WRITES)


def jib_image(run: Run) -> str:
    """Return where jib pushes to by the files of Maven and Gradle."""
    for name in ("build.gradle", "build.gradle.kts", "pom.xml"):
        source = run.folder.text(name) if run.folder.has(name) else ""
        if found := _TARGET.search(source):
            image = re.sub(r"\$\{?[\w.]+\}?", lambda one: unknown(one[0]), found[1] or found[2])
            run.bind(image, Place(name, source[: found.end()].count("\n") + 1))
            return image
    return unknown("where jib pushes to")
