"""What a registry can do wrong, and what the person reads then: the status is 3, and nothing was
written.

A scripted server stands in the place of "ghcr.io"; only where the real one can play the part
itself, it does.
"""

import json
import time

import pytest

from conftest_room import MAY_PUSH, digest_of, put_image, registry_process
from megalotron_images.convention import parse_reference
from megalotron_images.errors import RegistryFailed
from megalotron_images.plan import Plan
from megalotron_images.registry.client import ACCEPT, Free, Manifest, Registry, Taken, Unknown
from megalotron_images.release import put
from rehearsal.room.registry import replaced_by
from rehearsal.room.scripted import Reply, challenge, errors, words

IMAGE = "megalotron/backend"
MANIFEST = json.dumps(
    {"schemaVersion": 2, "config": {"digest": "sha256:" + "1" * 64}, "layers": []}
).encode()
DIGEST = digest_of(MANIFEST)
SAYS = {
    "Docker-Content-Digest": DIGEST,
    "Content-Type": "application/vnd.oci.image.manifest.v1+json",
}
UNKNOWN = errors(404, "MANIFEST_UNKNOWN", "manifest unknown")


class Cut(Reply):
    """A reply whose connection breaks before its body is complete."""

    def send(self, file):
        file.write(self.body[:5])
        raise ConnectionError


class Dripping(Reply):
    """A reply that comes byte by byte."""

    def send(self, file):
        for byte in self.body:
            file.write(bytes([byte]))
            time.sleep(0.2)


TAGS = Reply(200, json.dumps({"name": IMAGE, "tags": ["v1.0.0"]}).encode())
GHCR_WORDS = {
    "denied: denied": "wrong, expired or revoked",
    "denied: permission_denied: write_package": "may not write to this package",
    "denied: permission_denied: The token provided does not match expected scopes": (
        "lacks the scope write:packages"
    ),
    "unauthorized: authentication required": "your login does not allow it",
    "name unknown: repository name not known to registry": "no such package",
    "manifest unknown: manifest unknown": "no such tag",
}


def client(seconds=5.0):
    return Registry("ghcr.io", MAY_PUSH, seconds)


def with_token(script):
    """Ask for a token first, as every registry does; `script` answers what follows."""

    def answer(asked):
        if asked.path.startswith("/token"):
            return Reply(200, b'{"token": "practice"}')
        return script(asked) if "Bearer" in asked.headers.get("Authorization", "") else challenge()

    return answer


def in_turn(*replies):
    """Give one reply after the other, the last one for ever."""
    left = list(replies)
    return with_token(lambda asked: left.pop(0) if len(left) > 1 else left[0])


def written(asked):
    writes = [one for one in asked if one.method in ("PUT", "POST", "PATCH", "DELETE")]
    # without, it was only asked for a token
    return [one for one in writes if "Authorization" in one.headers]


