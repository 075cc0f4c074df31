"""Arguments and options that several verbs have."""

from collections.abc import Sequence

import click

from megalotron_images.convention import STACKS, Stack, parse_stack

stack = click.argument("stack", help="dashboard, backend, sniffer or go-flow-meter.")
one_or_all = click.argument("stack", default="", help="One stack; all if none is given.")
reference = click.argument(
    "reference", help="An image's full name: ghcr.io/megalotron/<stack>:<tag>[@<digest>]."
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
yes = click.option("--yes", is_flag=True, help="Write without asking for the full reference.")
dry_run = click.option(
    "--dry-run", is_flag=True, help="Print what would be written, or why not; write nothing."
)
fewer_platforms = click.option(
    "--fewer-platforms", is_flag=True, help="Let it run on fewer platforms than before."
)
revision = click.option(
    "--revision", default="", metavar="COMMIT", help="A release of this commit is done, not taken."
)


def parse_stacks(name: str) -> Sequence[Stack]:
    """Return the stack of that name, or all stacks for an empty one."""
    return [parse_stack(name)] if name else STACKS
