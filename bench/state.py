"""What is measured, the state that each result depends on, and the committed results."""

import functools
import hashlib
import itertools
import json
import os
import subprocess
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_TABLE = ".toml:"


@dataclass(frozen=True)
class Check:
    """An entry of checks.toml, which explains its keys."""

    name: str
    what: str
    command: str
    seconds: float
    inputs: tuple[str, ...]
    pages: bool = False
    engines: tuple[str, ...] = ("",)
    result: str = ".+"
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """A result.

    Attributes:
        page: the guide; empty for one that is not of a guide.
        engine: the set's name; empty for one that needs no engine.
        store: its image store.
        release: of its Docker, such as `26.1.5`.
        processor: of the machine, such as `amd64`.
        holds: whether it is as it must be.
        result: in words.
        figures: what was measured; see `measure.Figure`.
        seconds: the duration.
        measured: the day.
        commit: that was checked out.
        state: the hash of its inputs.
    """

    page: str
    engine: str
    store: str
    release: str
    processor: str
    holds: bool
    result: str
    figures: list[dict[str, Any]]
    seconds: float
    measured: str
    commit: str
    state: str

    @property
    def key(self) -> tuple[str, ...]:
        """What tells it from the other rows of its check."""
        return self.page, self.engine, self.store, self.processor


@dataclass(frozen=True)
class Subject:
    """What rows are about, its state now, and the rows, by processor."""

    check: Check
    page: str
    engine: str
    store: str
    state: str
    rows: Mapping[str, Row]

    def is_stale(self, processor: str, release: str = "") -> bool:
        """Whether it must be measured: never done there, another state or release, or wrong."""
        row = self.rows.get(processor)
        return not (row and row.holds and row.state == self.state and release in ("", row.release))

    def __str__(self) -> str:
        return " ".join(filter(None, (self.check.name, self.page, self.engine, self.store)))


def load_subjects(root: Path) -> list[Subject]:
    """Return all that is to be measured, check by check."""
    known = tomllib.loads((root / "bench" / "checks.toml").read_text())
    digest = functools.cache(functools.partial(_digest, root))
    pages = sorted(path.stem for path in (root / "notebooks").glob("*.ipynb"))
    found = []
    for entry in known["check"]:
        inputs = itertools.chain(*(known["groups"].get(one, [one]) for one in entry["inputs"]))
        check = Check(**entry | {"inputs": tuple(inputs)})
        rows = load_rows(root, check.name)
        for page, pair in itertools.product(pages if check.pages else ("",), check.engines):
            engine, _, store = pair.partition("/")
            own = {row.processor: row for row in rows if row.key[:3] == (page, engine, store)}
            found.append(Subject(check, page, engine, store, _state(check, page, digest), own))
    return found


def _state(check: Check, page: str, digest: Callable[[str], str]) -> str:
    whole = hashlib.sha256(check.command.encode())
    for pattern in check.inputs:
        whole.update(digest(pattern.format(page=page)).encode())
    return whole.hexdigest()[:16]


def _digest(root: Path, pattern: str) -> str:
    """Return the hash of the files that a pattern matches, or a table of a file."""
    file, _, table = pattern.partition(_TABLE)
    if table:
        content = tomllib.loads((root / f"{file}.toml").read_text())
        part = functools.reduce(dict.__getitem__, table.split("."), content)
        return json.dumps(part, sort_keys=True)
    files = {path.relative_to(root): path for path in root.glob(pattern) if path.is_file()}
    whole = hashlib.sha256()
    for name, path in sorted(files.items()):
        if not any(part == "__pycache__" or part.startswith(".") for part in name.parts):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            whole.update(f"{name} {content}\n".encode())
    return whole.hexdigest()


def load_rows(root: Path, check: str) -> list[Row]:
    """Return the committed rows of a check."""
    file = root / "bench" / f"{check}.json"
    return [Row(**row) for row in json.loads(file.read_text())["rows"]] if file.exists() else []


def write_row(root: Path, check: str, row: Row) -> None:
    """Put a row in the place of the one before; the file is whole at each moment."""
    file = root / "bench" / f"{check}.json"
    rows = [one for one in load_rows(root, check) if one.key != row.key]
    rows = sorted([*rows, row], key=lambda one: one.key)
    new = file.with_suffix(".new")
    new.write_text('{"rows": [\n' + ",\n".join(json.dumps(asdict(one)) for one in rows) + "\n]}\n")
    os.replace(new, file)


def git(folder: Path, *arguments: str) -> str:
    """Return what git prints; nothing without git, or where it fails."""
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
