"""Addresses that a registry sends: each is read once, and what is not plain https leads nowhere."""

import contextlib
import socket
import threading

import pytest

from conftest_room import MAY_PUSH, digest_of
from megalotron_images.errors import RegistryFailed
from megalotron_images.registry.client import Manifest, Registry, Taken
from rehearsal.room.registry import replaced_by
from rehearsal.room.scripted import Reply, as_json, challenge, errors

IMAGE, OTHER = "megalotron/backend", "127.0.0.77"
KIND = "application/vnd.oci.image.manifest.v1+json"
CONTENT = b'{"schemaVersion": 2, "config": {"digest": "sha256:' + b"1" * 64 + b'"}, "layers": []}'
MANIFEST = Manifest(digest_of(CONTENT), KIND, CONTENT)
SPELLINGS = (
    rf"https://{OTHER}\@ghcr.io/x",
    rf"https://{OTHER}\x@ghcr.io/x",
    rf"https:\\{OTHER}/x",
    rf"/\{OTHER}/x",
    rf"\\{OTHER}\x",
    f"https://ghcr.io@{OTHER}/x",
    f"https://ghcr.io:443@{OTHER}/x",
    f"https://@{OTHER}/x",
    f"//ghcr.io@{OTHER}/x",
    f"https://{OTHER} @ghcr.io/x",
    f"https://{OTHER}\t@ghcr.io/x",
    f"https://{OTHER}/\x01x",
    f"https://{OTHER}/\x7fx",
    f"https://{OTHER}/\xe9",
    f"https://{OTHER}\x85/x",
    f"http://{OTHER}/x",
    f"HTTP://{OTHER}:443/x",
    f"ftp://{OTHER}/x",
    f"https://{OTHER}%40ghcr.io/x",
    f"https://{OTHER}:x/x",
    "https://[::1/x",
)


@pytest.fixture
def reached():
    """Listen as the other host, with and without TLS; yield a list that grows with each visit."""
    visits, doors = [], [socket.create_server((OTHER, port)) for port in (443, 80)]

    def count(door):
        with contextlib.suppress(OSError):
            while True:
                visits.append(door.accept()[0].close())

    for door in doors:
        threading.Thread(target=count, args=(door,), daemon=True).start()
    yield visits
    for door in doors:
        door.shutdown(socket.SHUT_RDWR)
        door.close()


@pytest.fixture
def client():
    return Registry("ghcr.io", MAY_PUSH, 5)


def script_for(place, address):
    """Answer as a registry that sends its visitors to `address` from one place."""

    def script(asked):
        if asked.path.startswith("/token"):
            there = Reply(307, b"", {"Location": address})
            return there if place == "token" else as_json(200, {"token": "practice"})
        if "Bearer" not in asked.headers.get("Authorization", ""):
            realm = {"WWW-Authenticate": f'Bearer realm="{address}"'}
            return errors(401, "UNAUTHORIZED", "x", **realm) if place == "realm" else challenge()
        if "tags/list" in asked.path:
            return as_json(200, {"tags": ["v1.0.0"]}, Link=f"<{address}>; rel=next")
        return Reply(307, b"", {"Location": address})

    return script


QUESTIONS = {
    "token": lambda client: client.manifest(IMAGE, "main"),
    "realm": lambda client: client.manifest(IMAGE, "main"),
    "manifest": lambda client: client.manifest(IMAGE, "main"),
    "write": lambda client: client.put(IMAGE, "main", MANIFEST),
    "list of tags": lambda client: client.tags(IMAGE),
}


@pytest.mark.main
@pytest.mark.parametrize("place", QUESTIONS)
def test_an_address_that_is_not_plain_https_leads_nowhere(place, played, reached, client):
    sent = []

    def script(asked):
        return script_for(place, sent[-1])(asked)

    with replaced_by(played, script):
        for address in SPELLINGS:
            # in the quotes of a realm a backslash is written twice
            sent.append(address.replace("\\", "\\\\") if place == "realm" else address)
            with pytest.raises(RegistryFailed, match="Only https addresses are safe"):
                QUESTIONS[place](client)
            assert reached == [], address


@pytest.mark.parametrize("place", ["token", "realm", "manifest", "write"])
def test_a_person_reads_one_line_where_an_address_is_refused(place, played, reached, cli):
    command = ("digest", f"ghcr.io/{IMAGE}:main")
    if place == "write":
        command = ("promote", "backend", "v1.0.0", "--yes")
    with replaced_by(played, script_for(place, f"https://ghcr.io@{OTHER}/x")):
        done = cli(*command)
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1
    assert reached == []


@pytest.mark.main
def test_an_address_of_another_host_gets_no_login(played, reached, client):
    """The other host speaks no TLS here: that it is visited shows that the address was followed."""
    there = script_for("manifest", f"https://{OTHER}/x")
    with replaced_by(played, there), pytest.raises(RegistryFailed):
        client.manifest(IMAGE, "main")
    assert reached


@pytest.mark.parametrize("address", ["https://ghcr.io:443/v2/m@x", "HTTPS://GHCR.IO/v2/m", "m?a=b"])
def test_the_same_host_is_the_same_however_it_is_written(address, played, client):
    def script(asked):
        if asked.path.startswith("/token"):
            return as_json(200, {"token": "practice"})
        if "Bearer" not in asked.headers.get("Authorization", ""):
            return challenge()
        there = Reply(307, b"", {"Location": address})
        return (
            there if asked.path.endswith("/main") else Reply(200, CONTENT, {"Content-Type": KIND})
        )

    with replaced_by(played, script):
        assert client.state(IMAGE, "main") == Taken(MANIFEST.digest)
