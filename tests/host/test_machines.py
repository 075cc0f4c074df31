"""Rooms on machines that are less than a whole one: rights taken away, users in two ranges, another
PID namespace.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
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


WITHOUT_NAMESPACES = """
import ctypes, os, struct, sys
machine, clone3, seccomp = {"x86_64": (0xC000003E, 435, 317), "aarch64": (0xC00000B7, 435, 277)}[
    os.uname().machine
]
lines = (0x20, 0, 0, 0), (0x15, 0, 1, clone3), (6, 0, 0, 0x50000 | 38), (6, 0, 0, 0x7FFF0000)
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in lines))
program = struct.pack("HxxxxxxP", len(lines), ctypes.addressof(code))
assert not ctypes.CDLL(None).syscall(seccomp, 1, 0, program)
os.execvp(sys.argv[1], sys.argv[1:])
"""
"""Runs a command for which clone3 is not implemented, as for one in an emulated container."""


def test_where_a_container_has_no_clone3_its_advice_names_emulation_too():
    in_container = 'mount -t tmpfs none /run; touch /run/.containerenv; exec "$@"'
    before = ["unshare", "--mount", "sh", "-c", in_container, "sh"]
    before += [sys.executable, "-c", WITHOUT_NAMESPACES]
    done = rehearsal("room", "--", "true", before=before)
    assert done.returncode == 3
    assert "seccomp=unconfined" in done.stderr
    assert "is emulated" in done.stderr


def test_a_processor_whose_system_calls_are_not_known_gets_no_room():
    done = rehearsal("room", "--", "true", before=["setarch", "linux32"])
    assert done.returncode == 3
    assert "A room needs a 64-bit Python on x86_64 or aarch64" in done.stderr
    assert len(done.stderr.splitlines()) == 1


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


IN_TWO_RANGES = """
import subprocess, sys
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/host"]
from test_machines import namespace_of_users
script = "id -u; cat /proc/self/uid_map; touch /tmp/x; chown 1000:1000 /tmp/x"
with namespace_of_users((0, 0, 1), (1, 1000, 60000)) as before:
    rehearsal = sys.executable.replace("python3", "rehearsal")
    command = [*before, rehearsal, "room", "--", "sh", "-c", script]
    sys.exit(subprocess.call(command, cwd=sys.argv[2]))
"""
"""In a room, whose root is nobody on the machine: a room in a namespace as rootlesskit makes it."""


def test_a_room_keeps_the_two_ranges_of_users_that_rootlesskit_gives():
    python = str(Path(sys.executable).parent / "python3")
    arguments = [python, "-c", IN_TWO_RANGES, str(ROOT / "tests"), str(ROOT)]
    done = rehearsal("room", "--", *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["0", "0", "0", "1", "1", "1", "60000"]


@pytest.mark.parametrize(
    "ranges",
    [[(0, 0, 1)], [(0, 0, 1), (1, 100000, 65535)], [(0, 100000, 1000), (1000, 0, 1)]],
    ids=["alone", "and others", "as another number"],
)
def test_the_machines_root_in_a_namespace_gets_no_room_as_itself(ranges):
    with namespace_of_users(*ranges) as before:
        done = rehearsal("room", "--", "true", before=before)
    assert done.returncode == 3
    assert "the machine's own root is a user here" in done.stderr


def test_a_room_in_a_room_runs_containers():
    inner = [str(Path(sys.executable).parent / "rehearsal"), "room", "--", "sh", "-c"]
    script = f'cd "{ROOT}"; exec "$@"'
    done = rehearsal("room", "--", "sh", "-c", script, "sh", *inner, RUNS_A_CONTAINER)
    assert (done.returncode, done.stdout) == (0, "ran\n"), done.stderr


@pytest.fixture
def closed(project):
    """A project of which nobody but its owner may read a line."""
    subprocess.run(["chmod", "-R", "go-rwx", project], check=True)
    return project


READS_THE_PROJECT = (
    "cat push-an-image.md /run/room/project/pyproject.toml >/dev/null; echo read; read x"
)


def outer_user(runner):
    """Return the user that processes of a room are on this machine."""
    (one,) = {
        uid
        for child in psutil.Process(runner.pid).children(recursive=True)[1:]
        for uid in child.uids()
    }
    return one


@pytest.mark.parametrize("opened", ["", "pyproject.toml", "."])
def test_a_project_that_only_root_may_read_gets_a_room_whose_root_is_nobody(closed, opened):
    if opened:
        subprocess.run(
            ["chmod", "-R" if opened == "." else "-f", "go+rX", closed / opened], check=True
        )
        (closed / "notebooks/push-an-image.md").chmod(0o600)
    command = [str(Path(sys.executable).parent / "rehearsal"), "room", "--", "sh", "-ec"]
    with subprocess.Popen(
        [*command, READS_THE_PROJECT],
        cwd=closed,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as runner:
        assert runner.stdout.readline() == "read\n"
        assert outer_user(runner) == 2_100_000_000
        runner.communicate("go\n", timeout=60)
    assert runner.returncode == 0


ON_OVERLAY = """
mkdir upper work merged
mount -t overlay -o lowerdir="$0",upperdir=upper,workdir=work none merged
cd merged; exec "$@"
"""


def test_where_users_of_files_cannot_be_mapped_the_file_is_named_with_the_command(
    closed, tmp_path_factory
):
    folder = tmp_path_factory.mktemp("overlay")
    before = ["unshare", "--mount", "sh", "-ec", ON_OVERLAY, str(closed)]
    done = rehearsal("room", "--", "true", cwd=folder, before=before)
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert "pyproject.toml" in line
    assert f"chmod -R o+rX {folder}/merged" in line


def test_on_such_a_file_system_closed_notebooks_are_copied(project, tmp_path_factory):
    folder = tmp_path_factory.mktemp("overlay")
    (project / "notebooks/push-an-image.md").chmod(0o600)
    before = ["unshare", "--mount", "sh", "-ec", ON_OVERLAY, str(project)]
    done = rehearsal("room", "--", "cat", "push-an-image.md", cwd=folder, before=before)
    assert done.stdout == (ROOT / "notebooks/push-an-image.md").read_text(), done.stderr


@pytest.mark.parametrize("place", ["/mnt", "/dev/shm", "/var/tmp"])
def test_a_project_gets_a_room_below(place, project):
    with tempfile.TemporaryDirectory(dir=place) as folder:
        os.chmod(folder, 0o755)
        shutil.copytree(project, folder, dirs_exist_ok=True)
        done = rehearsal("room", "--", "ls", f"{folder}/pyproject.toml", cwd=folder)
    assert (done.returncode, done.stdout) == (0, f"{folder}/pyproject.toml\n"), done.stderr


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
