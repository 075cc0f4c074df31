"""The verb `status`."""

from functools import partial

import click

from megalotron_images import arguments, output
from megalotron_images.concurrency import run_concurrently
from megalotron_images.errors import CannotTell
from megalotron_images.registry.client import connect
from megalotron_images.status import read_releases, read_status


@click.command(epilog="Example: megalotron-images status backend")
@arguments.one_or_all
@click.option("--releases", is_flag=True, help="List every release instead, the newest first.")
@click.option("--digests", is_flag=True, help="Show each tag's digest, and whole ones anywhere.")
@arguments.as_json
def command(stack: str, releases: bool, digests: bool, as_json: bool) -> None:
    """Show each stack's newest release, and what main and dev are.

    Tags that are not releases are shown as a short digest.
    """
    registry = connect()
    stacks = run_concurrently(
        partial(read_status, registry, one) for one in arguments.parse_stacks(stack)
    )
    unknown = [reason for one in stacks for reason in one.unknown]
    if releases:
        head = ("STACK", "RELEASE", "BUILT", "DIGEST")
        found = [built for one in stacks for built in read_releases(registry, one)]
        rows, data = [one.row for one in found], [one.data for one in found]
        unknown += [one.unknown for one in found if one.unknown]
    else:
        head = ("STACK", "TAG", "IS", "DIGEST") if digests else ("STACK", "NEWEST", "MAIN", "DEV")
        rows = [row for one in stacks for row in (one.rows if digests else [one.row])]
        data = [one.data for one in stacks]
    output.answer(output.table([head, *rows], digests), data, as_json)
    if unknown:
        raise CannotTell(" ".join(unknown))