FAULTS = {
    "there, in a kind that was not asked for": (
        with_token(
            lambda asked: errors(
                404,
                "MANIFEST_UNKNOWN",
                "OCI manifest found, but accept header does not support OCI manifests",
            )
        ),
        "OCI manifest found",
    ),
    "manifest elsewhere without TLS": (
        with_token(lambda asked: Reply(302, b"", {"Location": "http://ghcr.io/m"})),
        "Only https addresses are safe",
    ),
    "pages that go on in a way of their own": (
        with_token(lambda asked: Reply(200, TAGS.body, {"Link": "</next>; page=2"})),
        "is not understood",
    ),
    "only a password asked for": (
        lambda asked: Reply(401, b"", {"WWW-Authenticate": "Negotiate"}),
        "status 401",
    ),
    "stopped": (None, "got no response (Connection refused)"),
    "401": (with_token(lambda asked: challenge()), "your login does not allow it"),
    "403": (with_token(lambda asked: errors(403, "DENIED", "denied")), "wrong, expired or revoked"),
    "404 that is not the registry's": (
        with_token(lambda asked: Reply(404, b"<html>not found</html>")),
        "status 404",
    ),
    "500": (with_token(lambda asked: Reply(500, b"oops")), "status 500"),
    "429 that asks for too long": (
        with_token(
            lambda asked: errors(429, "TOOMANYREQUESTS", "retry-after: 1h30m, allowed: 2000/minute")
        ),
        "It asks you to wait 5400 s.",
    ),
    "connection cut in mid-body": (
        with_token(lambda asked: Cut(200, MANIFEST, SAYS)),
        "got no response",
    ),
    "wrong digest": (
        with_token(
            lambda asked: (
                TAGS
                if "tags" in asked.path
                else Reply(200, MANIFEST, SAYS | {"Docker-Content-Digest": "sha256:" + "0" * 64})
            )
        ),
        "Do not trust it",
    ),
    "list of tags without an end": (
        with_token(
            lambda asked: (
                Reply(200, TAGS.body, {"Link": f'</v2/{IMAGE}/tags/list?last=v1&n=1>; rel="next"'})
                if "tags" in asked.path
                else Reply(200, MANIFEST, SAYS)
            )
        ),
        "does not end",
    ),
    "pages that go round": (
        with_token(
            lambda asked: (
                Reply(200, b'{"tags": []}', {"Link": f"<{asked.path}>; rel=next"})
                if "tags" in asked.path
                else Reply(200, MANIFEST, SAYS)
            )
        ),
        "does not end",
    ),
    "no JSON": (with_token(lambda asked: Reply(200, b"<html>")), "not a list of tags"),
    "token that is none": (
        lambda asked: Reply(200, b"{}") if "token" in asked.path else challenge(),
        "no token",
    ),
    "realm without TLS": (
        lambda asked: Reply(401, b"", {"WWW-Authenticate": 'Bearer realm="http://ghcr.io/token"'}),
        "Only https addresses are safe",
    ),
}


COMMANDS = {
    "check": ("check", f"ghcr.io/{IMAGE}:v1.1.0"),
    "next": ("next", "backend"),
    "publish": ("publish", "backend", "v1.1.0", "--image", "one", "--yes"),
}
CASES = [
    (fault, verb)
    for fault in FAULTS
    for verb in COMMANDS
    if (fault, verb) != ("wrong digest", "next")
]
"""All but the one that reads tags alone, which have no digest."""


@pytest.mark.parametrize(("fault", "verb"), CASES)
def test_a_person_reads_one_line_and_nothing_is_written(
    fault, verb, played, make_image, cli, monkeypatch
):
    make_image("one")
    script, said = FAULTS[fault]
    monkeypatch.setenv("MEGALOTRON_IMAGES_SECONDS", "3")
    with replaced_by(played, script) as asked:
        done = cli(*COMMANDS[verb], timeout=60)
    assert done.returncode == 3, (done.stdout, done.stderr)
    told = done.stderr if done.stderr else done.stdout.splitlines()[-1]
    assert said in told
    assert "Traceback" not in told
    assert "github.com" not in told or "run the same command again" in told
    assert written(asked) == []


@pytest.mark.parametrize("said", GHCR_WORDS)
def test_each_refusal_of_ghcr_is_told_with_its_cause_and_next_step(said, played, make_image, cli):
    make_image("one")
    with replaced_by(played, words(said)):
        done = cli("doctor")
    assert done.returncode == 1
    line = next(line for line in done.stdout.splitlines() if line.startswith("no"))
    assert said.partition(": ")[2] in line
    assert GHCR_WORDS[said] in line


@pytest.mark.main
def test_an_engine_without_a_login_is_told_what_to_do(cli, make_image, registry):
    make_image("one")
    done = cli("publish", "backend", "v1.0.0", "--image", "one", "--yes", token="")
    assert done.returncode == 3
    assert (
        "push access denied" in done.stderr
        or "requested access to the resource is denied" in done.stderr
    )
    assert "you are not logged in" in done.stderr
    assert "Log in" in done.stderr
    assert registry.state(IMAGE, "v1.0.0") == Free()


