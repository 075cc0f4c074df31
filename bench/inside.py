"""In a room: for each line on stdin, run nbval with a plain kernel on the running services."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from rehearsal.runbook.execute import NBVAL

KERNEL = {
    "argv": [
        "python",
        "-m",
        "ipykernel_launcher",
        "-f",
        "{connection_file}",
        "--ext=rehearsal.cell.magic",
    ]
}


def main(root: Path, name: str) -> None:
    """Answer each line with the seconds that nbval took as a whole process."""
    kernels = Path("/tmp/jupyter/kernels/plain")
    kernels.mkdir(parents=True)
    (kernels / "kernel.json").write_text(
        json.dumps(KERNEL | {"display_name": "plain", "language": "python"})
    )
    command = [sys.executable, "-m", "pytest", *NBVAL, "--nbval-kernel-name=plain"]
    command += [f"/run/room/work/{name}.ipynb"]
    environment = os.environ | {"JUPYTER_PATH": "/tmp/jupyter"}
    for _ in sys.stdin:
        subprocess.run(
            ["docker", "system", "prune", "--all", "--force"], check=True, stdout=subprocess.DEVNULL
        )
        shutil.rmtree("/run/room/registries/ghcr.io/docker", ignore_errors=True)
        shutil.copy(root / "pyproject.toml", "/run/room/pyproject.toml")
        shutil.copytree(root / "notebooks", "/run/room/notebooks", dirs_exist_ok=True)
        begin = time.perf_counter()
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - begin
        if done.returncode:
            sys.exit(f"nbval failed in the room:\n{done.stdout}")
        print(seconds, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
