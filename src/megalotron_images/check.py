"""Whether an image may be published: what the verb `check` finds."""

from megalotron_images.convention import parse_name, parse_reference
from megalotron_images.errors import RegistryFailed, RuleBroken
from megalotron_images.plan import Finding, LocalImage, Overrides, Verdict
from megalotron_images.provenance import find_provenance
from megalotron_images.registry.client import Unknown, connect
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
    registry, repository, about = connect(), reference.stack.image, "registry"
    try:
        if digest:
            state = registry.state(repository, str(reference.tag))
            if isinstance(state, Unknown):
                raise RegistryFailed(state.reason)
            verdict = Verdict.YES if state.digest == digest else Verdict.NO
            found.append(Finding("digest", verdict, f"{reference} points to {state}"))
        else:
            plan = publish_plan(registry, reference, image, Overrides(revision=revision))
            found += plan.findings
            listed = plan.needs - image.platforms if image and image.is_for else frozenset()
            if listed and Verdict.NO not in (one.verdict for one in found):
                why = "is in its list, but only the push shows whether the engine has all of it"
                text = f"{', '.join(sorted(listed))} {why}"
                found.append(Finding("platform", Verdict.UNKNOWN, text))
        if provenance:
            about = "built"
            manifest = registry.manifest(repository, str(reference.tag))
            found.append(find_provenance(registry, repository, manifest))
    except RegistryFailed as error:
        found.append(Finding(about, Verdict.UNKNOWN, str(error)))
    return found
