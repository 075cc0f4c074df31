"""Docker's logins, each as a real helper program or file gives it: used, and never shown."""

import base64
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest_room import put_image
from rehearsal.room.registry import replaced_by
from rehearsal.room.scripted import Reply, as_json, challenge, errors

PROGRAM = Path(sys.executable).parent / "megalotron-images"
REFERENCE = "ghcr.io/megalotron/backend:v1.0.0"
TOKEN = "practice-token-may-push"
ENCODED = base64.b64encode(f"octocat:{TOKEN}".encode()).decode()
SAYS = json.dumps({"ServerURL": "ghcr.io", "Username": "octocat", "Secret": TOKEN})
KNOWS = f"read host; [ \"$host\" = ghcr.io ] || exit 1; echo '{SAYS}'"


@pytest.fixture
def run(tmp_path):
    """Run the command with a configuration of Docker's, and helpers by name."""

    def run(*arguments, config=None, helpers=(), **environment):
        for name, body in dict(helpers).items():
            program = tmp_path / f"docker-credential-{name}"
            program.write_text(f"#!/bin/sh\n{body}\n")
            program.chmod(0o755)
        if config is not None:
            text = config if isinstance(config, str) else json.dumps(config)
            (tmp_path / "config.json").write_text(text)
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("REGISTRY_", "DOCKER_A"))}
        path = f"{tmp_path}:{os.environ['PATH']}"
        done = subprocess.run(
            [PROGRAM, *arguments],
            env=clean | {"DOCKER_CONFIG": str(tmp_path), "PATH": path} | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        for secret in (TOKEN, ENCODED):
            assert secret not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    return run


LOGINS = {
    "variable": (
        {},
        (),
        {"DOCKER_AUTH_CONFIG": json.dumps({"auths": {"ghcr.io": {"auth": ENCODED}}})},
    ),
    "helper for the host": ({"credHelpers": {"ghcr.io": "practice"}}, {"practice": KNOWS}, {}),
    "helper for all": (
        {"auths": {"ghcr.io": {}}, "credsStore": "practice"},
        {"practice": KNOWS},
        {},
    ),
    "stored": ({"auths": {"ghcr.io": {"auth": ENCODED}}}, (), {}),
    "stored by address": ({"auths": {"https://ghcr.io/v2/": {"auth": ENCODED}}}, (), {}),
    "stored by name and by address": (
        {"auths": {"https://ghcr.io/v1/": {"auth": "eDp5"}, "ghcr.io": {"auth": ENCODED}}},
        (),
        {},
    ),
    "beside what is no address": (
        {"auths": {"https://[": {"auth": ENCODED}, "ghcr.io": {"auth": ENCODED}}},
        (),
        {},
    ),
    "behind entries that are damaged": (
        {
            "auths": {
                "x": None,
                "ghcr.io": {"auth": "x"},
                "http://ghcr.io": {"auth": 5},
                "https://ghcr.io": "octocat",
                "https://ghcr.io/v1/": {"username": "octocat"},
                "https://ghcr.io/v2/": {"auth": ENCODED},
            }
        },
        (),
        {},
    ),
    "two variables, in lines of their own": (
        {},
        (),
        {"REGISTRY_USERNAME": " octocat\r\n", "REGISTRY_TOKEN": f"{TOKEN}\n"},
    ),
    "stored, as no helper is for the host": (
        {
            "credHelpers": {"ghcr.io": ""},
            "credsStore": "bad",
            "auths": {"ghcr.io": {"auth": ENCODED}},
        },
        {"bad": "exit 1"},
        {},
    ),
    "helper that knows none, then stored": (
        {"credsStore": "empty", "auths": {"ghcr.io": {"auth": ENCODED}}},
        {"empty": "echo credentials not found in native keychain; exit 1"},
        {},
    ),
}


@pytest.mark.parametrize("login", LOGINS.values(), ids=LOGINS)
def test_a_login_of_dockers_is_used(login, run, registry):
    config, helpers, environment = login
    done = run("doctor", "backend", config=config, helpers=helpers, **environment)
    assert "ok  login     octocat, from " in done.stdout, done.stdout
    assert "ok  write     this login may push to megalotron/backend" in done.stdout


@pytest.mark.main
@pytest.mark.parametrize("store", [{"credsStore": "practice"}, {"auths": {"ghcr.io": {}}}])
def test_an_identity_token_is_exchanged(store, run, played):
    given = json.dumps({"ServerURL": "ghcr.io", "Username": "<token>", "Secret": TOKEN})
    config = store | (
        {} if "credsStore" in store else {"auths": {"ghcr.io": {"identitytoken": TOKEN}}}
    )
    bodies = []

    def script(request):
        if request.path.startswith("/token"):
            bodies.append(request.method)
            return (
                as_json(200, {"access_token": "practice", "refresh_token": TOKEN})
                if request.method == "POST"
                else Reply(405)
            )
        if "Bearer" not in request.headers.get("Authorization", ""):
            return challenge()
        return errors(404, "MANIFEST_UNKNOWN", "manifest unknown")

    with replaced_by(played, script):
        done = run(
            "digest", REFERENCE, config=config, helpers={"practice": f"cat >&2; echo '{given}'"}
        )
    assert (done.returncode, done.stdout) == (0, "nothing\n"), done.stderr
    assert bodies == ["POST"]


@pytest.mark.parametrize(
    "config", ["", "\n", {"auths": {"https://ghcr.io:5000": {"auth": ENCODED}}}]
)
def test_what_is_nobodys_login_here_makes_an_anonymous_reader(config, run, registry):
    assert "You are not logged in to ghcr.io" in run("doctor", "backend", config=config).stdout


def test_a_registry_token_is_sent_as_it_is(run, played):
    def script(request):
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return challenge()
        return errors(404, "MANIFEST_UNKNOWN", "manifest unknown")

    config = {"auths": {"ghcr.io": {"registrytoken": TOKEN}}}
    with replaced_by(played, script) as asked:
        done = run("digest", REFERENCE, config=config)
    assert (done.returncode, done.stdout) == (0, "nothing\n"), done.stderr
    assert not [one for one in asked if one.path.startswith("/token")]


BROKEN = {
    "deep": ("[" * 100_000, (), "config.json is not a valid JSON object"),
    "helper's name in two lines": ({"credsStore": "a\nb"}, (), "cannot be run"),
    "helper's name with a zero": ({"credsStore": "a\0b"}, (), "cannot be run"),
    "helper without a secret": (
        {"credsStore": "bad"},
        {"bad": """echo '{"Username": "octocat", "Secret": null}'"""},
        "gives no login",
    ),
    "missing helper": ({"credsStore": "absent"}, (), "docker-credential-absent"),
    "failing helper": (
        {"credsStore": "bad"},
        {"bad": f"echo {TOKEN}; exit 1"},
        "docker-credential-bad",
    ),
    "helper without an answer": ({"credsStore": "bad"}, {"bad": "true"}, "gives no login"),
    "no JSON": ("{", (), "config.json"),
    "no table": ("[]", (), "config.json"),
    "damaged login": ({"auths": {"ghcr.io": {"auth": "x"}}}, (), "damaged"),
}


@pytest.mark.parametrize("case", BROKEN.values(), ids=BROKEN)
def test_a_login_that_cannot_be_read_is_said_in_a_line(case, run):
    config, helpers, said = case
    done = run("digest", REFERENCE, config=config, helpers=helpers)
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr


def test_a_helper_that_hangs_is_waited_for_within_the_limit(run):
    config, helpers = {"credsStore": "slow"}, {"slow": "sleep 60"}
    done = run("digest", REFERENCE, config=config, helpers=helpers, MEGALOTRON_IMAGES_SECONDS="6")
    assert done.returncode == 3
    assert done.stderr.splitlines()[0] == "waiting for docker-credential-slow"
    assert "does not answer" in done.stderr


def test_an_answer_that_cannot_be_written_is_no_answer(run, registry):
    put_image(registry, "megalotron/backend", "v1.0.0")
    for command, target in (
        (f"digest {REFERENCE}", "> /dev/full"),
        (f"digest {REFERENCE}", ">&-"),
        ("--help", "> /dev/full"),
    ):
        done = subprocess.run(
            ["sh", "-c", f'"$0" {command} {target}', str(PROGRAM)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 3, (target, done.stderr)
        assert len(done.stderr.splitlines()) == 1


def test_a_proxy_that_refuses_is_named_without_its_password(run):
    proxy = "http://somebody:proxy-secret@127.0.0.1:9"
    done = run("digest", REFERENCE, HTTPS_PROXY=proxy, MEGALOTRON_IMAGES_SECONDS="3")
    assert done.returncode == 3
    assert "through the proxy 127.0.0.1:9" in done.stderr
    assert "proxy-secret" not in done.stderr


@pytest.mark.parametrize("proxy", ["127.0.0.1:9", "somebody:proxy-secret@127.0.0.1:9"])
def test_a_proxy_without_a_scheme_is_one_of_http(proxy, run):
    done = run("digest", REFERENCE, HTTPS_PROXY=proxy, MEGALOTRON_IMAGES_SECONDS="3")
    assert "Connection refused, through the proxy 127.0.0.1:9" in done.stderr
    assert "proxy-secret" not in done.stderr


@pytest.mark.parametrize(
    "proxy",
    [
        "http://a:proxy-secret#@127.0.0.1:9",
        "http://127.0.0.1:x",
        "http://",
        "ftp://127.0.0.1:9",
        r"http://127.0.0.1:9\@127.0.0.2:9",
        "http://127.0.0.1:9 x",
        "http://127.0.0.1:9/\x1b",
    ],
)
def test_an_address_that_is_no_proxys_is_said_with_its_variable(proxy, run):
    done = run("digest", REFERENCE, HTTPS_PROXY=proxy, MEGALOTRON_IMAGES_SECONDS="3")
    assert done.returncode == 3
    assert "HTTPS_PROXY" in done.stderr
    assert "proxy-secret" not in done.stderr


CONTEXT = {"Name": "other", "Metadata": {}, "Endpoints": {"docker": {"Host": "unix:///nowhere"}}}


def put_context(folder, meta=None):
    key = hashlib.sha256(b"other").hexdigest()
    place = folder / "contexts" / "meta" / key
    place.mkdir(parents=True)
    (place / "meta.json").write_text(json.dumps(CONTEXT if meta is None else meta))


@pytest.mark.parametrize("config", [None, {}])
def test_a_context_is_read_from_dockers_folder_alone(config, run, tmp_path, monkeypatch):
    clone = tmp_path / "clone"
    put_context(clone)
    monkeypatch.chdir(clone)
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    ask = ("check", REFERENCE, "--image", "alpine")
    done = run(*ask, config=config, DOCKER_CONTEXT="other")
    assert done.returncode == 3
    assert "There is no Docker context other" in done.stderr
    put_context(tmp_path)
    done = run(*ask, config=config, DOCKER_CONTEXT="other")
    assert done.returncode == 3
    assert "No such file" in done.stderr


@pytest.mark.parametrize(
    "meta",
    [
        [],
        {"Endpoints": []},
        {"Endpoints": {"docker": {}}},
        {"Endpoints": {"docker": {"Host": ""}}},
        {"Endpoints": {"docker": {"Host": "tcp://127.0.0.1:9"}}},
        {"Endpoints": {"docker": {"Host": "ssh://me@127.0.0.1:9"}}},
    ],
)
def test_a_context_without_an_engine_here_is_said_in_a_line(meta, run, tmp_path, monkeypatch):
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    put_context(tmp_path, meta)
    done = run("check", REFERENCE, "--image", "alpine", DOCKER_CONTEXT="other")
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1
    there_is_none = "There is no Docker context other with an engine on this machine"
    assert (there_is_none if meta else "is not a valid JSON object") in done.stderr


@pytest.mark.parametrize("no", ["ghcr.io:443,ghcr.io:8443", "*", "x.example, .io", "GHCR.IO"])
def test_no_proxy_is_read_with_ports_domains_and_a_star(no, run, registry):
    done = run("digest", REFERENCE, HTTPS_PROXY="http://127.0.0.1:9", NO_PROXY=no)
    assert (done.returncode, done.stdout) == (0, "nothing\n"), done.stderr


def test_certificates_that_are_not_there_are_said_with_their_variable(run):
    none = {"REQUESTS_CA_BUNDLE": "/nowhere.pem", "MEGALOTRON_IMAGES_SECONDS": "3"}
    done = run("digest", REFERENCE, **none)
    assert done.returncode == 3
    assert "set REQUESTS_CA_BUNDLE to" in done.stderr


@pytest.mark.parametrize("scheme", ["socks5", "SOCKS5h"])
def test_a_socks_proxy_is_said_not_to_be_supported(scheme, run):
    done = run("digest", REFERENCE, HTTPS_PROXY=f"{scheme}://127.0.0.1:9")
    assert done.returncode == 3
    assert "http://host:port (not SOCKS)" in done.stderr


@pytest.mark.main
@pytest.mark.parametrize("written", [TOKEN, "".join(f"\\u{ord(one):04x}" for one in TOKEN)])
def test_a_refusal_that_repeats_the_token_is_shown_without_it(written, run, played):
    def script(request):
        if request.path.startswith("/token"):
            return as_json(200, {"token": "practice"})
        if "Bearer" not in request.headers.get("Authorization", ""):
            return challenge()
        body = f'{{"errors": [{{"code": "DENIED", "message": "{written} may not"}}]}}'
        return Reply(403, body.encode())

    config = {"auths": {"ghcr.io": {"auth": ENCODED}}}
    with replaced_by(played, script):
        done = run("digest", REFERENCE, config=config)
    assert done.returncode == 3
    assert "denied: ***** may not" in done.stderr


def test_a_pause_that_a_registry_asks_for_is_said(run, played):
    left = [errors(429, "TOOMANYREQUESTS", "slow down", **{"Retry-After": "7"})]

    def script(request):
        if request.path.startswith("/token"):
            return as_json(200, {"token": "practice"})
        if "Bearer" not in request.headers.get("Authorization", ""):
            return challenge()
        return left.pop() if left else errors(404, "MANIFEST_UNKNOWN", "manifest unknown")

    with replaced_by(played, script):
        done = run("digest", REFERENCE)
    assert (done.returncode, done.stdout) == (0, "nothing\n")
    assert done.stderr == "waiting for ghcr.io\n"
