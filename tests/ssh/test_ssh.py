"""`megalotron-images running` over SSH, in a room: Debian's sshd, unpacked and not installed.

`make ssh` fetches the packages into build/sshd, and runs this.
"""

import os
import socket
import subprocess
from pathlib import Path

import pexpect
import pytest

from conftest_room import MAY_PUSH, cli, docker
from rehearsal.room.paths import PROJECT

__all__ = ["cli"]
SSHD = PROJECT / "build" / "sshd"
LIBRARIES = ":".join(map(str, (*SSHD.glob("lib/*-linux-gnu"), *SSHD.glob("usr/lib/*-linux-gnu"))))
CLIENT = """Host server-strange
 UserKnownHostsFile /dev/null
Host *
 HostName 127.0.0.1
 User root
 IdentityFile {place}/key
 UserKnownHostsFile {place}/known
Host server-one server-strange
 Port 2222
Host server-refused
 Port 2223
Host server-silent
 Port 2224
"""
SERVER = """Port 2222
ListenAddress 127.0.0.1
HostKey {place}/host
AuthorizedKeysFile {place}/key.pub
PidFile none
StrictModes no
PermitRootLogin yes
UsePAM no
SetEnv DOCKER_HOST={engine} PATH={path}
"""
PARTS = {"SshdSessionPath": "sshd-session", "SshdAuthPath": "sshd-auth"}
"""Programs of their own from OpenSSH 9.8 and 10.0 on, which sshd runs by their installed paths."""


def cover(file, text, place):
    """Show other words in place of a file of the machine's, in this room alone."""
    covering = place / Path(file).name
    covering.write_text(text)
    subprocess.run(["mount", "--bind", str(covering), file], check=True)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the keys of a user and of a server, who may log in as root."""
    place, home = tmp_path_factory.mktemp("ssh"), Path(os.environ["HOME"])
    os.environ["PATH"] += f":{SSHD}/usr/bin"  # the client, where the machine has none
    for key in ("host", "key"):
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(place / key)]
        subprocess.run(make, check=True)
    (place / "known").write_text(f"[127.0.0.1]:2222 {(place / 'host.pub').read_text()}")
    (home / ".ssh").mkdir(mode=0o700)
    (home / ".ssh" / "config").write_text(CLIENT.format(place=place))
    users = Path("/etc/passwd").read_text().replace(":/root:", f":{home}:")
    cover("/etc/passwd", f"{users}sshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n", place)
    cover("/etc/shadow", "root:*:19000::::::\n", place)
    Path("/run/sshd").mkdir(exist_ok=True)
    return place


@pytest.fixture(scope="module")
def sshd(place):
    """A server that takes the user's key, and leads to the room's engine."""
    paths = {"engine": os.environ["DOCKER_HOST"], "path": os.environ["PATH"]}
    parts = {option: SSHD / "usr/lib/openssh" / name for option, name in PARTS.items()}
    said = [f"{option} {path}\n" for option, path in parts.items() if path.exists()]
    (place / "sshd_config").write_text(SERVER.format(place=place, **paths) + "".join(said))
    command = [str(SSHD / "usr/sbin/sshd"), "-D", "-e", "-f", str(place / "sshd_config")]
    server = pexpect.spawn(
        command[0], command[1:], env=os.environ | {"LD_LIBRARY_PATH": LIBRARIES}, timeout=20
    )
    server.expect("Server listening on 127.0.0.1 port 2222")
    yield
    server.close(force=True)


@pytest.fixture(scope="module")
def servers(sshd):
    """Contexts that lead over SSH: to a server, and to three that cannot be reached."""
    names = [f"server-{what}" for what in ("one", "strange", "refused", "silent")]
    for name in names:
        docker("context", "create", name, "--docker", f"host=ssh://{name}")
    docker("run", "--detach", "ghcr.io/megalotron/backend:v1.4.0")
    with socket.create_server(("127.0.0.1", 2224)):
        yield [word for name in names for word in ("--context", name)]


def test_a_server_is_asked_over_ssh(cli, servers):
    done = cli("running", "backend", *servers[:2])
    assert done.stdout.splitlines()[1].split() == ["server-one", "backend", "v1.4.0", "v1.5.0"]
    assert done.returncode == 1
    assert "could not be asked" not in done.stderr


def test_servers_that_ssh_cannot_reach_do_not_hide_the_others_and_nobody_is_asked(cli, servers):
    login = {"REGISTRY_USERNAME": "octocat", "REGISTRY_TOKEN": MAY_PUSH.password}
    environment = os.environ | login | {"MEGALOTRON_IMAGES_SECONDS": "15"}
    done = cli("running", "backend", *servers, env=environment)
    assert [line.split()[2] for line in done.stdout.splitlines()] == [
        "RUNS",
        "v1.4.0",
        *["unknown"] * 3,
    ]
    assert done.returncode == 3
    strange, refused, silent = (line for line in done.stderr.splitlines() if "asked" in line)
    assert "server-strange could not be asked: Host key verification failed." in strange
    assert "Connection refused. Try: docker --context server-refused version" in refused
    assert "server-silent could not be asked: docker does not answer within 15 seconds." in silent
