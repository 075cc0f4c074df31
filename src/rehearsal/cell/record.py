"""Records of production runs: one JSON object a line, appended as things happen."""

import fcntl
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rehearsal.errors import CannotCheck, Wrong

Event = Mapping[str, Any]
HIDDEN = "*****"
"""What stands in a record for a secret."""


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
            where = "in another terminal or JupyterLab: go on there, or stop it first"
            raise Wrong(f"the run of {self.file.name} has not ended; it is open {where}") from None

    def add(self, event: str, **what: object) -> None:
        """Append one event.

        Raises CannotCheck if it cannot be written: no run goes on without its record.
        """
        said = {"event": event, "time": now(), **what}
        try:
            self.file.parent.mkdir(mode=0o700, exist_ok=True)
            _append(self.file, json.dumps(said, ensure_ascii=False) + "\n")
        except OSError as error:
            why = f"cannot be written ({error.strerror}), so nothing runs."
            raise CannotCheck(f"The record {self.file} {why}") from error


def read_record(file: Path) -> list[Event]:
    """Return the events of a record; raise CannotCheck where it cannot be read."""
    try:
        with file.open(encoding="utf-8") as lines:  # str.splitlines would cut at U+2028 too
            return [json.loads(line) for line in lines]
    except (OSError, ValueError) as error:
        raise CannotCheck(f"{file} cannot be read as a record: {error}.") from error


def read_whole(file: Path) -> list[Event]:
    """Return the events of a run, after those of the runs that it went on with."""
    events = read_record(file)
    before = [file.with_name(event["of"]) for event in events if event["event"] == "continue"]
    return [event for one in before if one != file for event in read_whole(one)] + events


def find_unfinished(folder: Path, notebook: str) -> Path:
    """Return the newest record of a notebook's runs; raise CannotCheck if there is nothing to do.

    That is the case if it came to its end, or if there is none. One that did nothing is no run.
    """
    name = re.compile(rf"[^-]+-\d+-{re.escape(notebook)}\.jsonl")  # and not what ends like it
    found = sorted(file for file in folder.glob("*.jsonl") if name.fullmatch(file.name))
    for file in reversed(found):
        kinds = {event["event"] for event in read_record(file)}
        if "finish" in kinds:
            raise CannotCheck(f"The last run of {notebook} came to its end: {file.name}.")
        if kinds & {"cell", "skip", "continue"}:
            return file
    raise CannotCheck(f"No production run of {notebook} is on record in {folder}.")


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


def named_by(events: Iterable[Event]) -> dict[str, object]:
    """Return the digest that each written reference named after the last write of a run."""
    written = [event["after"] for event in events if event["event"] in ("after", "lost")]
    return {name: said.get("digest") for after in written for name, said in after.items()}


def _append(file: Path, line: str) -> None:
    def for_its_owner(name: str, flags: int) -> int:
        return os.open(name, flags, 0o600)

    with open(file, "ab", buffering=0, opener=for_its_owner) as record:
        size, left = record.tell(), line.encode(errors="backslashreplace")
        try:
            while left:
                left = left[record.write(left) :]
            os.fsync(record.fileno())
        except OSError:
            record.truncate(size)  # half a line would spoil the record for its readers
            raise