def test_the_waiting_time_is_taken_from_the_message_when_only_that_has_it(played):
    limited = errors(429, "TOOMANYREQUESTS", "retry-after: 700.5ms, allowed: 2000/minute")
    with replaced_by(played, in_turn(limited, Reply(200, MANIFEST, SAYS))):
        begin = time.monotonic()
        assert client().state(IMAGE, "v1.0.0") == Taken(DIGEST)
        assert 0.7 <= time.monotonic() - begin < 3


def test_the_waiting_time_of_the_header_is_kept(played):
    limited = errors(429, "TOOMANYREQUESTS", "slow down", **{"Retry-After": "1"})
    with replaced_by(played, in_turn(limited, Reply(200, MANIFEST, SAYS))):
        begin = time.monotonic()
        assert client().state(IMAGE, "v1.0.0") == Taken(DIGEST)
        assert 1 <= time.monotonic() - begin < 3


@pytest.mark.main
def test_a_read_that_fails_for_a_moment_is_asked_again(played):
    cut = Cut(200, MANIFEST, SAYS)
    with replaced_by(played, in_turn(Reply(500), cut, Reply(200, MANIFEST, SAYS))):
        assert client().manifest(IMAGE, "v1.0.0").content == MANIFEST


@pytest.mark.main
@pytest.mark.parametrize("reply", [Reply(500), Cut(201, b"x" * 10)], ids=["500", "cut"])
def test_a_write_is_sent_once(reply, played, registry):
    manifest = put_image(registry, IMAGE, "v1.0.0")
    with replaced_by(played, with_token(lambda asked: reply)) as asked:
        with pytest.raises(RegistryFailed):
            client().put(IMAGE, "main", manifest)
        assert len(written(asked)) == 1


@pytest.mark.main
@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (Reply(504), "may still arrive"),
        (errors(403, "DENIED", "denied"), "was not written"),
        (errors(429, "TOOMANYREQUESTS", "retry-after: 1ms"), "was not written"),
    ],
    ids=["lost on the way", "refused", "too many"],
)
def test_only_a_refusal_is_said_to_have_written_nothing(reply, told, played):
    reference = parse_reference(f"ghcr.io/{IMAGE}:v9.9.9")
    with replaced_by(played, with_token(lambda asked: reply if asked.method == "PUT" else UNKNOWN)):
        plan = Plan(reference, Free(), None, (), ())
        with pytest.raises(RegistryFailed, match=told):
            put(
                plan,
                Manifest(DIGEST, SAYS["Content-Type"], MANIFEST),
                client(),
                say=lambda step: None,
                settle=0,
            )


@pytest.mark.main
def test_a_write_that_was_not_taken_for_too_many_requests_is_sent_again(played, registry):
    manifest = put_image(registry, IMAGE, "v1.0.0")
    limited = errors(429, "TOOMANYREQUESTS", "retry-after: 10ms")
    with replaced_by(played, in_turn(limited, Reply(201))) as asked:
        client().put(IMAGE, "main", manifest)
        assert len(written(asked)) == 2


@pytest.mark.main
def test_a_404_to_an_incomplete_accept_never_makes_a_tag_free(played):
    """The server answers as GHCR does: 404 for whoever does not accept the kind of manifest that is
    there.
    """

    def script(asked):
        complete = "vnd.oci.image.index" in asked.headers.get("Accept", "")
        return Reply(200, MANIFEST, SAYS) if complete else UNKNOWN

    with replaced_by(played, with_token(script)):
        assert client().state(IMAGE, "v1.0.0") == Taken(DIGEST)
    assert all(
        kind in ACCEPT
        for kind in ("oci.image.manifest", "oci.image.index", "manifest.list.v2", "manifest.v2")
    )


