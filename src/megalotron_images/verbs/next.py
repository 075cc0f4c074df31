"""The verb `next`."""

import click

from megalotron_images import arguments, output
from megalotron_images.convention import Bump, next_release, parse_stack, releases_among
from megalotron_images.registry.client import connect


@click.command(epilog="Example: megalotron-images next backend --minor")
@arguments.stack
@click.option("--patch", is_flag=True, help="Raise Z of vX.Y.Z (the default).")
@click.option("--minor", is_flag=True, help="Raise Y.")
@click.option("--major", is_flag=True, help="Raise X.")
@arguments.as_json
def command(stack: str, patch: bool, minor: bool, major: bool, as_json: bool) -> None:
    """Print the next version of a stack, alone on its line."""
    if patch + minor + major > 1:
        raise click.BadParameter("Give one of --patch, --minor and --major.")
    bump: Bump = "major" if major else "minor" if minor else "patch"
    one = parse_stack(stack)
    newest = next(releases_among(connect().tags(one.image)), None)
    following = next_release(newest, bump)
    output.answer(following, {"stack": one.name, "version": str(following)}, as_json)
