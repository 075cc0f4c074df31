"""The verb `promote`."""

import click

from megalotron_images import output, release
from megalotron_images.convention import DIGEST, MovingTag, parse_release, parse_stack
from megalotron_images.plan import Overrides
from megalotron_images.registry.client import connect
from megalotron_images.terminal import step
from megalotron_images.verbs import confirmation
from megalotron_images.verbs.arguments import (
    dry_run_option,
    fewer_platforms_option,
    json_option,
    stack_argument,
    yes_option,
)


@click.command(epilog="Example: megalotron-images promote backend v1.4.0 --to main")
@stack_argument
@click.argument("version", help="A release of that stack.")
@click.option(
    "--to", default="main", show_default=True, metavar="main|dev", help="The tag to move."
)
@click.option(
    "--expect", default="", metavar="DIGEST", help="Go on only if the tag points to this now."
)
@click.option("--prerelease", is_flag=True, help="Let a pre-release become main.")
@fewer_platforms_option
@dry_run_option
@yes_option
@json_option
def command(
    stack: str,
    version: str,
    to: str,
    expect: str,
    prerelease: bool,
    fewer_platforms: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Move main or dev to a release, forward or back.

    It happens inside the registry: nothing is pulled or pushed.
    """
    if to not in [*MovingTag]:
        raise click.BadParameter(f"--to {to}: only {' and '.join(MovingTag)} can be moved.")
    if expect and not DIGEST.fullmatch(expect):
        raise click.BadParameter("--expect takes a full digest: sha256: and 64 digits.")
    asked = Overrides(prerelease=prerelease, expect=expect, fewer_platforms=fewer_platforms)
    registry, one = connect(writes=not dry_run), parse_stack(stack)
    promotion = release.promote_plan(registry, one, parse_release(version), MovingTag(to), asked)
    if confirmation.may_write(promotion.plan, dry_run, yes, as_json):
        done = release.put(promotion.plan, promotion.manifest, registry, say=step)
        output.answer(done, done.data, as_json)
