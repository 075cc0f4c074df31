"""What programs that build and release push by their files: GoReleaser, semantic-release, jib."""

import re
from collections.abc import Iterator

from megalotron_images.audit.knowledge import FIELDS, RELEASERC
from megalotron_images.audit.model import WRITES, Place, Run
from megalotron_images.audit.shell import Shell
from megalotron_images.audit.texts import apply, one_of, unknown
from megalotron_images.audit.yaml_files import Map, items

_GORELEASER = (".goreleaser.yml", ".goreleaser.yaml", "goreleaser.yml", "goreleaser.yaml")
_TARGET = re.compile(r"\bto\s*\{[^}]*?image\s*=\s*['\"]([^'\"]+)|<to>\s*<image>([^<]+)", re.DOTALL)
"""Where jib pushes to, in the files of Gradle and Maven."""
_FIELDS = {name: one_of(*given) for name, given in FIELDS.items()}
"""Fields of GoReleaser's templates."""


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
            reference = _from_template(run, template, env)
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


def _from_template(run: Run, template: str, variables: dict[str, str]) -> str:
    """Return a Go template filled in."""
    github = run.contexts.get("github", {})
    is_tag = str(github.get("ref", "")).startswith("refs/tags/")
    tag = str(github["ref_name"]) if is_tag else one_of("a release's tag", "v1.2.3")
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
