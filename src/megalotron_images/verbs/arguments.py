"""Arguments and options that several verbs have."""

from collections.abc import Sequence

import click

from megalotron_images.convention import STACKS, Stack, parse_stack

stack_argument = click.argument("stack", help="dashboard, backend, sniffer or go-flow-meter.")
one_or_all_argument = click.argument("stack", default="", help="One stack; all if none is given.")
reference_argument = click.argument(
    "reference", help="An image's full name: ghcr.io/megalotron/<stack>:<tag>[@<digest>]."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
yes_option = click.option(
    "--yes", is_flag=True, help="Write without asking for the full reference."
)
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Say what would be written, and why not; write nothing."
)
fewer_platforms_option = click.option(
    "--fewer-platforms", is_flag=True, help="Let it run on fewer platforms than before."
)
revision_option = click.option(
    "--revision",
    default="",
    metavar="COMMIT",
    help="For workflows: a release of this commit is done, not taken.",
)


def parse_stacks(name: str) -> Sequence[Stack]:
    """Return the stack of that name, or all stacks for an empty one."""
    return [parse_stack(name)] if name else STACKS
