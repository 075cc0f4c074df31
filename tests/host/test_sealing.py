import ctypes
import json
import os
import socket
import sys
import uuid
from contextlib import ExitStack
from pathlib import Path

import pytest

from conftest import ORDINARY_USER, ROOT, cgroups, rehearsal, wait_until_nothing_is_left
from test_verify import write_pair

ADDRESSES = ("1.1.1.1", "10.0.0.1", "172.17.0.9", "192.168.1.1", "2606:4700::1111")
LEAK = f"leak-{uuid.uuid4().hex}"
"""A name that nothing on this machine can have from before: what stands there afterwards was
written by this run.
"""
WRITES = [
    str(Path(place, LEAK)) for place in ("/", "/usr", "/etc", "/root", ROOT, ROOT / "notebooks")
]


@pytest.fixture(scope="module", params=[(), ORDINARY_USER], ids=["root", "ordinary user"])
def tried(request, tmp_path_factory):
    """What the probe could do in a room, with secrets and sockets planted on the machine."""
    home = tmp_path_factory.mktemp("home")
    (home / "secret").write_text("PLANTED")
    name = uuid.uuid4().hex
    places = [home / name, ROOT / "build" / name, ROOT / ".git" / name, Path("/var/tmp") / name]
    keyctl, add_key = {"x86_64": (250, 248), "aarch64": (219, 217)}[os.uname().machine]
    system = ctypes.CDLL(None).syscall
    assert system(keyctl, 1, None) > 0
    assert system(add_key, b"user", LEAK.encode(), b"PLANTED", 7, -3) > 0
    assert system(keyctl, 10, -3, b"user", LEAK.encode(), 0) > 0
    (ROOT / "build").mkdir(exist_ok=True)
    with ExitStack() as stack:
        for address in (*map(str, places), f"\0{name}"):
            server = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            server.bind(address)
            server.listen()
        for place in places:
            stack.callback(place.unlink)
        plan = {
            "sockets": [str(place) for place in places],
            "abstract": name,
            "secret": str(home / "secret"),
            "leak": LEAK,
            "writes": WRITES,
            "addresses": ADDRESSES,
        }
        probe = ["room", "--", sys.executable, str(ROOT / "tests" / "probe.py"), json.dumps(plan)]
        done = rehearsal(*probe, before=request.param, PLANTED="PLANTED", HOME=str(home))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) | {"by root": not request.param}


def test_no_socket_of_the_machine_can_be_reached(tried):
    assert set(tried["sockets"].values()) == {"refused"}
    assert tried["abstract"] == "refused"


def test_no_planted_variable_is_there(tried):
    assert not tried["environment"]


def test_the_home_of_the_person_cannot_be_read(tried):
    assert tried["secret"] == "refused"


def test_nothing_outside_can_be_written(tried):
    assert set(tried["writes"].values()) == {"refused"}
    assert tried["kernel setting"] == "refused"
    assert tried["block device"] == "refused"
    assert not any(Path(path).exists() for path in WRITES)


def test_what_no_namespace_walls_off_is_refused(tried):
    refused = ["refused", "Operation not permitted"]
    assert tried["terminal"] == refused
    assert tried["hypervisor"] == refused
    assert not tried["key"]


def test_even_a_room_of_root_is_nobody_on_the_machine(tried):
    if tried["by root"]:  # the ordinary user here is root by another name
        assert tried["setting of its own"] == "refused"
        assert tried["shadow"] == "refused"


def test_what_is_written_in_the_room_is_gone_with_it(tried):
    assert set(tried["inside"].values()) == {"done"}
    assert not any(Path(path).exists() for path in tried["inside"])


def test_a_cgroup_made_in_the_room_is_gone_with_it(tried):
    assert tried["made cgroup"] in ("done", "refused")
    assert not cgroups(LEAK)
    assert wait_until_nothing_is_left(LEAK) == []


