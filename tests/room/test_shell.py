"""The strict shell, specimen by specimen: a file whose name ends in .fails must fail for the reason
it gives.
"""

import re
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import jupytext
import pytest

from rehearsal.cell import syntax
from rehearsal.cell.allowed import findings
from rehearsal.cell.magic import Bash
from rehearsal.cell.placeholders import Placeholder
from rehearsal.cell.rehearsal import Rehearsal
from rehearsal.errors import RehearsalError

pytestmark = pytest.mark.main
SPECIMENS = Path(__file__).parent.parent / "specimens" / "shell"
HEADER = (
    "---\njupyter:\n  kernelspec: {name: rehearsal, language: python, display_name:"
    " Rehearsal}\n---\n"
)
KNOWN = {
    "your word": Placeholder("your word", "anything", 'a word; $HOME "quoted"'),
    "your secret": Placeholder("your secret", "anything", "a-practice-secret", secret=True),
}


@pytest.fixture
def bash(monkeypatch, tmp_path):
    monkeypatch.setattr("rehearsal.cell.magic.declared_in", lambda folder: KNOWN)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    backend = Rehearsal()
    yield Bash(backend)
    backend.close()


def cells(path):
    for cell in jupytext.reads(HEADER + path.read_text(), "md").cells:
        if cell.cell_type == "code":
            magic, _, script = cell.source.partition("\n")
            yield magic.removeprefix("%%bash").strip(), script


def comment(path, name):
    return re.search(rf"<!-- {name}: (.*) -->", path.read_text())[1]


@pytest.mark.parametrize("path", sorted(SPECIMENS.glob("*.fails.md")), ids=lambda path: path.stem)
def test_must_fail(path, bash, tmp_path):
    said = []
    for options, script in cells(path):
        try:
            bash(options, script)
        except RehearsalError as error:
            said.append(str(error))
    assert said, "every cell passed"
    assert any(comment(path, "because") in line for line in said), said
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("path", sorted(SPECIMENS.glob("*.passes.md")), ids=lambda path: path.stem)
def test_must_pass(path, bash, capsys):
    for options, script in cells(path):
        bash(options, script)
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1].endswith(comment(path, "prints"))
    assert "a-practice-secret" not in printed


def test_a_cell_is_parsed_once(bash, monkeypatch):
    parsed = []
    parser = syntax.PARSER
    counts = SimpleNamespace(parse=lambda script: parsed.append(script) or parser.parse(script))
    monkeypatch.setattr(syntax, "PARSER", counts)
    bash("", "echo <your word>\nx=$(echo y)\necho $x")
    bash("--fails 2", "true\nls /no/such/file")
    assert len(parsed) == 2


def test_every_refusal_has_its_counterpart_that_passes():
    assert len(list(SPECIMENS.glob("*.fails.md"))) > 30
    assert len(list(SPECIMENS.glob("*.passes.md"))) > 15


MAY_BE_USED = """
: cd command echo export false kill popd printf pushd pwd read readonly test true type umask unset
"""


def test_each_command_of_bash_itself_is_allowed_or_refused_by_name():
    compgen = ["bash", "-c", "compgen -b"]
    known = subprocess.run(compgen, capture_output=True, text=True, check=True).stdout.split()
    allowed = {one for one in known if not findings(syntax.Script(f"{one} -v x"))}
    assert allowed == set(MAY_BE_USED.split())


@pytest.mark.parametrize("lead", ["docker run -e A=/x/y -v a:b ", "sudo -u a ", "env -n 5 A=1 "])
def test_a_long_command_is_judged_at_once(lead):
    command = lead * 40 + "ls"
    begin = time.monotonic()
    findings(syntax.Script(command))
    assert time.monotonic() - begin < 5


TAKEN = """
docker run --rm -v "$(pwd)":/w -u "$(id -u):$(id -g)" alpine ls
export TAG=$(git rev-parse --short HEAD)
docker stop $(docker ps -q)
mkdir -p a && cd a
docker run --rm alpine sh FILE
crane export alpine - | tar -tf - bin/sh
docker image history bash
docker logout ghcr.io
gh run watch --exit-status
grep -c sh
which bash
sudo sh install.sh
find . -name '*.md' -print0 | xargs -0 grep -l docker
"""


@pytest.mark.parametrize("script", TAKEN.strip().splitlines())
def test_an_everyday_command_is_taken(script):
    assert findings(syntax.Script(script)) == []
