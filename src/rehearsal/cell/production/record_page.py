"""The page of a production run, made of its record."""

import re
from collections.abc import Iterator, Sequence

from rehearsal.cell.production.record import Event, pointed_to


def to_markdown(events: Sequence[Event]) -> str:
    """Return a record as a page: who, when, which engine; then all that happened, in order."""
    parts = [part for event in events for part in _parts(event)]
    if events and events[-1]["event"] not in ("closed", "lost"):
        parts.append("Abandoned: the record ends here, before the run did.")
    return "\n\n".join(parts) + "\n"


_SAID = {
    "refused": "Refused: {why}",
    "confirmed": "{time}: `{typed}` was typed to confirm it",
    "skip": "{time}: skipped",
    "continue": "Goes on with {of}",
    "stop": "{time}: stopped by the person",
    "finish": "{time}: came to its end",
    "lost": "{time}: lost: {why}",
    "cut": "A line is cut off here: the rest of it is lost.",
}


def _parts(event: Event) -> Iterator[str]:
    kind = event["event"]
    if kind == "start":
        yield _surroundings(event)
    elif kind == "python":
        ended = "Failed" if event["failed"] else "Ended well"
        yield f"## {event['time']}\n\n{fence(event['code'], 'python')}\n\n{ended}"
    elif kind in ("cell", "refused", "skip"):
        yield f"## {event['time']}"
    if "command" in event:
        yield fence(event["command"], "bash")
    if kind in _SAID:
        yield _SAID[kind].format_map(event)
    if kind == "cell" and event["values"]:
        yield "With " + ", ".join(f"<{name}> = {value}" for name, value in event["values"].items())
    if kind == "end":
        yield from _ended(event)
    for when in ("before", "after"):
        for reference, said in event.get(when, {}).items():
            user = f", as {said['user']}" if said.get("user") else ""
            yield f"- {reference}, {when}: {pointed_to(said)}{user}"


def _surroundings(event: Event) -> str:
    engine = ", ".join(str(value) for value in event["engine"].values())
    first = f"# {event['notebook']}\n\n{event['time']}, by {event['person']}, engine: {engine}"
    clean = "unchanged" if event.get("clean") else "with changes that are not committed"
    commit = event.get("commit")
    text = f"Text: commit {commit}, {clean}" if commit else "Text: in no repository of git"
    tools = ", ".join(f"{name}: {said}" for name, said in event.get("tools", {}).items())
    return f"{first}\n\n{text}\n\nTools: {tools}"


def _ended(event: Event) -> Iterator[str]:
    if event["output"].strip():
        yield fence(event["output"], "text")
    by = ", interrupted by the person" if event.get("interrupted") else ""
    yield f"Status {event['status']}, {event['seconds']} s{by}"


def fence(text: str, language: str) -> str:
    """Return a fenced block, whose fence is longer than any run of backticks in the text."""
    ticks = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{ticks}{language}\n{text.rstrip()}\n{ticks}"
