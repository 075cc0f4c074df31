"""Rooms on machines that are less than a whole one: rights taken away, users in two ranges, another
PID namespace.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from conftest import ROOT, rehearsal

WITHOUT_SETUID = ["setpriv", "--bounding-set=-setuid,-setgid", "--inh-caps=-setuid,-setgid"]
ELSEWHERE = ["unshare", "--pid", "--fork", "--mount-proc"]
"""Before a command: run it in a PID namespace of its own, which shares the cgroups."""


def test_root_without_the_right_to_map_users_is_told_so_in_seconds():
    begin = time.monotonic()
    done = rehearsal("room", "--", "true", before=WITHOUT_SETUID)
    assert done.returncode == 3
    assert "CAP_SETUID" in done.stderr
    assert time.monotonic() - begin < 10


@pytest.mark.parametrize("verb", ["verify", "refresh"])
def test_where_no_room_can_be_made_no_notebook_is_run(verb):
    begin = time.monotonic()
    done = rehearsal(verb, before=WITHOUT_SETUID)
    assert (done.returncode, done.stdout) == (3, "")
    assert "CAP_SETUID" in done.stderr
    assert time.monotonic() - begin < 10


def test_a_container_whose_proc_is_masked_is_told_the_options_that_it_needs():
    masked = (
        "mount -t tmpfs none /run; touch /run/.containerenv; mount -t tmpfs none /proc/irq; exec"
        ' "$@"'
    )
    done = rehearsal("room", "--", "true", before=["unshare", "--mount", "sh", "-c", masked, "sh"])
    assert done.returncode == 3
    assert "systempaths=unconfined" in done.stderr


CGROUPS_ALONE = 'umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup; exec "$@"'
"""In a mount namespace: mount cgroups of version 2 as systemd does, and no other; run a command."""
RUNS_A_CONTAINER = "docker pull -q alpine >&2; docker run --rm alpine echo ran"


def test_containers_run_where_the_machines_cgroups_are_of_version_2_alone():
    before = ["unshare", "--mount", "sh", "-ec", CGROUPS_ALONE, "sh"]
    done = rehearsal("room", "--", "sh", "-c", RUNS_A_CONTAINER, before=before)
    assert (done.returncode, done.stdout) == (0, "ran\n"), done.stderr


@contextlib.contextmanager
def namespace_of_users(*ranges):
    """Give what runs a command as root of a user namespace with these ranges (inside, outside,
    count).
    """
    holder = subprocess.Popen(["unshare", "--user", "sleep", "120"])
    try:
        here = os.readlink("/proc/self/ns/user")
        while os.readlink(f"/proc/{holder.pid}/ns/user") == here:
            time.sleep(0.01)
        for kind in ("uid", "gid"):
            Path(f"/proc/{holder.pid}/{kind}_map").write_text(
                "\n".join(" ".join(map(str, one)) for one in ranges)
            )
        yield ["nsenter", f"--user=/proc/{holder.pid}/ns/user", "--setuid=0", "--setgid=0"]
    finally:
        holder.kill()
        holder.wait()


def test_a_room_keeps_the_two_ranges_of_users_that_rootlesskit_gives():
    with namespace_of_users((0, 0, 1), (1, 100000, 65535)) as before:
        done = rehearsal(
            "room",
            "--",
            "sh",
            "-c",
            "cat /proc/self/uid_map; touch /tmp/x; chown 1000:1000 /tmp/x",
            before=before,
        )
    assert done.returncode == 0, done.stderr
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["0", "0", "1"],
        ["1", "1", "65535"],
    ]


@pytest.fixture
def room_elsewhere():
    """A room that runs in another PID namespace, whose supervisor has no process id of this one."""
    program = str(Path(sys.executable).parent / "rehearsal")
    command = [
        *ELSEWHERE,
        program,
        "room",
        "--",
        "sh",
        "-c",
        "echo up; docker pull -q alpine >&2; read line; docker run --rm alpine echo still",
    ]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout.readline() == "up\n"
        yield running
        if running.poll() is None:
            running.send_signal(signal.SIGKILL)


def test_a_room_in_another_pid_namespace_keeps_its_cgroup(room_elsewhere):
    inside = psutil.Process(room_elsewhere.pid).children(recursive=True)[-1]
    place = Path(f"/proc/{inside.pid}/cgroup")
    before = place.read_text()
    assert "rehearsal-" in before
    assert rehearsal("room", "--", "true").returncode == 0
    assert place.read_text() == before
    out, _ = room_elsewhere.communicate("go\n", timeout=60)
    assert out == "still\n"
    assert room_elsewhere.returncode == 0
