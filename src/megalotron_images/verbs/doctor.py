"""The verb `doctor`."""

import sys

import click

from megalotron_images.doctor import examine
from megalotron_images.verbs.arguments import json_option, one_or_all_argument, parse_stacks
from megalotron_images.verbs.findings import print_findings


@click.command(epilog="Example: megalotron-images doctor")
@one_or_all_argument
@json_option
def command(stack: str, as_json: bool) -> None:
    """Check this machine's engine, login, token and network.

    Each line that is not ok says what to do next.
    """
    sys.exit(print_findings(examine(parse_stacks(stack)), as_json))
