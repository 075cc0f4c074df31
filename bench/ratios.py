"""How long `verify` takes: `python -m bench.ratios` for all pages, with a NAME for one."""

import os
import shutil
import subprocess
import sys

from bench.measure import ROOT, Figure, alternate, ratio, timed

COPIES = 3


def verify_against_plain_nbval(name: str) -> Figure:
    """`rehearsal verify` with its own room, against nbval with a plain kernel in a running room."""
    inside = [
        "rehearsal",
        "room",
        "--",
        sys.executable,
        str(ROOT / "bench" / "inside.py"),
        str(ROOT),
        name,
    ]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(inside, cwd=ROOT, **pipes) as room:

        def plain() -> float:
            room.stdin.write("run\n")
            room.stdin.flush()
            return float(room.stdout.readline())

        ours, theirs = alternate(lambda: timed(["rehearsal", "verify", name]), plain)
        room.stdin.close()
    return ratio(
        "verify of one notebook", "nbval, plain kernel, engine running", ours, theirs, 1.25
    )


def copies_against_one(name: str) -> Figure:
    """Return three copies of the notebook at once beside one."""
    folder = ROOT / "build" / "bench"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number in range(COPIES):
        for suffix in (".md", ".ipynb"):
            shutil.copy(ROOT / "notebooks" / f"{name}{suffix}", folder / f"copy-{number}{suffix}")
    paths = [str(path) for path in sorted(folder.glob("*.md"))]
    ours, theirs = alternate(
        lambda: timed(["rehearsal", "verify", *paths]),
        lambda: timed(["rehearsal", "verify", paths[0]]),
    )
    return ratio(f"verify of {COPIES} copies at once", "of one", ours, theirs, 2.5)


def all_against_their_share() -> Figure:
    """All notebooks at once, against the slowest one or their sum divided by the processors."""
    names = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))

    def share() -> float:
        each = [timed(["rehearsal", "verify", name]) for name in names]
        return max(*each, sum(each) / (os.cpu_count() or 1))

    ours, theirs = alternate(lambda: timed(["rehearsal", "verify"]), share)
    return ratio("verify of all notebooks", "max(slowest, sum ÷ processors)", ours, theirs, 1.25)


def main(name: str = "") -> None:
    """Print one figure a line."""
    if name:
        verify_against_plain_nbval(name).show()
        copies_against_one(name).show()
    else:
        all_against_their_share().show()


if __name__ == "__main__":
    main(*sys.argv[1:])