@pytest.mark.main
@pytest.mark.parametrize(
    "reply", [Reply(404), Reply(404, b"{}"), errors(404, "NOT_FOUND", "x"), Reply(503)]
)
def test_only_the_registrys_own_unknown_makes_a_tag_free(reply, played):
    with replaced_by(played, with_token(lambda asked: reply)):
        assert isinstance(client().state(IMAGE, "v1.0.0"), Unknown)
    with replaced_by(played, with_token(lambda asked: UNKNOWN)):
        assert client().state(IMAGE, "v1.0.0") == Free()


@pytest.mark.main
def test_a_registry_that_lists_fewer_tags_at_once_is_asked_for_as_many_as_it_likes(played):
    def answer(asked):
        return errors(400, "PAGINATION_NUMBER_INVALID", "too many") if "n=" in asked.path else TAGS

    with replaced_by(played, with_token(answer)):
        assert client().tags(IMAGE) == ["v1.0.0"]


@pytest.mark.main
@pytest.mark.parametrize("tags", [{}, "v1.0.0", False, [{"name": "v1.0.0"}], [None]])
def test_what_is_no_list_of_tags_is_never_an_empty_one(tags, played):
    reply = Reply(200, json.dumps({"tags": tags}).encode())
    with (
        replaced_by(played, with_token(lambda asked: reply)),
        pytest.raises(RegistryFailed, match="not a list of tags"),
    ):
        client().tags(IMAGE)


@pytest.mark.main
def test_a_page_without_tags_is_not_the_last(played):
    pages = [b'{"tags": ["v1.0.0"]}', b'{"tags": null}', b'{"tags": []}', b'{"tags": ["v2.0.0"]}']

    def script(asked):
        number = int(asked.path.partition("last=")[2] or 0)
        link = {"Link": f"<list?last={number + 1}>; rel=next"} if number < 3 else {}
        return Reply(200, pages[number], link)

    with replaced_by(played, with_token(script)):
        assert client().tags(IMAGE) == ["v1.0.0", "v2.0.0"]


REALMS = {
    "https://ghcr.io/token?account=x": "account=x&scope=",
    "HTTPS://GHCR.IO/token": "/token?scope=",
}


@pytest.mark.main
@pytest.mark.parametrize("realm", REALMS)
def test_a_token_is_asked_for_where_the_registry_says(realm, played):
    def script(asked):
        if asked.path.startswith("/token"):
            return Reply(200, b'{"token": "practice"}')
        says = {"WWW-Authenticate": f'Bearer realm="{realm}"'}
        return UNKNOWN if "Authorization" in asked.headers else Reply(401, b"", says)

    with replaced_by(played, script) as asked:
        assert client().state(IMAGE, "v1.0.0") == Free()
    (token,) = [one.path for one in asked if one.path.startswith("/token")]
    assert REALMS[realm] in token
    assert "service" not in token


@pytest.mark.main
@pytest.mark.parametrize(
    "place", ["https://ghcr.io:443/v2/m", "HTTPS://GHCR.IO/v2/m", "m", "//ghcr.io/m"]
)
def test_a_redirect_to_the_same_host_keeps_the_login(place, played):
    def script(asked):
        if asked.path.endswith("/m"):
            return Reply(200, MANIFEST, SAYS)
        return Reply(307, b"", {"Location": place})

    with replaced_by(played, with_token(script)):
        assert client().state(IMAGE, "v1.0.0") == Taken(DIGEST)


@pytest.mark.main
@pytest.mark.parametrize("status", [307, 308])
def test_a_write_is_redirected_with_its_body_on_the_same_host_alone(status, played, registry):
    manifest, there = put_image(registry, IMAGE, "v1.0.0"), "/moved"

    def script(asked):
        return Reply(201 if "moved" in asked.path else status, b"", {"Location": there})

    with replaced_by(played, with_token(script)) as asked:
        client().put(IMAGE, "main", manifest)
        assert [one.path for one in written(asked)][1:] == ["/moved"]
        there = "https://blobs.example/moved"
        with pytest.raises(RegistryFailed, match="another host"):
            client().put(IMAGE, "main", manifest)


