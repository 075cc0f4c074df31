"""Records of production runs: one JSON object a line, appended as things happen."""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rehearsal.errors import CannotCheck

Event = Mapping[str, Any]


def now() -> str:
    """Return the time now, in UTC, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Record:
    """One run's record, `<time>-<process>-<notebook>.jsonl`, for its owner alone."""

    def __init__(self, folder: Path, notebook: str) -> None:
        moment = now().replace(":", "").replace("-", "")
        self.file = folder / f"{moment}-{os.getpid()}-{notebook}.jsonl"

    def add(self, event: str, **what: object) -> None:
        """Append one event.

        Raises CannotCheck if it cannot be written: no run goes on without its record.
        """
        said = {"event": event, "time": now(), **what}
        try:
            self.file.parent.mkdir(mode=0o700, exist_ok=True)
            _append(self.file, json.dumps(said, ensure_ascii=False) + "\n")
        except OSError as error:
            raise CannotCheck(
                f"The record {self.file} cannot be written ({error.strerror}), so nothing runs."
            ) from error


def read_record(file: Path) -> list[Event]:
    """Return the events of a record; raise CannotCheck where it cannot be read."""
    try:
        return [json.loads(line) for line in file.read_text().splitlines()]
    except (OSError, ValueError) as error:
        raise CannotCheck(f"{file} cannot be read as a record: {error}.") from error


def _append(file: Path, line: str) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        data = line.encode()
        while data:
            data = data[os.write(descriptor, data) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def to_markdown(events: Iterable[Event]) -> str:
    """Return a record as a page: who, when, which engine; then each command and its outcome."""
    return "\n\n".join(part for event in events for part in _parts(event)) + "\n"


def _parts(event: Event) -> Iterator[str]:
    kind = event["event"]
    if kind == "start":
        engine = ", ".join(str(value) for value in event["engine"].values())
        yield f"# {event['notebook']}\n\n{event['time']}, by {event['person']}, engine: {engine}"
    if kind in ("cell", "refused"):
        yield f"## {event['time']}"
    if "command" in event:
        yield fence(event["command"], "bash")
    if kind == "refused":
        yield f"Refused: {event['why']}"
    if kind == "cell" and event["values"]:
        yield "With " + ", ".join(f"<{name}> = {value}" for name, value in event["values"].items())
    if kind == "end":
        if event["output"].strip():
            yield fence(event["output"], "text")
        yield f"Status {event['status']}, {event['seconds']} s"
    for when in ("before", "after"):
        for reference, said in event.get(when, {}).items():
            yield _names(reference, when, said)


def fence(text: str, language: str) -> str:
    """Return a fenced block, whose fence is longer than any run of backticks in the text."""
    ticks = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{ticks}{language}\n{text.rstrip()}\n{ticks}"


def _names(reference: str, when: str, said: Any) -> str:
    if not isinstance(said, dict):
        return f"- {reference}, {when}: {said}"
    user = f", as {said['user']}" if said.get("user") else ""
    return f"- {reference}, {when}: {said.get('digest') or said.get('unknown') or 'nothing'}{user}"
