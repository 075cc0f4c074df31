"""The committed table of which notebook held on which engine (`make evidence-engines`)."""

import json
from dataclasses import dataclass
from pathlib import Path

from rehearsal.errors import CannotCheck
from rehearsal.room.engine import Engine, machine_architecture
from rehearsal.runbook.model import Runbook
from rehearsal.settings import Settings


@dataclass(frozen=True)
class Row:
    """A notebook that held on an engine.

    Attributes:
        notebook: its name.
        engine: the set's name.
        store: the image store.
        release: of Docker, such as `26.1.5`.
        versions: of its parts, by name.
        processor: of the machine, such as `amd64`.
        cells: that ran there and held.
        skipped: cells that hold with another image store alone.
        measured: the day.
        commit: of the code.
        state: the notebook's fingerprint.
    """

    notebook: str
    engine: str
    store: str
    release: str
    versions: dict[str, str]
    processor: str
    cells: int
    skipped: int
    measured: str
    commit: str
    state: str

    def is_of(self, runbook: Runbook) -> bool:
        """Whether the notebook has not changed since."""
        return runbook.executed_path.exists() and self.state == runbook.fingerprint


def load_rows(settings: Settings) -> tuple[Row, ...]:
    """Return the table's rows; none without a table. Raises CannotCheck for a broken one."""
    if settings.evidence is None or not settings.evidence.exists():
        return ()
    try:
        return tuple(Row(**row) for row in json.loads(settings.evidence.read_text())["rows"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        broken = f"is not a table of engines ({error}): make evidence-engines"
        raise CannotCheck(f"{settings.evidence} {broken}") from None


def write_rows(file: Path, rows: list[Row]) -> None:
    """Write the table, one row a line."""
    lines = ",\n".join(f"    {json.dumps(row.__dict__)}" for row in rows)
    file.write_text(f'{{\n  "rows": [\n{lines}\n  ]\n}}\n')


def is_recorded(settings: Settings, engine: Engine) -> bool:
    """Whether outputs must match word for word on this machine's engine.

    They must on the engine of the settings, and on those of the table; on a processor that the
    table lacks, on none.
    """
    rows = load_rows(settings)
    here = [row for row in rows if row.processor == machine_architecture()]
    if rows and not here:
        return False
    recorded = (settings.engine, settings.store)
    pairs = {(row.release, row.store) for row in here}
    return (engine.name, engine.store) == recorded or (engine.release, engine.store) in pairs