@pytest.mark.parametrize(
    "body", [b"<" * 200_000, b"<script>" * 50_000, b"[" * 100_000, b"\x1b[31mred"]
)
def test_a_page_that_cannot_be_quoted_costs_no_time(body, played):
    with replaced_by(played, with_token(lambda asked: Reply(404, body))):
        begin = time.monotonic()
        assert "status 404" in client().state(IMAGE, "v1.0.0").reason
        assert time.monotonic() - begin < 3


@pytest.mark.parametrize(("status", "code"), [(403, "DENIED"), (401, "UNAUTHORIZED")])
def test_a_registrys_words_are_one_short_line_without_control_characters(status, code, played, cli):
    says = {"WWW-Authenticate": 'Bearer realm="https://ghcr.io/token"'}
    refusal = errors(status, code, "a\nb\x1b[31mc" + "d " * 50_000, **says)
    with replaced_by(played, with_token(lambda asked: refusal)):
        said = cli("digest", f"ghcr.io/{IMAGE}:main").stderr.rstrip("\n")
    assert said.isprintable()
    assert "a b [31mc" in said
    assert len(said) < 1000


ESCAPE = "\x1b]0;title\x07"
PRINTED = {
    "digest": Reply(200, MANIFEST, {"Docker-Content-Digest": ESCAPE}),
    "address": Reply(307, b"", {"Location": f"https://ghcr.io/{ESCAPE}"}),
    "page": Reply(404, f"<p>{ESCAPE}\u202e</p>".encode()),
    "link": Reply(200, b'{"tags": []}', {"Link": f"<{ESCAPE}>; rel=next"}),
}


@pytest.mark.parametrize("reply", PRINTED.values(), ids=PRINTED)
@pytest.mark.parametrize("verb", ["check", "status", "digest"])
def test_no_control_character_of_a_registry_reaches_the_terminal(verb, reply, played, cli):
    name = () if verb == "status" else (f"ghcr.io/{IMAGE}:main",)
    with replaced_by(played, with_token(lambda asked: reply)):
        done = cli(verb, *name)
    assert done.returncode in (1, 3)
    assert (done.stdout + done.stderr).replace("\n", "").isprintable()


@pytest.mark.main
def test_tags_in_pages_are_read_to_the_last(played):
    def script(asked):
        number = int(asked.path.partition("last=")[2].partition("&")[0] or 0)
        link = (
            {"Link": f'</v2/{IMAGE}/tags/list?last={number + 1}&n=100>; rel="next"'}
            if number < 4
            else {}
        )
        tags = [f"v1.{number}.{patch}" for patch in range(100)]
        return Reply(200, json.dumps({"tags": tags}).encode(), link)

    with replaced_by(played, with_token(script)):
        assert len(client().tags(IMAGE)) == 500


def test_answers_that_are_late_each_time_end_at_the_time_limit(played):
    def script(asked):
        time.sleep(0.4)
        return Reply(500)

    with replaced_by(played, with_token(script)):
        begin = time.monotonic()
        with pytest.raises(RegistryFailed):
            client(seconds=1.0).manifest(IMAGE, "v1.0.0")
        assert time.monotonic() - begin < 3


def test_a_drip_of_bytes_ends_at_the_time_limit(played):
    with replaced_by(played, with_token(lambda asked: Dripping(200, MANIFEST, SAYS))):
        begin = time.monotonic()
        with pytest.raises(RegistryFailed, match="took too long"):
            client(seconds=1.0).manifest(IMAGE, "v1.0.0")
        assert time.monotonic() - begin < 3


