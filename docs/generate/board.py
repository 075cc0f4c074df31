"""The board as a picture, of the releases that are invented for every room."""

import tomllib
from datetime import date
from pathlib import Path

from megalotron_images.convention import STACKS, MovingTag, Release, Stack, parse_release
from megalotron_images.status import Line, Moved
from megalotron_images.timeline import Lane, draw

HISTORY = Path(__file__).parents[2] / "notebooks" / "history.toml"


def picture() -> str:
    """Return the board as it looks in a room."""
    history = tomllib.loads(HISTORY.read_text())
    return draw([_lane(stack, history[stack.image]) for stack in STACKS])


def _lane(stack: Stack, said: dict[str, date | str]) -> Lane:
    days = {parse_release(tag): day for tag, day in said.items() if isinstance(day, date)}
    dated = sorted(days.items(), reverse=True)
    releases = tuple(release for release, _ in dated)
    main, dev = (_moved(parse_release(str(said[tag]))) for tag in MovingTag)
    return Lane(Line(stack, releases, _moved(releases[0]), main, dev), dated)


def _moved(release: Release) -> Moved:
    return Moved("", release)
