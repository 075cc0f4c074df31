"""Records of production runs: one JSON object a line, appended as things happen."""

import fcntl
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from rehearsal.errors import CannotCheck, Wrong

Event = Mapping[str, Any]
HIDDEN = "*****"
"""In a record, in place of a secret."""
VARIABLE = "REHEARSAL_RECORD"
"""Environment variable with the record's path, where a terminal leads the run."""
UNKNOWN = "unknown"
"""In place of a digest that the registry did not give."""
CUT = "cut"
"""The event in place of a line that is not whole."""
_PUSHED = re.compile(r"^(\S+): digest: (sha256:[0-9a-f]{64}) size: \d+\s*$", re.MULTILINE)
"""What `docker push` prints last: the tag, and the digest that it has sent there."""
_KEYS = {
    "start": ("notebook", "person", "engine"),
    "cell": ("command", "values", "writes"),
    "end": ("status", "seconds", "output"),
    "after": ("after",),
    "skip": ("command",),
    "refused": ("why",),
    "confirmed": ("typed",),
    "python": ("code", "failed"),
    "continue": ("of",),
    "lost": ("why", "after"),
}
"""What an event of each kind must hold, besides its time; it may hold more."""


def now() -> str:
    """Return the time now, in UTC, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Record:
    """One run's record, a file for its owner alone."""

    def __init__(self, file: Path) -> None:
        self.file = file

    @classmethod
    def new(cls, folder: Path, notebook: str) -> "Record":
        """Return the record of a run that begins: `<time>-<process>-<notebook>.jsonl`."""
        moment = now().replace(":", "").replace("-", "")
        return cls(folder / f"{moment}-{os.getpid()}-{notebook}.jsonl")

    def hold(self) -> None:
        """Keep the record as this process's own until it ends.

        Raises Wrong where another process does: the run goes on there.
        """
        descriptor = os.open(self.file, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            where = "has not ended; it is open in another terminal or JupyterLab: go on there"
            raise Wrong(f"the run of {self.file.name} {where}") from None

    def add(self, event: str, **what: object) -> None:
        """Append one event.

        Raises CannotCheck if it cannot be written: no run goes on without its record.
        """
        said = {"event": event, "time": now(), **what}
        try:
            self.file.parent.mkdir(mode=0o700, exist_ok=True)
            _append(self.file, json.dumps(said, ensure_ascii=False) + "\n")
        except OSError as error:
            why = f"nothing runs, as {self.file} cannot be written ({error.strerror})."
            raise CannotCheck(f"The record {why}") from error


def read_record(file: Path) -> list[Event]:
    """Return the events of a record, a line that is not whole as CUT.

    Raises CannotCheck where it cannot be read, or is not a record.
    """
    try:
        # str.splitlines would split at U+2028 too
        lines = file.read_bytes().removesuffix(b"\n").split(b"\n")
    except OSError as error:
        raise CannotCheck(f"{file} cannot be read as a record: {error.strerror}.") from error
    return [_event(file, line) for line in lines]


def _event(file: Path, line: bytes) -> Event:
    try:
        event = json.loads(line)
    except ValueError:
        if not line.startswith(b'{"event"'):
            raise CannotCheck(f"{file} is not a record of a production run.") from None
        return {"event": CUT, "time": ""}
    kind = event.get("event") if isinstance(event, dict) else None
    if not isinstance(kind, str) or not {"time", *_KEYS.get(kind, ())} <= event.keys():
        raise CannotCheck(f"{file} is not a record of a production run.")
    return dict(event)


def read_whole(file: Path) -> list[Event]:
    """Return the events of a run, after those of the runs that it went on with."""
    events = read_record(file)
    before = [file.with_name(event["of"]) for event in events if event["event"] == "continue"]
    return [event for one in before if one != file for event in read_whole(one)] + events


def find_records(folder: Path, notebook: str = "") -> list[Path]:
    """Return the records of a notebook's runs, or of all runs, the oldest first."""
    # the whole name: another notebook's may end like it
    name = re.compile(rf"[^-]+-\d+-{re.escape(notebook) if notebook else '.+'}\.jsonl")
    return sorted(file for file in folder.glob("*.jsonl") if name.fullmatch(file.name))


def find_unfinished(folder: Path, notebook: str) -> Path:
    """Return the newest record of a notebook's runs.

    A run that did nothing does not count. Raises CannotCheck if the run came to its end, or if
    there is none.
    """
    for file in reversed(find_records(folder, notebook)):
        kinds = {event["event"] for event in read_record(file)}
        if "finish" in kinds:
            other = "To go on with another one, name its record behind --continue"
            raise CannotCheck(f"The last run of {notebook} came to its end: {file.name}. {other}.")
        if kinds & {"cell", "skip", "continue"}:
            return file
    raise CannotCheck(f"No production run of {notebook} is on record in {folder}.")


def how_it_ended(events: Sequence[Event]) -> str:
    """Return in a few words how a run ended."""
    kinds = [event["event"] for event in events]
    for kind, said in (("finish", "finished"), ("lost", "lost"), ("stop", "stopped")):
        if kind in kinds:
            return said
    return "nothing was run" if "cell" not in kinds else "abandoned or still open"


def commands_done(events: Iterable[Event]) -> list[str]:
    """Return the commands of the cells that ended well or were skipped, in order."""
    done, running = list[str](), ""
    for event in events:
        if event["event"] in ("cell", "skip"):
            running = event["command"]
        if event["event"] == "skip" or event.get("well"):
            done.append(running)
    return done


def commands_skipped(events: Sequence[Event]) -> set[str]:
    """Return the commands of the cells that a person went past and has not run."""
    skipped = {event["command"] for event in events if event["event"] == "skip"}
    ran = commands_done(event for event in events if event["event"] != "skip")
    return skipped - set(ran)


def values_of(events: Iterable[Event]) -> dict[str, str]:
    """Return the values that a person gave, as they were last; no secret is among them."""
    last = [event["values"] for event in events if event["event"] == "cell"]
    return {name: value for name, value in last[-1].items() if value != HIDDEN} if last else {}


def ended_well(events: Sequence[Event]) -> bool:
    """Whether the last cell of some events ran and ended as declared."""
    ends = [event for event in events if event["event"] in ("cell", "end", "python", "refused")]
    return bool(ends) and (ends[-1].get("well") is True or ends[-1].get("failed") is False)


def digests_after(events: Iterable[Event]) -> dict[str, str | None]:
    """Return the digest of each written reference after the last write of a run.

    None where the tag did not exist. Where the registry did not answer, what `docker push` printed
    counts; without that, the digest is UNKNOWN.
    """
    found, printed = dict[str, str | None](), ""
    for event in events:
        printed = event["output"] if event["event"] == "end" else printed
        for name, said in event["after"].items() if event["event"] in ("after", "lost") else ():
            pushed = dict(_PUSHED.findall(printed)).get(name.rpartition(":")[2], UNKNOWN)
            found[name] = said.get("digest", pushed)
    return found


def pointed_to(said: Event) -> str:
    """Return the digest command's answer, in words."""
    return said.get("digest") or said.get(UNKNOWN) or "nothing"


def _append(file: Path, line: str) -> None:
    private = partial(os.open, mode=0o600)
    with open(file, "ab+", buffering=0, opener=private) as record:
        size, left = record.tell(), line.encode(errors="backslashreplace")
        if size and os.pread(record.fileno(), 1, size - 1) != b"\n":
            left = b"\n" + left  # behind a line that was cut
        try:
            while left:
                left = left[record.write(left) :]
            os.fsync(record.fileno())
        except OSError:
            record.truncate(size)  # half a line would spoil the record for its readers
            raise
