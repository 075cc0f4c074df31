"""Measure, print a table, write bench/results.json; end with 1 if a bar is missed."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict

from bench.measure import ROOT, RUNS, Ratio, alternate, timed
from bench.stamp import stamp

COPIES = 3


def verify_against_plain_nbval() -> Ratio:
    """`rehearsal verify` with its own room, against nbval with a plain kernel in a running room."""
    inside = [
        "rehearsal",
        "room",
        "--",
        sys.executable,
        str(ROOT / "bench" / "inside.py"),
        str(ROOT),
    ]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(inside, cwd=ROOT, **pipes) as room:

        def plain() -> float:
            room.stdin.write("run\n")
            room.stdin.flush()
            return float(room.stdout.readline())

        ours, theirs = alternate(lambda: timed(["rehearsal", "verify", "push-an-image"]), plain)
        room.stdin.close()
    return Ratio(
        "verify of one notebook", "nbval, plain kernel, engine running", ours, theirs, 1.25
    )


def copies_against_one() -> Ratio:
    """Three copies of the notebook at once, beside one."""
    folder = ROOT / "build" / "bench"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number in range(COPIES):
        for suffix in (".md", ".ipynb"):
            shutil.copy(
                ROOT / "notebooks" / f"push-an-image{suffix}", folder / f"copy-{number}{suffix}"
            )
    paths = [str(path) for path in sorted(folder.glob("*.md"))]
    ours, theirs = alternate(
        lambda: timed(["rehearsal", "verify", *paths]),
        lambda: timed(["rehearsal", "verify", paths[0]]),
    )
    return Ratio(f"verify of {COPIES} copies at once", "of one", ours, theirs, 2.5)


def all_against_their_share() -> Ratio:
    """All notebooks at once, against the slowest one or their sum divided by the processors."""
    names = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))

    def share() -> float:
        each = [timed(["rehearsal", "verify", name]) for name in names]
        return max(*each, sum(each) / (os.cpu_count() or 1))

    ours, theirs = alternate(lambda: timed(["rehearsal", "verify"]), share)
    return Ratio("verify of all notebooks", "max(slowest, sum ÷ processors)", ours, theirs, 1.25)


def clients() -> Iterator[Ratio]:
    """This project's client beside skopeo and docker, all in one room."""
    command = ["rehearsal", "room", "--", sys.executable, str(ROOT / "bench" / "clients.py")]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    for line in done.stdout.splitlines():
        yield Ratio(**json.loads(line))


def main() -> int:
    """Measure everything; return 1 if a bar is missed."""
    when = stamp()
    ratios = [
        verify_against_plain_nbval(),
        copies_against_one(),
        all_against_their_share(),
        *clients(),
    ]
    print(
        "| what | median (range) | against | median (range) | ratio | bar | |\n"
        + "| --- " * 7
        + "|"
    )
    print("\n".join(map(str, ratios)))
    results = when | {
        "runs": RUNS,
        "ratios": [asdict(ratio) | {"ratio": round(ratio.value, 3)} for ratio in ratios],
    }
    (ROOT / "bench" / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    return int(not all(ratio.holds for ratio in ratios))


if __name__ == "__main__":
    sys.exit(main())