@pytest.mark.parametrize(
    "header",
    ["Bearer realm", "Bearer realm=", 'Bearer realm="https://[",service="x"', "Negotiate", ""],
)
def test_a_login_that_is_asked_for_in_an_odd_way_is_one_clear_line(header, played):
    with replaced_by(played, lambda asked: Reply(401, b"", {"WWW-Authenticate": header})):
        assert isinstance(client(seconds=1.0).state(IMAGE, "v1.0.0"), Unknown)


def test_a_token_that_cannot_be_a_header_is_in_no_message(played):
    def script(asked):
        return Reply(200, b'{"token": "SECRET\\n"}') if "token" in asked.path else challenge()

    with replaced_by(played, script):
        state = client().state(IMAGE, "v1.0.0")
    assert "holds no token" in state.reason
    assert "SECRET" not in state.reason


@pytest.mark.main
@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b'{"config": null}',
        b'{"config": {"digest": 3}}',
        b'{"mediaType": "application/vnd.oci.image.index.v1+json", "manifests": null}',
        b'{"mediaType": "application/vnd.oci.image.index.v1+json"}',
    ],
)
def test_what_is_no_manifest_is_unknown(body, played):
    with replaced_by(played, with_token(lambda asked: Reply(200, body))):
        assert isinstance(client(seconds=1.0).state(IMAGE, "v1.0.0"), Unknown)


@pytest.mark.parametrize("refused", [1, 2])
def test_a_token_that_is_refused_in_its_first_second_is_tried_once_more(refused, played):
    tokens, sent = [], []

    def script(asked):
        if asked.path.startswith("/token"):
            tokens.append(time.monotonic())
            return Reply(200, b'{"token": "practice"}')
        if "Bearer" not in asked.headers.get("Authorization", ""):
            return challenge()
        sent.append(time.monotonic() - tokens[-1])
        return Reply(200, MANIFEST, SAYS) if len(sent) > refused else challenge()

    with replaced_by(played, script):
        state = client().state(IMAGE, "v1.0.0")
    assert state == Taken(DIGEST) if refused == 1 else isinstance(state, Unknown)
    assert len(sent) == 2
    assert sent[1] >= 1


@pytest.mark.main
@pytest.mark.parametrize("status", [408, 425, 429, 500, 501, 520, 524, 599])
def test_a_read_is_asked_again_and_a_write_only_where_nothing_was_accepted(status, played):
    manifest = Manifest(DIGEST, SAYS["Content-Type"], MANIFEST)
    with replaced_by(played, in_turn(Reply(status), Reply(200, MANIFEST, SAYS))):
        assert client().state(IMAGE, "v1.0.0") == Taken(DIGEST)
    with replaced_by(played, in_turn(Reply(status), Reply(201))) as asked:
        if status == 429:
            client().put(IMAGE, "main", manifest)
        else:
            with pytest.raises(RegistryFailed):
                client().put(IMAGE, "main", manifest)
        assert len(written(asked)) == (2 if status == 429 else 1)


def test_a_token_service_that_fails_for_a_moment_is_asked_again_for_a_write_too(played):
    left = [Reply(503), Reply(429)]

    def script(asked):
        if asked.path.startswith("/token"):
            return left.pop() if left else Reply(200, b'{"token": "practice"}')
        return Reply(201) if "Bearer" in asked.headers.get("Authorization", "") else challenge()

    with replaced_by(played, script) as asked:
        client().put(IMAGE, "main", Manifest(DIGEST, SAYS["Content-Type"], MANIFEST))
        assert len(written(asked)) == 1


