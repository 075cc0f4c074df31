"""What a record hides: each source of a secret, in each form in which a program prints it."""

import json
import os
import subprocess
import time
from urllib.parse import quote

import pytest

from conftest import ROOT
from megalotron_images.errors import CannotTell
from megalotron_images.registry.credentials import find_credentials
from rehearsal.cell.logins import secrets_of_person
from rehearsal.cell.redact import FLOOD, MOST, RedactedOutput

CONFIGURATIONS = {
    path.stem: json.loads(path.read_text())
    for path in sorted((ROOT / "tests/specimens/docker_config").glob("*.json"))
}
"""Docker's configurations, the secrets in each, and the login that each holds for a host."""


@pytest.fixture(params=["config.json", "DOCKER_AUTH_CONFIG"])
def configure(request, tmp_path, monkeypatch):
    """Return a function that makes a text Docker's configuration, in a clean environment."""

    def use(config):
        text = config if isinstance(config, str) else json.dumps(config)
        for name in [*os.environ]:
            if name not in ("PATH", "HOME"):
                monkeypatch.delenv(name)
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        if request.param == "config.json":
            (tmp_path / request.param).write_text(text)
        else:
            monkeypatch.setenv(request.param, text)

    return use


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_every_secret_of_dockers_configuration_is_known(name, configure):
    specimen = CONFIGURATIONS[name]
    configure(specimen["config"])
    assert set(specimen["secrets"]) <= secrets_of_person()


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_helper_finds_the_login_of_the_same_configuration(name, configure):
    specimen = CONFIGURATIONS[name]
    configure(specimen["config"])
    for host, login in specimen["logins"].items():
        if login == "refused":
            with pytest.raises(CannotTell):
                find_credentials(host)
        else:
            found = find_credentials(host)
            assert (found and [found.username, found.password]) == login, host


PLANTED = "it's \"pl$nted\\ & <ü😀>\t(long enough) 100%"
ADDRESS = f"somebody:{quote(PLANTED, safe='')}@proxy:3128"
NAMES = """REGISTRY_TOKEN GHCR_PAT DB_PASS SSHPASS MYSQL_PWD db_password DEPLOY_PRIVATE_KEY
GCP_CREDENTIALS AWS_SECRET_ACCESS_KEY AZURE_ACCESS_KEY GITHUB_TOKEN CLIENT_SECRET GPG_PASSPHRASE
NPM_API_KEY"""
SOURCES = dict.fromkeys(NAMES.split(), PLANTED) | {
    "HTTPS_PROXY": f"http://{ADDRESS}",
    "http_proxy": ADDRESS,
    "DATABASE_URL": f"postgres://u:{quote(PLANTED, safe='')}@db/x?sslmode=disable",
}
"""The variables of the environment that hold a secret."""
PYTHON = "import html, json, os, urllib.parse as u; s = os.environ['S']; print(%s)"
JSON = PYTHON % "json.dumps({'x': s})"
GO = PYTHON % (r"json.dumps(s, ensure_ascii=False).replace('&', '\\u0026').replace('<', '\\u003c')")
URL = PYTHON % "u.quote(s), u.quote_plus(s), u.quote(u.quote(s)).lower()"
FORMS = {
    "plain": 'printf "%s\\n" "$S"',
    "printf %q": 'printf "%q\\n" "$S"',
    "printf %q, LC_ALL=C": 'LC_ALL=C; printf "%q\\n" "$S"',
    "declare -p": "declare -p S",
    "${S@Q}": 'echo "${S@Q}"',
    "set -x": 'exec 2>&1; set -x; : "$S"',
    "set -x, twice": 'exec 2>&1; set -x; : "${S@Q}"',
    "grep --color": """printf "%s\\n" "$S" | grep --color=always -E "pl|ed|long|1" """,
    "JSON": f'python3 -c "{JSON}"',
    "JSON in JSON": f'S=$(python3 -c "{JSON}") python3 -c "{JSON}"',
    "JSON of Go": f'python3 -c "{GO}"',
    "repr of Python": 'python3 -c "%s"' % (PYTHON % "repr(s), os.environb[b'S']"),
    "URL-encoded": f'python3 -c "{URL}"',
    "base64": 'printf "%s" "$S" | base64 -w 0',
    "base64, behind one byte": 'printf "x%s" "$S" | base64',
    "base64, behind two": 'printf "xy%s" "$S" | base64 -w 20',
    "base64url": 'printf "%s" "$S" | base64 -w 0 | tr +/ -_',
    "a letter a line": 'printf "%s" "$S" | sed "s/./&\\n/g"',
}
NOT_HIDDEN = {
    "hexadecimal": 'printf "%s" "$S" | od -An -tx1 | tr -d " \\n"',
    "base32": 'printf "%s" "$S" | base32 -w 0',
    "capitals": 'python3 -c "%s"' % (PYTHON % "s.upper()"),
    "HTML": 'python3 -c "%s"' % (PYTHON % "html.escape(s)"),
    "backwards": 'python3 -c "%s"' % (PYTHON % "s[::-1]"),
}
"""Forms that docs/security.md names as not hidden."""


