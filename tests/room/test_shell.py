"""The strict shell, specimen by specimen: a file whose name ends in .fails must fail for the reason
it gives.
"""

import re
import tomllib
from pathlib import Path

import jupytext
import pytest

from rehearsal.cell import grammar, syntax
from rehearsal.cell.magic import Bash, CellFailed
from rehearsal.cell.placeholders import Placeholder
from rehearsal.cell.rehearsal import Rehearsal

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
    shell = Bash(Rehearsal())
    yield shell
    shell.close()


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
        except CellFailed as error:
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
    parse = syntax.parse
    monkeypatch.setattr(syntax, "parse", lambda script: parsed.append(script) or parse(script))
    bash("", "echo <your word>\nf() { true; }\nx=$(echo y)\necho $x")
    bash("--fails 3", "f\nexit 3")
    assert len(parsed) == 2


def test_every_leak_has_its_counterpart_that_passes():
    assert len(list(SPECIMENS.glob("*.fails.md"))) > 30
    assert len(list(SPECIMENS.glob("*.passes.md"))) > 20


FORMS = tomllib.loads((SPECIMENS.parent / "forms.toml").read_text())["form"]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form["name"])
def test_a_form_in_which_something_fails(form, bash):
    said = ""
    try:
        bash("", form["script"])
    except CellFailed as error:
        said = str(error)
    assert bool(said) != ("may" in form), said


IDIOMS = tomllib.loads((SPECIMENS.parent / "idioms.toml").read_text())["idiom"]


@pytest.mark.parametrize("idiom", IDIOMS, ids=lambda idiom: idiom["script"].strip()[:30])
def test_an_everyday_idiom_is_taken_or_told_what_to_write(idiom):
    said = ""
    try:
        grammar.check(syntax.Script(idiom["script"]))
    except grammar.Refused as refused:
        said = refused.findings[0].why
    assert said == idiom.get("refused", "")
