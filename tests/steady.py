"""Verify the named runbooks, or all, N times with both cores kept busy; print every difference, end
with 1 if there was one.
"""

import multiprocessing
import subprocess
import sys
from pathlib import Path


def spin():
    while True:
        pass


def main(times, *names):
    load = [
        multiprocessing.Process(target=spin, daemon=True)
        for _ in range(multiprocessing.cpu_count())
    ]
    for process in load:
        process.start()
    failed = 0
    for number in range(1, times + 1):
        command = [str(Path(sys.executable).parent / "rehearsal"), "verify", *names]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        failed += bool(done.returncode)
        if done.returncode:
            print(f"run {number}: status {done.returncode}\n{done.stdout}{done.stderr}")
    for process in load:
        process.kill()
    print(f"{times - failed} of {times} runs the same")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), *sys.argv[2:]))
