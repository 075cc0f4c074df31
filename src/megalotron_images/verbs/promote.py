"""The verb `promote`."""

from typing import Any

import click

from megalotron_images import arguments, confirmation, output, release
from megalotron_images.convention import MovingTag, parse_release, parse_stack
from megalotron_images.plan import Overrides
from megalotron_images.registry.client import connect
from megalotron_images.terminal import step

_TO = click.Choice([str(tag) for tag in MovingTag])


@click.command(epilog="Example: megalotron-images promote backend v1.4.0 --to main")
@arguments.stack
@click.argument("version", help="A release of that stack.")
@click.option("--to", type=_TO, default="main", show_default=True, help="The tag to move.")
@click.option("--expect", default="", metavar="DIGEST", help="Require that it points to this now.")
@click.option("--prerelease", is_flag=True, help="Let a pre-release become main.")
@arguments.fewer_platforms
@arguments.dry_run
@arguments.yes
@arguments.as_json
def command(
    stack: str, version: str, to: str, dry_run: bool, yes: bool, as_json: bool, **asked: Any
) -> None:
    """Move main or dev to a release, forward or back.

    It happens inside the registry: nothing is pulled or pushed.
    """
    registry, one = connect(writes=not dry_run), parse_stack(stack)
    what = one, parse_release(version), MovingTag(to), Overrides(**asked)
    plan, manifest = release.promote_plan(registry, *what)
    if confirmation.may_write(plan, dry_run, yes, as_json):
        done = release.put(plan, manifest, registry, say=step)
        output.answer(done, done.data, as_json)
