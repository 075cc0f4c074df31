"""Workflows: valid, and nothing for zizmor's strictest persona to find; the stacks' own lines
too.
"""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from conftest import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
BIN = Path(sys.executable).parent


def stacks_own():
    """Return the lines that a stack's repository copies from the page, with a commit in place of
    the word for it: the workflow, and the job that signs.
    """
    page = (ROOT / "notebooks" / "automate-a-stack.md").read_text()
    workflow, sign = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    return workflow.replace("@COMMIT", "@" + "0123456789" * 4), sign


@pytest.fixture
def example(tmp_path):
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    (folder / "image.yml").write_text("".join(stacks_own()))
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
    workflow, _ = stacks_own()
    assert len(workflow.splitlines()) < 12


def test_the_stacks_own_lines_pass_what_the_reusable_workflow_asks_for():
    called = yaml.safe_load((ROOT / ".github" / "workflows" / "publish-image.yml").read_text())
    asked = called[True]["workflow_call"]  # YAML reads the key `on` as true
    given = yaml.safe_load("".join(stacks_own()))["jobs"]["image"]
    must = {name for name, said in asked["inputs"].items() if said.get("required")}
    assert must <= set(given["with"]) <= set(asked["inputs"])
    assert set(given["secrets"]) == set(asked["secrets"])
    assert given["uses"].partition("@")[0].endswith(".github/workflows/publish-image.yml")


def test_the_job_that_signs_reads_an_output_that_there_is():
    called = yaml.safe_load((ROOT / ".github" / "workflows" / "publish-image.yml").read_text())
    _, sign = stacks_own()
    read = set(re.findall(r"needs\.image\.outputs\.(\w+)", sign))
    assert read
    assert read <= set(called[True]["workflow_call"]["outputs"])


def locked(name):
    """Return the versions of a lock file, each with its hashes."""
    found = re.findall(
        r"^([a-z][\w.-]*==\S+)(.*?)(?=^\S|\Z)", (ROOT / name).read_text(), re.DOTALL | re.MULTILINE
    )
    return {version: re.findall(r"sha256:\w+", hashes) for version, hashes in found}


def test_the_workflow_installs_the_versions_that_the_tests_run_with():
    helper, whole = locked("requirements-helper.txt"), locked("requirements.txt")
    said = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = [*said["project"]["dependencies"], *said["dependency-groups"]["build"]]
    names = {version.partition("==")[0] for version in helper}
    assert {re.match(r"[\w.-]+", one)[0].lower() for one in asked} <= names
    assert {one: hashes for one, hashes in helper.items() if whole.get(one) != hashes} == {}


def test_the_helper_is_installed_by_hashes_at_the_workflows_own_commit(tmp_path):
    source = tmp_path / "origin" / "Megalotron" / "image-process"
    subprocess.run(["git", "clone", "--quiet", ROOT, source], check=True)
    subprocess.run(
        ["git", "-C", source, "config", "uploadpack.allowAnySHA1InWant", "true"], check=True
    )
    commit = subprocess.run(
        ["git", "-C", source, "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "publish-image.yml").read_text())
    (step,) = (one for one in workflow["jobs"]["image"]["steps"] if one["name"] == "Get the helper")
    given = {
        "GITHUB_SERVER_URL": f"file://{tmp_path}/origin",
        "REPOSITORY": "Megalotron/image-process",
        "COMMIT": commit,
        "RUNNER_TEMP": str(tmp_path),
        "GITHUB_PATH": str(tmp_path / "path"),
    }
    subprocess.run(
        ["bash", "-eo", "pipefail", "-c", step["run"]], check=True, env=os.environ | given
    )
    place = (tmp_path / "path").read_text().strip()
    done = subprocess.run(
        [f"{place}/megalotron-images", "tags-for", "refs/heads/main"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "main\n"
