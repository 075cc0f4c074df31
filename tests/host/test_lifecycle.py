import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from jupyter_client.manager import KernelManager

from conftest import ORDINARY_USER, ROOT, left_of_rooms, rehearsal, wait_until_nothing_is_left

REHEARSAL = str(Path(sys.executable).parent / "rehearsal")
CONTAINER = (
    "docker pull -q alpine && docker run -d alpine sleep 600 && echo ready-{0} && sleep 600 &&"
    " : {0}"
)


def start(marker, *before, script="echo ready-{0}; sleep 600; : {0}"):
    """Start a room whose command goes on until it is ended; return its runner once it runs."""
    command = [*before, REHEARSAL, "room", "--", "sh", "-c", script.format(marker)]
    runner = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    line = "before"
    while line and line.strip() != f"ready-{marker}":
        line = runner.stdout.readline()
    runner.stdout.close()
    assert line, "the command in the room did not start"
    return runner


@pytest.fixture
def marker():
    return uuid.uuid4().hex


@pytest.mark.parametrize("before", [(), ORDINARY_USER], ids=["root", "ordinary user"])
@pytest.mark.parametrize("status", [0, 1, 42])
def test_a_room_ends_with_its_commands_status_and_leaves_nothing(status, before, marker):
    done = rehearsal(
        "room", "--", "sh", "-c", f"sleep 600 & : {marker}; exit {status}", before=before
    )
    assert done.returncode == status
    assert wait_until_nothing_is_left(marker) == []


def test_a_room_says_its_practice_credentials_on_stderr_before_the_command_runs():
    done = rehearsal("room", "--", "echo", "answer")
    assert done.stdout == "answer\n"
    assert "practice-token-may-push (push)" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGHUP])
def test_nothing_is_left_when_the_runner_is_ended(number, marker):
    runner = start(marker)
    runner.send_signal(number)
    runner.wait(10)
    assert wait_until_nothing_is_left(marker) == []


def test_ctrl_c_is_not_told_as_a_verdict(tmp_path):
    file = tmp_path / "record"
    os.mkfifo(file)
    runner = subprocess.Popen([REHEARSAL, "record", str(file)], stderr=subprocess.DEVNULL)
    with file.open("w"):  # once it reads
        runner.send_signal(signal.SIGINT)
        assert runner.wait(10) == 130


def test_nothing_is_left_when_the_runner_is_killed_as_a_room_starts(marker):
    for milliseconds in range(60, 220, 10):
        command = [REHEARSAL, "room", "--", "sh", "-c", f"sleep 600; : {marker}"]
        runner = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(milliseconds / 1000)
        runner.kill()
        runner.wait(10)
    assert wait_until_nothing_is_left(marker) == []


def test_nothing_is_left_of_running_containers_when_the_runner_is_killed(marker):
    runner = start(marker, script=CONTAINER)
    runner.kill()
    runner.wait(10)
    assert wait_until_nothing_is_left(marker) == []


def test_nothing_is_left_when_the_supervisor_is_killed_too(marker):
    runner = start(marker)
    children = Path(f"/proc/{runner.pid}/task/{runner.pid}/children").read_text().split()
    for child in children:
        os.kill(int(child), signal.SIGKILL)
    runner.wait(10)
    assert wait_until_nothing_is_left(marker, with_cgroups=False) == []
    # the next room removes the cgroup of the one before
    assert rehearsal("room", "--", "true").returncode == 0
    assert wait_until_nothing_is_left(marker) == []


class Kernel:
    """A kernel `rehearsal`, as any notebook tool starts one."""

    def __init__(self, project):
        self.manager = KernelManager(kernel_name="rehearsal")
        self.manager.start_kernel(cwd=str(project / "notebooks"))
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(30)

    def run(self, source, interrupt_after=None):
        """Return what a cell printed, and the error it ended with."""
        printed = []
        identifier = self.client.execute(source, stop_on_error=False)
        if interrupt_after is not None:
            time.sleep(interrupt_after)
            self.manager.interrupt_kernel()
        while True:
            message = self.client.get_iopub_msg(timeout=30)
            content = message["content"]
            if message["parent_header"].get("msg_id") != identifier:
                continue
            if message["msg_type"] == "stream":
                printed.append(content["text"])
            elif message["msg_type"] == "error":
                return "".join(printed), content["evalue"]
            elif message["msg_type"] == "status" and content["execution_state"] == "idle":
                return "".join(printed), None

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture
def kernel(project):
    kernel = Kernel(project)
    yield kernel
    kernel.close()


def test_an_interrupt_ends_the_cells_processes_and_breaks_the_shell(kernel, marker):
    assert kernel.run("%%bash\necho before")[0] == "before\n"
    _, error = kernel.run(f"%%bash\nsleep 600; : {marker}", interrupt_after=1)
    assert "Interrupted" in error
    printed, error = kernel.run("%%bash\necho after")
    assert "Not run" in error
    assert printed == ""
    kernel.manager.restart_kernel()
    kernel.client.wait_for_ready(30)
    assert kernel.run("%%bash\necho after") == ("after\n", None)


def test_an_ended_kernel_leaves_nothing(kernel, project):
    kernel.run("%%bash\ndocker pull -q alpine")
    assert left_of_rooms(str(project))
    kernel.close()
    assert wait_until_nothing_is_left(str(project)) == []


def test_a_killed_relay_leaves_nothing(kernel, project):
    kernel.run("%%bash\ndocker pull -q alpine")
    os.kill(kernel.manager.provisioner.process.pid, signal.SIGKILL)
    assert wait_until_nothing_is_left(str(project)) == []


@pytest.mark.parametrize("seconds", [0.6, 0.9, 1.2])
def test_nothing_is_left_when_a_verification_is_killed(seconds, project):
    (project / "tmp").mkdir()
    environment = os.environ | {"TMPDIR": str(project / "tmp")}
    with open(project / "log", "w") as out:
        command = [REHEARSAL, "verify", "push-an-image"]
        runner = subprocess.Popen(command, cwd=project, stdout=out, stderr=out, env=environment)
        time.sleep(seconds)
        assert left_of_rooms(str(project))
        runner.kill()
        runner.wait(10)
    assert wait_until_nothing_is_left(str(project)) == []
    assert list((project / "tmp").glob("*.json")) == []


def test_each_way_around_the_strict_shell_is_refused_in_the_kernel_too(kernel):
    for source in (
        "!exit 3",
        "%%sh\nexit 3",
        "%%script bash\nexit 3",
        "%system exit 3",
        "x = !exit 3",
    ):
        assert "only %%bash" in str(kernel.run(source)), source


def test_the_connection_key_of_a_kernel_is_for_its_owner_alone(kernel):
    printed, _ = kernel.run("%%bash\nstat -c %a /run/room/connection.json")
    assert printed == "600\n"


def test_a_taken_port_is_one_clear_line_and_status_3(tmp_path):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = {f"{name}_port": 0 for name in ("shell", "iopub", "stdin", "control", "hb")}
        ports["control_port"] = taken.getsockname()[1]
        connection = {
            "ip": "127.0.0.1",
            "key": "",
            "transport": "tcp",
            "signature_scheme": "hmac-sha256",
        }
        file = tmp_path / "connection.json"
        file.write_text(json.dumps(connection | ports))
        command = [sys.executable, "-m", "rehearsal.room.relay", str(file)]
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
        )
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert "The kernel cannot start:" in done.stderr
    assert "address already in use" in done.stderr