@pytest.mark.main
@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_any_success_of_a_write_is_read_back(status, played):
    reads = []

    def script(asked):
        if asked.method == "PUT":
            reads.clear()
            return Reply(status)
        reads.append(asked)
        return Reply(200, MANIFEST, SAYS) if len(reads) > 1 else UNKNOWN  # it shows a moment later

    with replaced_by(played, with_token(script)):
        plan = Plan(parse_reference(f"ghcr.io/{IMAGE}:v9.9.9"), Free(), None, (), ())
        manifest = Manifest(DIGEST, SAYS["Content-Type"], MANIFEST)
        done = put(plan, manifest, client(), say=lambda step: None, settle=0)
    assert done.digest == DIGEST


@pytest.mark.main
@pytest.mark.parametrize("header", ["", f"{DIGEST}, {DIGEST}", f" {DIGEST},{DIGEST} ", ","])
def test_a_digest_that_comes_twice_is_one_and_an_empty_one_says_nothing(header, played):
    says = SAYS | {"Docker-Content-Digest": header}
    with replaced_by(played, with_token(lambda asked: Reply(200, MANIFEST, says))):
        assert client().state(IMAGE, "v1.0.0") == Taken(DIGEST)


@pytest.mark.main
def test_two_digests_that_differ_are_trusted_neither(played):
    says = SAYS | {"Docker-Content-Digest": f"{DIGEST}, sha256:{'0' * 64}"}
    with replaced_by(played, with_token(lambda asked: Reply(200, MANIFEST, says))):
        assert "Do not trust it" in client().state(IMAGE, "v1.0.0").reason


@pytest.mark.parametrize("name", [f"{IMAGE}@sha256:{'0' * 64}", f"{IMAGE}:main@sha256:{'0' * 64}"])
def test_what_is_asked_by_digest_is_that_content_or_no_answer(name, played, cli):
    kind = {"Content-Type": SAYS["Content-Type"]}
    with replaced_by(played, with_token(lambda asked: Reply(200, MANIFEST, kind))):
        done = cli("digest", f"ghcr.io/{name}")
    assert (done.returncode, done.stdout) == (3, "")
    assert DIGEST in done.stderr


def test_an_answer_that_is_too_large_is_asked_for_once(played):
    large = Reply(200, b"x" * (65 * 1024 * 1024))
    with replaced_by(played, with_token(lambda asked: large)) as asked:
        assert "is larger than" in client(60).state(IMAGE, "v1.0.0").reason
        assert len([one for one in asked if "Bearer" in one.headers.get("Authorization", "")]) == 1


@pytest.mark.main
def test_a_token_is_asked_for_once_a_scope_and_renewed_when_it_is_refused(played):
    tokens, refused = [], []

    def script(asked):
        if asked.path.startswith("/token"):
            tokens.append(asked.path)
            return Reply(200, json.dumps({"token": f"t{len(tokens)}", "expires_in": 300}).encode())
        authorization = asked.headers.get("Authorization", "")
        if authorization == "Bearer t1" and len(refused) == 3:
            return challenge()
        refused.append(authorization)
        return Reply(200, MANIFEST, SAYS) if "Bearer" in authorization else challenge()

    with replaced_by(played, script):
        registry = client()
        for _ in range(5):
            assert registry.state(IMAGE, "v1.0.0") == Taken(DIGEST)
    assert len(tokens) == 2
    assert f"scope=repository%3A{IMAGE.replace('/', '%2F')}%3Apull" in tokens[0]


@pytest.mark.main
def test_a_registry_that_comes_back_is_found_by_the_same_client(played, registry):
    manifest = put_image(registry, IMAGE, "v1.0.0")
    with replaced_by(played, None):
        assert isinstance(Registry("ghcr.io", MAY_PUSH, 1).state(IMAGE, "v1.0.0"), Unknown)
    assert registry.state(IMAGE, "v1.0.0") == Taken(manifest.digest)


def test_a_registry_that_is_replaced_again_and_again_answers_each_time_and_runs_once(played):
    for _ in range(10):
        with replaced_by(played, None):
            pass
        assert isinstance(Registry("ghcr.io", MAY_PUSH).state(IMAGE, "no-such-tag"), Free)
        assert registry_process().is_running()
