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
from rehearsal.room.engine import NAME_VARIABLE, STORE_VARIABLE, Engine, choose_engine
from rehearsal.runbook import execute as verification
from rehearsal.runbook.compare import masks_for
from rehearsal.runbook.evidence import Row, load_rows, write_rows
from rehearsal.runbook.model import Pair, find_pairs, fingerprint
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
    pairs = find_pairs(settings, ())
    if "--stale" in arguments:
        print(_staleness(settings, pairs))
        return 0
    rows, wrong = list[Row](), 0
    for name, store in PAIRS:
        os.environ |= {NAME_VARIABLE: name, STORE_VARIABLE: store}
        engine = choose_engine(settings)
        checked = verification.verify(settings, pairs, masks_for(settings, engine))
        for problem in (*checked.problems, *checked.differences, *checked.unchecked):
            print(problem)
        print(
            f"{'Verified' if checked.holds else 'Not verified'} on {engine}: {checked}", flush=True
        )
        if any(problem.notebook == "masks" for problem in checked.problems):
            print("The masks do not hold, so no row is written.")
            return 1
        failed = {
            found.notebook
            for found in (*checked.problems, *checked.differences, *checked.unchecked)
        }
        wrong += len(failed)
        rows += [_row(settings, pair, engine, checked) for pair in pairs if pair.name not in failed]
    if settings.evidence:
        write_rows(settings.evidence, rows)
    print(f"{len(rows)} rows of {len(pairs) * len(PAIRS)} written, {wrong} do not hold")
    return int(bool(wrong))


def _row(settings: Settings, pair: Pair, engine: Engine, checked: verification.Checked) -> Row:
    versions = json.loads((settings.engines / engine.name / "versions.json").read_text())
    when = stamp()
    ran, passed_over = checked.by_notebook[pair.name]
    return Row(
        notebook=pair.name,
        engine=engine.name,
        store=engine.store,
        release=engine.release,
        versions=versions,
        cells=ran,
        passed_over=passed_over,
        measured=when["measured"],
        commit=when["commit"],
        state=fingerprint(pair),
    )


def _staleness(settings: Settings, pairs: Sequence[Pair]) -> str:
    rows = load_rows(settings)
    by_name = {pair.name: pair for pair in pairs}
    fresh = {
        (row.notebook, row.engine, row.store)
        for row in rows
        if row.notebook in by_name and row.is_of(by_name[row.notebook])
    }
    wanted = {(pair.name, *one) for pair in pairs for one in PAIRS}
    stale = sorted({name for name, _, _ in wanted - fresh})
    said = (
        f"bench/engines.json: {len(fresh & wanted)} of {len(wanted)} rows are of the notebooks as"
        " they are"
    )
    return f"{said}; stale: {', '.join(stale)} (make evidence-engines)" if stale else said


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
