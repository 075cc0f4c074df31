"""The verb `digest`."""

import click

from megalotron_images import arguments, output
from megalotron_images.convention import parse_name
from megalotron_images.errors import CannotTell
from megalotron_images.registry.client import Unknown, connect


@click.command(epilog="Example: megalotron-images digest ghcr.io/megalotron/backend:main")
@arguments.reference
@arguments.as_json
def command(reference: str, as_json: bool) -> None:
    """Print the digest that a reference points to, or `nothing`."""
    name = parse_name(reference)
    registry = connect()
    state = registry.state(name.repository, name.tag or name.digest)
    if isinstance(state, Unknown):
        raise CannotTell(f"Cannot tell what {name} points to: {state.reason}")
    if name.tag and name.digest not in ("", state.digest):
        raise CannotTell(f"{name} is not that content: its tag points to {state}.")
    user = registry.login.username if registry.login else None
    output.answer(state, {"reference": reference, "digest": state.digest, "user": user}, as_json)
