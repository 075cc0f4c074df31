"""Run in a room: try everything that must not be possible, print what happened as JSON."""

import ctypes
import fcntl
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path


def attempt(action):
    try:
        return "done", action()
    except OSError as error:
        return "refused", error.strerror


def connect(family, address):
    begin = time.monotonic()
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(10)
        result, _ = attempt(lambda: client.connect(address))
    return result, time.monotonic() - begin


def write(path):
    return attempt(lambda: Path(path).write_text("leak"))[0]


def type_into_the_terminal():
    fcntl.ioctl(0, 0x5412, b"x")


def ask_the_hypervisor():
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as client:
        client.settimeout(2)
        client.connect((2, 1024))


def find_key(name):
    keyctl = {"x86_64": 250, "aarch64": 219}[os.uname().machine]
    return ctypes.CDLL(None).syscall(keyctl, 10, -3, b"user", name.encode(), 0) > 0


def write_a_setting_of_a_proc_of_its_own():
    os.mkdir("/tmp/proc")
    subprocess.run(["mount", "-t", "proc", "proc", "/tmp/proc"], check=True)
    path = Path("/tmp/proc/sys/vm/swappiness")
    path.write_text(path.read_text())


def said(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False)


def main(plan):
    environments = b"".join(path.read_bytes() for path in Path("/proc").glob("[0-9]*/environ"))
    cgroup = f"/sys/fs/cgroup/{plan['leak']}"
    pages = said(
        "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "https://ghcr.io/v2/"
    ).stdout
    places = ("/dev/shm", "/tmp", "/run", "/var/tmp")
    import requests

    skopeo = said(
        "skopeo", "inspect", "--format", "{{.Digest}}", "docker://docker.io/library/alpine:latest"
    )
    pulled = said("docker", "pull", "alpine").stdout
    print(
        json.dumps(
            {
                "sockets": {path: connect(socket.AF_UNIX, path)[0] for path in plan["sockets"]},
                "abstract": connect(socket.AF_UNIX, "\0" + plan["abstract"])[0],
                "environment": "PLANTED" in os.environ or b"PLANTED" in environments,
                "secret": attempt(lambda: Path(plan["secret"]).read_text())[0],
                "writes": {path: write(path) for path in plan["writes"]},
                "terminal": attempt(type_into_the_terminal),
                "hypervisor": attempt(ask_the_hypervisor),
                "key": find_key(plan["leak"]),
                "shadow": attempt(lambda: Path("/etc/shadow").read_text())[0],
                "setting of its own": attempt(write_a_setting_of_a_proc_of_its_own)[0],
                "kernel setting": write("/proc/sys/kernel/panic_on_oops"),
                "block device": attempt(lambda: os.mknod("/tmp/disk", 0o60600, os.makedev(8, 0)))[
                    0
                ],
                "inside": {
                    path: write(path) for path in (f"{place}/{plan['leak']}" for place in places)
                },
                "made cgroup": attempt(lambda: os.mkdir(cgroup))[0],
                "addresses": {
                    address: connect(
                        socket.AF_INET6 if ":" in address else socket.AF_INET, (address, 443)
                    )
                    for address in plan["addresses"]
                },
                "curl": pages,
                "requests": requests.get("https://ghcr.io/v2/", timeout=5).status_code,
                "skopeo": skopeo.stdout.strip(),
                "docker": (
                    next(line for line in pulled.splitlines() if line.startswith("Digest")).split()[
                        1
                    ]
                ),
            }
        )
    )


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
