"""The verb `tags-for`."""

import click

from megalotron_images import arguments, output
from megalotron_images.convention import WRITING_EVENTS, tags_for
from megalotron_images.terminal import step


@click.command(epilog="Example: megalotron-images tags-for refs/heads/main")
@click.argument("ref", help="A full git reference, such as refs/heads/main.")
@click.option("--event", default="push", show_default=True, metavar="NAME", help="GitHub's event.")
@click.option("--github-output", is_flag=True, help="Print `tag=…` for a workflow.")
@arguments.as_json
def command(ref: str, event: str, github_output: bool, as_json: bool) -> None:
    """Print the tag that a git reference writes, or `none`.

    A git tag that is not a release is refused.
    """
    found = tags_for(ref, event)
    if event not in WRITING_EVENTS:
        events = " and ".join(WRITING_EVENTS)
        step(f"The event {event} publishes nothing: only {events} do.")
    text = f"tag={found or ''}" if github_output else found or "none"
    output.answer(text, {"ref": ref, "event": event, "tag": str(found) if found else None}, as_json)
