"""Workflows: valid, and nothing for zizmor's strictest persona to find; the stacks' own lines
too.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from conftest import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
BIN = Path(sys.executable).parent


def stacks_own():
    """Return the lines that a stack's repository copies from the page, with a commit in place of
    the word for it.
    """
    page = (ROOT / "notebooks" / "automate-a-stack.md").read_text()
    return re.search(r"```yaml\n(.*?)```", page, re.DOTALL)[1].replace(
        "@COMMIT", "@" + "0123456789" * 4
    )


@pytest.fixture
def example(tmp_path):
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    (folder / "image.yml").write_text(stacks_own())
    return folder / "image.yml"


def check(program, *arguments):
    done = subprocess.run(
        [BIN / program, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_every_workflow_is_valid(example):
    check("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *WORKFLOWS, example)


def test_the_strictest_audit_finds_nothing():
    assert "No findings to report" in check(
        "zizmor", "--offline", "--persona", "auditor", ROOT / ".github"
    )


def test_the_audit_finds_nothing_in_the_stacks_own_lines_either(example):
    assert "No findings to report" in check("zizmor", "--offline", "--persona", "auditor", example)


def test_a_stacks_own_workflow_has_under_12_lines():
    assert len(stacks_own().splitlines()) < 12


def test_the_stacks_own_lines_pass_what_the_reusable_workflow_asks_for():
    called = yaml.safe_load((ROOT / ".github" / "workflows" / "publish-image.yml").read_text())
    asked = called[True]["workflow_call"]  # YAML reads the key `on` as true
    given = yaml.safe_load(stacks_own())["jobs"]["image"]
    must = {name for name, said in asked["inputs"].items() if said.get("required")}
    assert must <= set(given["with"]) <= set(asked["inputs"])
    assert set(given["secrets"]) == set(asked["secrets"])
    assert given["uses"].partition("@")[0].endswith(".github/workflows/publish-image.yml")
