"""In a room: let two processes publish the same version with different content at the same moment,
many times.

`python tests/race.py [TIMES]` prints what came out; ends with 1 if two were ever told yes, or a
loser was not told both digests. Run by a test for a few times, by `make evidence` for 100.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from megalotron_images.registry.client import Registry, Taken

PROGRAM = Path(sys.executable).parent / "megalotron-images"
REPOSITORY = "megalotron/sniffer"


@dataclass(frozen=True)
class Outcome:
    """One race: each one's status and words, and the digest that stands there now."""

    version: str
    statuses: tuple[int, ...]
    said: tuple[str, ...]
    digest: str

    @property
    def right(self) -> bool:
        """Whether at most one was told yes, about what stands there, and each loser learnt of it
        and of its own.
        """
        winners = [
            said for status, said in zip(self.statuses, self.said, strict=True) if status == 0
        ]
        losers = [
            said for status, said in zip(self.statuses, self.said, strict=True) if status != 0
        ]
        return (
            len(winners) <= 1
            and all(said.strip().endswith(self.digest) for said in winners)
            and all(self.digest in said and said.count("sha256:") >= 2 for said in losers)
        )


def run(times):
    """Return the outcome of each race."""
    for name in "ab":
        script = f"FROM scratch\nLABEL racer={name}\n"
        subprocess.run(
            ["docker", "build", "-q", "-t", f"racer-{name}", "-"],
            input=script.encode(),
            check=True,
            capture_output=True,
        )
    subprocess.run(
        ["docker", "login", "ghcr.io", "-u", "octocat", "--password-stdin"],
        input=b"practice-token-may-push",
        capture_output=True,
        check=True,
    )
    registry = Registry("ghcr.io", None)
    try:
        return [_race(f"v9.0.{number}", registry) for number in range(times)]
    finally:
        subprocess.run(["docker", "logout", "ghcr.io"], capture_output=True, check=True)


def _race(version, registry):
    racers = [
        subprocess.Popen(
            [PROGRAM, "publish", "sniffer", version, "--image", f"racer-{name}", "--yes"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in "ab"
    ]
    said = []
    for racer in racers:
        out, err = racer.communicate(timeout=120)
        said.append(out or (err.strip().splitlines() or [""])[-1])
    state = registry.state(REPOSITORY, version)
    digest = state.digest if isinstance(state, Taken) else str(state)
    return Outcome(version, tuple(racer.returncode for racer in racers), tuple(said), digest)


def main(times):
    """Print the outcomes as one line, and each that is not right."""
    outcomes = run(times)
    wrong = [outcome for outcome in outcomes if not outcome.right]
    for outcome in wrong:
        print(outcome)
    both = sum(outcome.statuses.count(0) == 2 for outcome in outcomes)
    one = sum(outcome.statuses.count(0) == 1 for outcome in outcomes)
    print(f"{len(outcomes)} races: {one} with one winner, {both} with two, {len(wrong)} not right")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200))