def printed(script, secret):
    environment = {"S": secret, "LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]}
    command = ["bash", "-c", script]
    return subprocess.run(command, env=environment, capture_output=True, check=True).stdout


def redacted(secrets, output, size=1 << 16):
    shown = RedactedOutput(secrets)
    for start in range(0, len(output), size):
        shown.write(output[start : start + size])
    shown.end()
    return shown.text


def is_hidden(text):
    """Whether no piece of the planted secret is in a text, in any form."""
    pieces = ("nted", "enough", "long", "u0026", "d83d", "TGVudG", "aXQncyA", "bG9uZ", "bG9uZyBl")
    return "*****" in text and not any(piece in text for piece in pieces)


@pytest.mark.parametrize("source", SOURCES)
def test_a_secret_variable_is_known_by_its_name_or_its_address(source, configure, monkeypatch):
    configure("")
    monkeypatch.setenv(source, SOURCES[source])
    assert PLANTED in secrets_of_person()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PWD", "/somewhere/else"),
        ("PATH", "/usr/bin:/bin"),
        ("GIT_REMOTE", "git@example.org:a/b"),
        ("DOCKER_HOST", "ssh://somebody@example.org"),
    ],
)
def test_an_ordinary_variable_is_no_secret(name, value, configure, monkeypatch):
    configure("")
    monkeypatch.setenv(name, value)
    assert secrets_of_person() == set()


@pytest.mark.parametrize("size", [1, 5, 1000])
@pytest.mark.parametrize("form", FORMS)
def test_a_secret_is_hidden_however_a_shell_or_program_writes_it(form, size):
    output = printed(FORMS[form], PLANTED)
    text = redacted([PLANTED], output, size)
    assert is_hidden(text), text
    assert redacted(["another one, as long as the first"], output, size) == output.decode()


@pytest.mark.parametrize("form", NOT_HIDDEN)
def test_forms_that_are_not_hidden_are_named_in_the_docs(form):
    output = printed(NOT_HIDDEN[form], PLANTED)
    assert "*****" not in redacted([PLANTED], output)
    assert form in (ROOT / "docs" / "security.md").read_text()


@pytest.mark.parametrize(
    "script", ['sed -n 3p <<< "$S"', 'sed -n 3p <<< "$S" | base64', "declare -p S"]
)
def test_each_line_of_a_secret_is_hidden(script):
    lines = ["-- BEGIN KEY --", "QUJDREVGR0hJSktMTU5P", "UFFSU1RVVldYWVphYmNk", "-- END KEY --"]
    text = redacted(["\n".join(lines)], printed(script, "\n".join(lines)))
    assert "*****" in text
    assert not any(line in text for line in lines)
    assert len(text) < 60


FLOODS = [b"y\n", b"it", b"i\n", b"\\", b"%25", b"\x1b[0", b"\x1b]", b"ghp_", b"a", b"it's \"pl$n"]


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_is_cut_with_one_line_in_a_time_that_grows_with_it(flood):
    size, said = 4096, []
    shown = RedactedOutput([PLANTED, "\n".join(["-" * 64] * 30)], said.append)
    begin = time.process_time()
    block = (flood * (1 + size // len(flood)))[:size]
    for _ in range(3 * MOST // size):
        shown.write(block)
    shown.end()
    assert said == [FLOOD]
    assert len(shown.text) <= MOST
    assert time.process_time() - begin < 30
