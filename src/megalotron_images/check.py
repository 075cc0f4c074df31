"""Whether an image may be published: what the verb `check` finds."""

from megalotron_images.convention import Reference, parse_name, parse_reference
from megalotron_images.errors import NotThere, RegistryFailed, RuleBroken
from megalotron_images.plan import Finding, LocalImage, Overrides, Verdict
from megalotron_images.registry.client import connect
from megalotron_images.release import publish_plan


def examine(reference: str, image: str, revision: str, provenance: bool) -> list[Finding]:
    """Return the findings about a reference, and about a local image, if one is named."""
    local = None
    if image:
        from megalotron_images.engine import Engine

        local = Engine().image(image)
    found = _findings(reference, local, revision)
    if provenance and found[0].verdict is Verdict.YES:
        found.append(_provenance(parse_reference(reference)))
    return found


def _findings(text: str, image: LocalImage | None, revision: str) -> list[Finding]:
    """Return the findings about publishing an image; after a broken name there are no others.

    A name with a digest is that of an image which is there: its tag must point to it.
    """
    try:
        reference, digest = parse_reference(text), parse_name(text).digest
    except RuleBroken as error:
        return [Finding("name", Verdict.NO, str(error))]
    name = Finding("name", Verdict.YES, f"{reference} follows the convention")
    registry = connect()
    try:
        if digest:
            manifest = registry.manifest(reference.stack.image, str(reference.tag))
            verdict = Verdict.YES if manifest.digest == digest else Verdict.NO
            return [name, Finding("digest", verdict, f"{reference} points to {manifest.digest}")]
        plan = publish_plan(registry, reference, image, Overrides(revision=revision))
    except NotThere as error:
        return [name, Finding("digest", Verdict.NO, str(error))]
    except RegistryFailed as error:
        return [name, Finding("registry", Verdict.UNKNOWN, str(error))]
    return [name, *plan.findings]


def _provenance(reference: Reference) -> Finding:
    from megalotron_images.provenance import find_provenance

    registry, repository = connect(), reference.stack.image
    try:
        manifest = registry.manifest(repository, str(reference.tag))
        return find_provenance(registry, repository, manifest)
    except RegistryFailed as error:
        return Finding("built", Verdict.UNKNOWN, str(error))
