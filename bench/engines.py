"""Verify every notebook on every engine and store, and write the committed table.

`python -m bench.engines`.

With `--stale` nothing runs: it says which rows are of a notebook that has changed since.
"""

import json
import os
import sys
from collections.abc import Sequence

from bench.measure import ROOT
from bench.stamp import stamp
from rehearsal.room.engine import (
    NAME_VARIABLE,
    STORE_VARIABLE,
    Engine,
    choose_engine,
    machine_architecture,
)
from rehearsal.runbook import execute
from rehearsal.runbook.evidence import Row, load_rows, write_rows
from rehearsal.runbook.masks import masks_for
from rehearsal.runbook.model import Runbook, find_runbooks
from rehearsal.settings import Settings, load_settings

PAIRS = (
    ("debian-12", "graph"),
    ("debian-13", "graph"),
    ("debian-13", "containerd"),
    ("debian-14", "graph"),
    ("debian-14", "containerd"),
)


def main(arguments: Sequence[str]) -> int:
    """Write the table, or say what is stale of it.

    Return 1 if a notebook does not hold on an engine.
    """
    settings = load_settings(ROOT)
    runbooks = find_runbooks(settings, ())
    if "--stale" in arguments:
        print(_staleness(settings, runbooks))
        return 0
    rows, wrong = list[Row](), 0
    for name, store in PAIRS:
        os.environ |= {NAME_VARIABLE: name, STORE_VARIABLE: store}
        engine = choose_engine(settings)
        outcome = execute.verify(settings, runbooks, masks_for(settings, engine))
        for line in outcome.lines():
            print(line)
        print(
            f"{'Verified' if outcome.holds else 'Not verified'} on {engine}: {outcome}", flush=True
        )
        found = (*outcome.problems, *outcome.differences, *outcome.unchecked)
        failed = {problem.notebook for problem in found}
        if "masks" in failed:
            print("The masks do not hold, so no row is written.")
            return 1
        wrong += len(failed)
        held = [one for one in runbooks if one.name not in failed]
        rows += [_row(settings, runbook, engine, outcome) for runbook in held]
    if settings.evidence:
        write_rows(settings.evidence, rows)
    print(f"{len(rows)} rows of {len(runbooks) * len(PAIRS)} written, {wrong} do not hold")
    return int(bool(wrong))


def _row(settings: Settings, runbook: Runbook, engine: Engine, outcome: execute.Outcome) -> Row:
    versions = json.loads((settings.engines / engine.name / "versions.json").read_text())
    when = stamp()
    return Row(
        notebook=runbook.name,
        engine=engine.name,
        store=engine.store,
        release=engine.release,
        versions=versions,
        processor=machine_architecture(),
        cells=outcome.held[runbook.name],
        skipped=outcome.skipped[runbook.name],
        measured=when["measured"],
        commit=when["commit"],
        state=runbook.fingerprint,
    )


def _staleness(settings: Settings, runbooks: Sequence[Runbook]) -> str:
    rows = load_rows(settings)
    by_name = {one.name: one for one in runbooks}
    fresh = {
        (row.notebook, row.engine, row.store)
        for row in rows
        if row.notebook in by_name and row.is_of(by_name[row.notebook])
    }
    wanted = {(runbook.name, *one) for runbook in runbooks for one in PAIRS}
    stale = sorted({name for name, _, _ in wanted - fresh})
    said = (
        f"bench/engines.json: {len(fresh & wanted)} of {len(wanted)} rows are of the notebooks as"
        " they are"
    )
    return f"{said}; stale: {', '.join(stale)} (make evidence-engines)" if stale else said


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
