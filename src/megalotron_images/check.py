"""Whether an image may be published: what the verb `check` finds."""

from megalotron_images.convention import parse_name, parse_reference
from megalotron_images.errors import NotThere, RegistryFailed, RuleBroken
from megalotron_images.plan import Finding, LocalImage, Overrides, Verdict
from megalotron_images.provenance import find_provenance
from megalotron_images.registry.client import connect
from megalotron_images.release import publish_plan


def examine(text: str, image: LocalImage | None, revision: str, provenance: bool) -> list[Finding]:
    """Return the findings about publishing an image; after a broken name there are no others.

    A name with a digest is that of an image in the registry: its tag must point to it.
    """
    try:
        reference, digest = parse_reference(text), parse_name(text).digest
    except RuleBroken as error:
        return [Finding("name", Verdict.NO, str(error))]
    found = [Finding("name", Verdict.YES, f"{reference} follows the convention")]
    if image:
        found.append(Finding("image", Verdict.YES, f"{image.name} is {image.id}"))
    registry, repository = connect(), reference.stack.image
    about = "digest" if digest else "registry"
    try:
        if digest:
            manifest = registry.manifest(repository, str(reference.tag))
            verdict = Verdict.YES if manifest.digest == digest else Verdict.NO
            found.append(Finding(about, verdict, f"{reference} points to {manifest.digest}"))
        else:
            plan = publish_plan(registry, reference, image, Overrides(revision=revision))
            found += plan.findings
        if provenance:
            about = "built"
            manifest = registry.manifest(repository, str(reference.tag))
            found.append(find_provenance(registry, repository, manifest))
    except RegistryFailed as error:
        is_missing = about == "digest" and isinstance(error, NotThere)
        found.append(Finding(about, Verdict.NO if is_missing else Verdict.UNKNOWN, str(error)))
    return found
