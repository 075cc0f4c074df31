"""Measure what is stale, row by row; `python -m bench CHECK...` measures those, stale or not.

With `--stale` nothing runs: it says what is stale. Ends with 1 if something does not hold, with 3
if something could not be measured.
"""

import argparse
import functools
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from bench.measure import ROOT
from bench.state import Row, Subject, git, load_subjects, write_row
from rehearsal.errors import CannotCheck
from rehearsal.room.engine import NAME_VARIABLE, STORE_VARIABLE, choose_engine, machine_architecture
from rehearsal.settings import load_settings

HERE = machine_architecture()
STOPPED = 130


def main(arguments: Sequence[str]) -> int:
    """Say what is stale and how long that takes, and measure it."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("checks", nargs="*", help="measure these, stale or not")
    parser.add_argument(
        "--stale", action="store_true", help="say what is stale, and measure nothing"
    )
    asked = parser.parse_args(arguments)
    names, subjects = asked.checks, load_subjects(ROOT)
    if unknown := {*names} - {subject.check.name for subject in subjects}:
        print(f"There is no check {', '.join(sorted(unknown))} in bench/checks.toml.")
        return 2
    if names:
        chosen = [subject for subject in subjects if subject.check.name in names]
    else:
        chosen = [one for one in subjects if one.is_stale(HERE, release(one.engine, one.store))]
    print(summary(subjects, chosen), flush=True)
    if asked.stale or not chosen:
        return 0
    try:
        return measure_all(chosen)
    except KeyboardInterrupt:
        print("Stopped. What was measured is kept; the same command continues with the rest.")
        return STOPPED


def summary(subjects: Sequence[Subject], chosen: Sequence[Subject]) -> str:
    """Return how many rows are to be measured, which, and how long that takes."""
    counts = Counter(subject.check.name for subject in chosen)
    which = ", ".join(f"{name} {count}" for name, count in counts.items())
    minutes = sum(map(expected, chosen)) / 60
    most = f"{len(chosen)} of {len(subjects)} rows to measure: {which}; about {minutes:.0f} minutes"
    return f"Evidence: {most} (make evidence)" if chosen else "Evidence: each row is of this state"


def expected(subject: Subject) -> float:
    """Return the seconds that a row took last time, or else what checks.toml says."""
    row = subject.rows.get(HERE)
    return row.seconds if row else subject.check.seconds


def measure_all(chosen: Sequence[Subject]) -> int:
    """Measure each, after what it needs was made; return the status of all."""
    status = 0
    needs = dict.fromkeys(need for subject in chosen for need in subject.check.needs)
    absent = {need for need in needs if subprocess.call(["make", "-s", need], cwd=ROOT)}
    for number, subject in enumerate(chosen, 1):
        about = f"about {expected(subject) / 60:.1f} minutes"
        print(f"[{number}/{len(chosen)}] {subject}: {about}", flush=True)
        row = measure(subject) if not absent & {*subject.check.needs} else None
        if row is None:
            print(f"{subject} could not be measured, for the reason above.", flush=True)
        else:
            write_row(ROOT, subject.check.name, row)
            print(f"{'ok    ' if row.holds else 'MISSED'} {row.result}", flush=True)
        status = max(status, 3 if row is None else int(not row.holds))
    return status


def measure(subject: Subject) -> Row | None:
    """Run a subject's command; return its row, or None if it could not be measured."""
    docker = release(subject.engine, subject.store)
    if subject.engine and not docker:
        print(f"    The engine {subject.engine} is not here: make engines")
        return None
    chosen = {NAME_VARIABLE: subject.engine, STORE_VARIABLE: subject.store}
    command = shlex.split(subject.check.command.format(page=subject.page, root=ROOT))
    begin, printed, figures = time.monotonic(), "", []
    with subprocess.Popen(
        command, cwd=ROOT, env=os.environ | chosen, stdout=subprocess.PIPE, text=True
    ) as running:
        for line in running.stdout or ():
            printed = line.strip() or printed
            if line.startswith("{"):
                figures.append(json.loads(line))
                printed = ("MISSED  " * (not figures[-1]["holds"])) + "  ".join(
                    figures[-1][key] for key in ("what", "value", "limit")
                )
            print(f"    {printed}", flush=True)
    seconds = round(time.monotonic() - begin, 1)
    found = re.search(subject.check.result, printed)
    judged = (0,) if figures else (0, 1)  # a figure says itself that it misses its limit
    if running.returncode not in judged or not found:
        return None
    missed = [figure for figure in figures if not figure["holds"]]
    result = f"{len(figures) - len(missed)} of {len(figures)} within their limits"
    return Row(
        page=subject.page,
        engine=subject.engine,
        store=subject.store,
        release=docker,
        processor=HERE,
        holds=not running.returncode and not missed,
        result=result if figures else found[0],
        figures=figures,
        seconds=seconds,
        measured=datetime.now(UTC).date().isoformat(),
        commit=git(ROOT, "rev-parse", "HEAD"),
        state=subject.state,
    )


@functools.cache
def release(engine: str, store: str) -> str:
    """Return the release of a Docker that is here, or nothing for one that is not."""
    os.environ |= {NAME_VARIABLE: engine, STORE_VARIABLE: store}
    try:
        return choose_engine(load_settings(ROOT)).release if engine else ""
    except CannotCheck:
        return ""
    finally:
        del os.environ[NAME_VARIABLE], os.environ[STORE_VARIABLE]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
