"""Run what takes long, whole, and keep what came out of it: `python -m bench.record NAME COMMAND…`.

What the command prints goes on as it comes. bench/NAME.json gets when and of which commit it ran,
how long it took, its status, and its last lines. Ends with that status.
"""

import json
import shlex
import subprocess
import sys
import time
from collections import deque

from bench.measure import ROOT
from bench.stamp import stamp

KEPT = 40
"""Last lines; a failure's reason must be among them."""


def main(name: str, *command: str) -> int:
    """Run the command, record it, and return its status."""
    when, begin, last = stamp(), time.monotonic(), deque[str](maxlen=KEPT)
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            print(line, end="", flush=True)
            last.append(line.rstrip("\n"))
    outcome = {
        "command": shlex.join(command).replace(f"{ROOT}/", ""),
        "status": running.returncode,
        "seconds": time.monotonic() - begin,
    }
    record = when | outcome | {"outcome": last[-1] if last else "", "last lines": list(last)}
    (ROOT / "bench" / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n")
    return running.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
