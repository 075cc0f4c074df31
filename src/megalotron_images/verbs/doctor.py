"""The verb `doctor`."""

import sys

import click

from megalotron_images import arguments
from megalotron_images.doctor import examine
from megalotron_images.findings import print_findings


@click.command(epilog="Example: megalotron-images doctor")
@arguments.one_or_all
@arguments.as_json
def command(stack: str, as_json: bool) -> None:
    """Check this machine's engine, login, token and network.

    Each line that is not ok says what to do next.
    """
    sys.exit(print_findings(examine(arguments.parse_stacks(stack)), as_json))
