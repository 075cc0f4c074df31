"""The verb `running`."""

import sys
from collections.abc import Sequence

import click

from megalotron_images import arguments, output
from megalotron_images.errors import CannotTell
from megalotron_images.registry.client import connect
from megalotron_images.running import read_running
from megalotron_images.terminal import step


@click.command(epilog="Example: megalotron-images running backend --context one --context two")
@arguments.one_or_all
@click.option(
    "--context", "servers", multiple=True, metavar="NAME", help="A server's Docker context; repeat."
)
@arguments.as_json
def command(stack: str, servers: Sequence[str], as_json: bool) -> None:
    """Show which release each server runs, beside main.

    The current Docker context is asked if none is given. Status 1: one does not run main.
    """
    found = read_running(connect(), arguments.parse_stacks(stack), servers)
    rows = [("SERVER", "STACK", "RUNS", "MAIN"), *(one.row for one in found)]
    output.answer(output.table(rows), [one.data for one in found], as_json)
    for reason in (unknown := dict.fromkeys(why for one in found for why in one.unknowns)):
        step(reason)
    sys.exit(CannotTell.status if unknown else not all(one.is_main for one in found))
