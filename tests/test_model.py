"""A runbook is read once, and each of its cells parsed once, however many questions are asked."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from conftest import ROOT
from rehearsal.cell import syntax
from rehearsal.runbook.lint import count_commands, problems, unused_masks
from rehearsal.runbook.model import Runbook
from rehearsal.settings import load_settings

PAGE = ROOT / "notebooks" / "push-an-image.md"
opened = []
sys.addaudithook(lambda event, what: opened.append(what[0]) if event == "open" else None)


def ask_everything():
    runbook = Runbook(PAGE)
    assert problems(runbook, load_settings(ROOT)) == []
    assert unused_masks([runbook], ()) == []
    assert count_commands(runbook.text) >= len(runbook.text.code)
    return runbook


def test_text_and_notebook_are_read_once():
    opened.clear()
    ask_everything()
    names = [Path(str(path)).name for path in opened]
    assert (names.count("push-an-image.md"), names.count("push-an-image.ipynb")) == (1, 1)


def test_bash_is_parsed_once_for_each_cell(monkeypatch):
    parsed = []
    parser = syntax.PARSER
    counts = SimpleNamespace(parse=lambda script: parsed.append(script) or parser.parse(script))
    monkeypatch.setattr(syntax, "PARSER", counts)
    scripts = [cell for cell in ask_everything().text.code if cell.script is not None]
    assert len(scripts) >= 10
    assert len(parsed) <= len(scripts)


@pytest.mark.parametrize("source", ["%%bash\ntrue", "%%bash --root\ntrue"])
def test_one_answer_to_what_a_shell_cell_is(source):
    from rehearsal.runbook.model import Cell

    cell = Cell("code", source)
    assert cell.script == cell.shell.script == "true"
    assert cell.first_line == "true"
    assert cell.language == "bash"