def test_no_address_but_loopback_answers_and_none_keeps_waiting(tried):
    assert {result for result, _ in tried["addresses"].values()} == {"refused"}
    assert max(seconds for _, seconds in tried["addresses"].values()) < 1


def test_every_client_finds_the_rooms_registries(tried):
    assert tried["curl"] == "401"
    assert tried["requests"] == 401
    assert tried["skopeo"] == tried["docker"]
    assert tried["docker"].startswith("sha256:")


REOPENS = """
import json, subprocess
mounts = (line.split()[4:6] for line in open("/proc/self/mountinfo"))
changed = []
for place, options in dict(mounts).items():  # of several at one place the last is seen
    for command in (["mount", "-o", "remount,bind,rw", place], ["umount", place]):
        read_only = options.startswith("ro")
        if read_only and not subprocess.run(command, capture_output=True).returncode:
            changed.append(command)
print(json.dumps(changed))
"""


@pytest.mark.parametrize("before", [(), ORDINARY_USER], ids=["root", "ordinary user"])
def test_no_mount_that_is_read_only_can_be_reopened(before):
    done = rehearsal("room", "--", sys.executable, "-c", REOPENS, before=before)
    assert (done.returncode, json.loads(done.stdout)) == (0, [])


def test_a_container_with_all_rights_cannot_reopen_one_either():
    script = (
        "docker pull -q alpine >&2; docker run --rm --privileged -v /usr:/there alpine"
        " busybox mount -o remount,bind,rw /there"
    )
    done = rehearsal("room", "--", "sh", "-ec", script)
    assert done.returncode != 0
    assert "permission denied" in done.stderr


def test_what_only_some_may_read_in_etc_is_covered_for_the_ordinary_user_too():
    script = "cat /etc/shadow /etc/gshadow; ls -A /etc/ssl/private; stat -c %s /etc/passwd"
    done = rehearsal("room", "--", "sh", "-c", script, before=ORDINARY_USER)
    assert int(done.stdout) > 0
    assert done.stderr.count("Permission denied") == 2


def test_an_abstract_socket_whose_name_is_no_text_stops_no_room():
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(b"\0\xff\xfe" + LEAK.encode())
        assert rehearsal("room", "--", "true").returncode == 0


def test_files_whose_names_are_no_text_stop_no_room_and_are_copied(project):
    os.mkfifo(os.fsencode(project) + b"/\xff")
    name = os.fsencode(project) + b"/notebooks/\xfe"
    with open(name, "w") as file:
        file.write("there")
    os.chmod(name, 0o600)
    done = rehearsal("room", "--", "sh", "-c", "cat $(printf '\\376')", cwd=project)
    assert (done.returncode, done.stdout) == (0, "there"), done.stderr


FORKS = """
import os
while True:
    try:
        os.fork()
    except OSError:
        pass
"""


def test_a_command_that_forks_without_end_ends_its_room_with_one_line():
    done = rehearsal("room", "--", sys.executable, "-c", FORKS, seconds=60)
    assert done.returncode == 3
    assert "more than 512 processes" in done.stderr.splitlines()[-1]


def test_a_cell_that_forks_without_end_is_reported_in_one_line(project):
    (project / "notebooks/forks.py").write_text(FORKS)
    write_pair(project / "notebooks", "specimen", "```bash\necho a\npython3 forks.py\n```\n")
    done = rehearsal("refresh", "specimen", cwd=project, seconds=60)
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1].startswith("rehearsal: specimen: cell «echo a»: the kernel")


@pytest.mark.parametrize("place", ["/tmp", "/var/tmp", "/run", "/run/room/home"])
def test_a_file_without_end_fills_the_room_and_no_more(place):
    script = f"dd if=/dev/zero of={place}/x bs=1M; df -m --output=size / | tail -1"
    done = rehearsal("room", "--", "sh", "-c", script)
    assert "No space left on device" in done.stderr
    assert int(done.stdout) <= 1024
