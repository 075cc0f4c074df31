"""The verb `publish`."""

import contextlib
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from megalotron_images import arguments, confirmation, engine, output, release
from megalotron_images.convention import Reference, parse_stack, parse_tag
from megalotron_images.plan import LocalImage, Overrides
from megalotron_images.registry.client import connect
from megalotron_images.terminal import step

_UNITS = (86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")


@click.command(epilog="Example: megalotron-images publish backend v1.4.0 --image backend")
@arguments.stack
@click.argument("tag", metavar="VERSION|main|dev", help="The tag to write.")
@click.option(
    "--image", default="", metavar="LOCAL", help="Its local name or ID (default: the reference)."
)
@arguments.dry_run
@arguments.yes
@click.option("--backport", is_flag=True, help="Publish an older version than the newest.")
@arguments.fewer_platforms
@arguments.revision
@arguments.as_json
def command(
    stack: str, tag: str, image: str, dry_run: bool, yes: bool, as_json: bool, **asked: Any
) -> None:
    """Push a local image to a tag, and read it back.

    What the tag pointed to before is shown too.
    """
    reference = Reference(parse_stack(stack), parse_tag(tag))
    registry = connect(writes=not dry_run)
    docker = engine.Engine(registry.login)
    local = docker.image(image or str(reference))
    plan = release.publish_plan(registry, reference, local, Overrides(**asked))
    step(describe(local, datetime.now(UTC)))
    if confirmation.may_write(plan, dry_run, yes, as_json):
        with _progress() as progress:
            push = partial(docker.push, progress=progress)
            done = release.publish(plan, local, registry, push, say=step)
        output.answer(done, done.data, as_json)


def describe(image: LocalImage, now: datetime) -> str:
    """Return an image's ID and age: its name may be of somebody else's build by now."""
    age = "at an unknown time"
    with contextlib.suppress(ValueError):
        seconds = max(0, int((now - datetime.fromisoformat(image.created)).total_seconds()))
        size, unit = next((one for one in _UNITS if seconds >= one[0]), _UNITS[-1])
        age = f"{seconds // size} {unit}{'s' * (seconds // size != 1)} ago"
    return f"{image.name} is {image.id}, built {age}."


@contextlib.contextmanager
def _progress() -> Iterator[engine.Progress]:
    """Yield a callback that shows a push's layers; a no-op if stderr is not a terminal."""
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn()
    shown, console = sys.stderr.isatty(), Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not shown) as bars:
        task = cache(bars.add_task)
        yield lambda layer, now, total: bars.update(task(layer), completed=now, total=total)
