import pytest

from rehearsal.room.writes import writes_in
from rehearsal.runbook.lint import full

LINE = '127.0.0.1 - - [25/Nov/2026:01:51:34 +0000] "{} HTTP/2.0" {} 0 "" "curl"\n'
WRITTEN = "docker.io/library/alpine:evil"
CASES = {
    "PUT /v2/library/alpine/manifests/evil": [WRITTEN],
    "PUT /v2/library/alpine/manifest%73/evil": [WRITTEN],
    "PUT /v%32/library/alpine/manifests/evil?x=y": [WRITTEN],
    "PUT https://index.docker.io/v2/library/alpine/manifests/evil": [WRITTEN],
    "PUT /v2/library/./alpine//manifests/evil": [WRITTEN],
    "PUT /v2/library/alpine/manifests/sha256:00": [],
    "PUT /v2/library/alpine/manifests/sha256%3A00": [],
    "PUT /v2/library/alpine/blobs/uploads/00?digest=sha256:00": [],
    "DELETE /v2/library/alpine/blobs/uploads/00": [],
    "DELETE /v2/library/alpine/manifests/sha256:00": [
        "docker.io/library/alpine@sha256:00 (deleted)"
    ],
    "DELETE /v2/library/alpine/blobs/sha256:00": ["docker.io/library/alpine@sha256:00 (deleted)"],
    "GET /v2/library/alpine/manifests/evil": [],
}


@pytest.mark.parametrize("request_line", CASES)
def test_a_write_is_seen_however_its_address_is_written(request_line):
    assert writes_in(LINE.format(request_line, 201), "docker.io") == CASES[request_line]


def test_a_write_that_was_refused_is_none():
    assert writes_in(LINE.format("PUT /v2/library/alpine/manifests/evil", 401), "docker.io") == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("docker.io/library/alpine:latest", "alpine"),
        ("docker.io/library/alpine:latest", "docker://alpine"),
        ("docker.io/megalotron/alpine:test", "megalotron/alpine:test"),
        ("ghcr.io/megalotron/alpine:latest", "ghcr.io/megalotron/alpine"),
        ("localhost:5000/alpine:latest", "localhost:5000/alpine"),
        ("docker.io/library/alpine@sha256:00", "alpine@sha256:00"),
    ],
)
def test_a_reference_is_the_same_in_every_form(one, other):
    assert full(other) == full(one) == one
