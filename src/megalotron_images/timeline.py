"""The timeline: each stack's releases over time, as an SVG that follows the page's colours."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from xml.sax.saxutils import escape

from megalotron_images.convention import STACKS, Release
from megalotron_images.registry.client import connect
from megalotron_images.status import Line, Moved, read_days, read_line

_WIDTH, _LEFT, _RIGHT, _TOP, _LANE = 360, 10, 14, 8, 46
_MOST_DAYS_FROM_EDGE = 14


@dataclass(frozen=True)
class Lane:
    """A stack's dated releases, the newest first, and production's."""

    line: Line
    dated: Sequence[tuple[Release, date]]

    @property
    def production(self) -> Release | None:
        """The release in production, if `main` is one."""
        return self.line.main.release if isinstance(self.line.main, Moved) else None


def read_lanes() -> list[Lane]:
    """Return every stack's lane as the registry has it now.

    Raises RegistryFailed where it does not say.
    """
    registry = connect()
    lines = [read_line(registry, stack) for stack in STACKS]
    return [
        Lane(line, [(d.release, d.day) for d in read_days(registry, line) if d.day])
        for line in lines
    ]


def draw(lanes: Sequence[Lane]) -> str:
    """Return the picture; its description says what it shows."""
    days = [day for lane in lanes for _, day in lane.dated]
    first, last = (min(days), max(days)) if days else (date.today(), date.today())
    height = _TOP + _LANE * len(lanes) + 22
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img"'
            ' aria-labelledby="timeline-title timeline-text" font-family="sans-serif"'
            ' font-size="11" fill="currentColor">'
        ),
        '<title id="timeline-title">Releases over time</title>',
        f'<desc id="timeline-text">{escape(" ".join(map(_sentence, lanes)))}</desc>',
    ]
    for number, lane in enumerate(lanes):
        parts.extend(_lane(lane, _TOP + _LANE * number, first, last))
    parts.extend(_years(first, last, height))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _sentence(lane: Lane) -> str:
    if not lane.dated:
        return f"{lane.line.stack.title}: no release."
    (oldest, began), (newest, last) = lane.dated[-1], lane.dated[0]
    runs = f", production runs {lane.production}" if lane.production else ""
    several = f"{len(lane.dated)} releases from {oldest} on {began} to {newest} on {last}"
    count = several if len(lane.dated) > 1 else f"one release, {newest} on {last}"
    return f"{lane.line.stack.title}: {count}{runs}."


def _lane(lane: Lane, top: int, first: date, last: date) -> Iterator[str]:
    middle = top + 30
    runs = f" · production {lane.production}" if lane.production else ""
    title = f'<tspan font-weight="bold">{escape(lane.line.stack.title)}</tspan>'
    yield f'<text x="{_LEFT}" y="{top + 14}">{title}{runs}</text>'
    yield (
        f'<path d="M{_LEFT} {middle}H{_WIDTH - _RIGHT}" stroke="currentColor"'
        ' stroke-opacity=".35"/>'
    )
    for release, day in reversed(lane.dated):
        here = release == lane.production
        shape = (
            'r="5.5"' if here else 'r="3.5" fill="none" stroke="currentColor" stroke-width="1.5"'
        )
        title = f"<title>{release}, {day}</title>"
        yield f'<circle cx="{_x(day, first, last):.1f}" cy="{middle}" {shape}>{title}</circle>'


def _years(first: date, last: date, height: int) -> Iterator[str]:
    yield f'<text x="{_LEFT}" y="{height - 6}">{first:%Y-%m}</text>'
    for year in range(first.year + 1, last.year + 1):
        start = date(year, 1, 1)
        if min((start - first).days, (last - start).days) > _MOST_DAYS_FROM_EDGE:
            x = _x(start, first, last)
            yield (
                f'<path d="M{x:.1f} {_TOP}V{height - 20}" stroke="currentColor"'
                ' stroke-opacity=".2"/>'
            )
            yield f'<text x="{x:.1f}" y="{height - 6}" text-anchor="middle">{year}</text>'
    yield f'<text x="{_WIDTH - 4}" y="{height - 6}" text-anchor="end">{last:%Y-%m}</text>'


def _x(day: date, first: date, last: date) -> float:
    span = max((last - first).days, 1)
    return _LEFT + 6 + (day - first).days / span * (_WIDTH - _LEFT - _RIGHT - 12)
