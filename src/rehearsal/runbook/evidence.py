"""Which notebook held on which engine.

The committed table, written by `make evidence-engines` alone.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from rehearsal.errors import CannotCheck
from rehearsal.room.engine import Engine
from rehearsal.runbook.model import Runbook
from rehearsal.settings import Settings


@dataclass(frozen=True)
class Row:
    """One notebook that held on one engine.

    Attributes:
        engine: the set's name.
        release: of Docker, such as `26.1.5`.
        versions: of its parts, by name.
        cells: how many ran there, and held.
        passed_over: how many hold with another image store alone.
        measured: the day. commit: the code's. state: its `fingerprint` then.
    """

    notebook: str
    engine: str
    store: str
    release: str
    versions: dict[str, str]
    cells: int
    passed_over: int
    measured: str
    commit: str
    state: str

    def is_of(self, runbook: Runbook) -> bool:
        """Whether the notebook is still what held then."""
        return runbook.executed_path.exists() and self.state == runbook.fingerprint


def load_rows(settings: Settings) -> tuple[Row, ...]:
    """Return the rows of the committed table; none without one.

    Raises CannotCheck for a table that is none.
    """
    if settings.evidence is None or not settings.evidence.exists():
        return ()
    try:
        return tuple(Row(**row) for row in json.loads(settings.evidence.read_text())["rows"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise CannotCheck(
            f"{settings.evidence} is no table of engines ({error}): make evidence-engines"
        ) from None


def write_rows(file: Path, rows: list[Row]) -> None:
    """Write the table, one row a line."""
    lines = ",\n".join(f"    {json.dumps(row.__dict__)}" for row in rows)
    file.write_text(f'{{\n  "rows": [\n{lines}\n  ]\n}}\n')


def is_recorded(settings: Settings, engine: Engine) -> bool:
    """Whether the pages are held to every word on an engine.

    The recorded one, and those of the table.
    """
    pairs = {(row.release, row.store) for row in load_rows(settings)}
    return (engine.name, engine.store) == (settings.engine, settings.store) or (
        engine.release,
        engine.store,
    ) in pairs
