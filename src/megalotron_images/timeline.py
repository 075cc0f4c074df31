"""The board and the timeline: where each stack is, as an SVG that follows the page's colours."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from xml.sax.saxutils import escape

from megalotron_images.convention import STACKS, Release
from megalotron_images.registry.client import connect
from megalotron_images.status import Line, Moved, read_days, read_line

_WIDTH, _LEFT, _RIGHT, _LANE, _CHIP, _LETTER = 360, 1, 359, 118, 114, 6.2
_GREEN, _SMALL = "#12906c", 'font-size="10.5"'


@dataclass(frozen=True)
class Lane:
    """A stack's line on the board, and its dated releases, the newest first."""

    line: Line
    dated: Sequence[tuple[Release, date]]

    @property
    def board(self) -> Iterator[tuple[str, str, str]]:
        """What is newest, in production and in development: name, version and day."""
        names = ("newest", "production", "development")
        for name, moved in zip(names, self.line.tags.values(), strict=True):
            release = moved.release if isinstance(moved, Moved) else None
            other = "no release" if isinstance(moved, Moved) else "unknown" if moved else "none"
            day = dict(self.dated).get(release) if release else None
            yield name, str(release or other), str(day or "")


def read_lanes() -> list[Lane]:
    """Return every stack's lane as the registry has it now.

    Raises RegistryFailed where it does not say.
    """
    registry = connect()
    lines = [read_line(registry, stack) for stack in STACKS]
    days = [[(d.release, d.day) for d in read_days(registry, line) if d.day] for line in lines]
    return list(map(Lane, lines, days))


def draw(lanes: Sequence[Lane]) -> str:
    """Return the picture; its description says what it shows."""
    days = [day for lane in lanes for _, day in lane.dated] or [date.today()]
    first, last = min(days), max(days)
    height = _LANE * len(lanes) + 18
    said = escape(" ".join(map(_sentence, lanes)))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img"'
        ' aria-labelledby="timeline-title timeline-text" class="nb-drawing" color="#6f7686"'
        ' font-family="system-ui, sans-serif" font-size="13" fill="currentColor">',
        '<title id="timeline-title">The stacks and their releases</title>',
        f'<desc id="timeline-text">{said}</desc>',
        *(part for n, lane in enumerate(lanes) for part in _lane(lane, _LANE * n, first, last)),
        *_years(first, last, height),
    ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _sentence(lane: Lane) -> str:
    board = ", ".join(f"{name} {version}" for name, version, _ in lane.board)
    dated = ", ".join(f"{release} on {day}" for release, day in lane.dated)
    return f"{lane.line.stack.title}: {board}. Releases: {dated or 'none'}."


def _lane(lane: Lane, top: int, first: date, last: date) -> Iterator[str]:
    title, board = escape(lane.line.stack.title), list(lane.board)
    yield f'<text x="{_LEFT}" y="{top + 14}" font-weight="700" font-size="14">{title}</text>'
    for number, (name, version, built) in enumerate(board):
        x, edge = _LEFT + number * (_CHIP + 8), _GREEN if name == "production" else "currentColor"
        yield (
            f'<rect x="{x}" y="{top + 22}" width="{_CHIP}" height="48" rx="8" stroke="{edge}"'
            f' fill-opacity=".05"/><text x="{x + 9}" y="{top + 36}" {_SMALL}>{name}</text>'
            f'<text x="{x + 9}" y="{top + 51}" font-weight="700">{version}</text>'
            f'<text x="{x + 9}" y="{top + 64}" {_SMALL}>{built}</text>'
        )
    yield f'<path d="M{_LEFT} {top + 86}H{_RIGHT}" stroke="currentColor" stroke-opacity=".4"/>'
    free = [(float(_LEFT), float(_RIGHT))]  # where a label has room: production's comes first
    for release, day in sorted(lane.dated, key=lambda dated: str(dated[0]) != board[1][1]):
        at, half = _x(day, first, last), len(str(release)) * _LETTER / 2
        look = f'r="6" fill="{_GREEN}"' if str(release) == board[1][1] else 'r="4" fill="none"'
        told = f"<title>{release}, {day}</title>"
        yield f'<circle cx="{at:.1f}" cy="{top + 86}" {look} stroke="currentColor">{told}</circle>'
        start = min(max(at, _LEFT + half), _RIGHT - half) - half
        if gap := next((g for g in free if g[0] <= start and start + 2 * half <= g[1]), None):
            free.remove(gap)
            free += [(gap[0], start - 4), (start + 2 * half + 4, gap[1])]
            yield f'<text x="{start:.1f}" y="{top + 106}" {_SMALL}>{release}</text>'


def _years(first: date, last: date, height: int) -> Iterator[str]:
    starts = (date(year, 1, 1) for year in range(first.year + 1, last.year + 1))
    years = [(d, "middle", f"{d:%Y}") for d in starts if min(d - first, last - d).days > 45]
    ends = (first, "start", f"{first:%Y-%m}"), (last, "end", f"{last:%Y-%m}")
    for day, anchor, shown in (*ends, *years):
        place = f'x="{_x(day, first, last):.1f}" y="{height - 4}" text-anchor="{anchor}"'
        yield f"<text {place} {_SMALL}>{shown}</text>"


def _x(day: date, first: date, last: date) -> float:
    return 10 + (day - first).days / max((last - first).days, 1) * (_WIDTH - 20)
