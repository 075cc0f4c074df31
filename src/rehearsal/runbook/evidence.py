"""The committed table of which notebook held on which engine (`make evidence`)."""

import json

from rehearsal.errors import CannotCheck
from rehearsal.room.engine import Engine, machine_architecture
from rehearsal.settings import Settings


def is_recorded(settings: Settings, engine: Engine) -> bool:
    """Whether outputs must match word for word on this machine's engine.

    They must on the engine of the settings, and on those of the table; on a processor that the
    table lacks, on none. Raises CannotCheck for a broken table.
    """
    held = _held(settings)
    here = machine_architecture()
    if held and here not in {processor for processor, _, _ in held}:
        return False
    recorded = (settings.engine, settings.store)
    this = (here, engine.release, engine.store)
    return (engine.name, engine.store) == recorded or this in held


def _held(settings: Settings) -> set[tuple[str, str, str]]:
    """Return the processors, releases of Docker and image stores on which a notebook held."""
    if settings.evidence is None or not settings.evidence.exists():
        return set()
    try:
        rows = json.loads(settings.evidence.read_text())["rows"]
        keys = ("processor", "release", "store")
        return {(*(row[key] for key in keys),) for row in rows if row["holds"]}
    except (OSError, ValueError, LookupError, TypeError) as error:
        broken = f"is not a table of engines ({error}): make evidence"
        raise CannotCheck(f"{settings.evidence} {broken}") from None
