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
    asked = called[True]["workflow_call"]  # YAML reads the key `engines` as true
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


def jobs_of(name):
    return yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text())["jobs"]


@pytest.mark.parametrize(
    ("workflow", "job"), [("ci", "test"), ("nightly", "test"), ("nightly", "arm64")]
)
def test_what_runs_on_debian_runs_on_12_and_13(workflow, job):
    said = jobs_of(workflow)[job]
    assert said["strategy"]["matrix"]["debian"] == [12, 13]
    (env,) = (one["env"] for one in said["steps"] if "in-debian" in one["run"])
    assert env["IMAGE"] == "debian:${{ matrix.debian }}"


def test_each_night_an_arm64_machine_must_verify_the_runbooks():
    job = jobs_of("nightly")["arm64"]
    assert job["runs-on"].endswith("-arm")
    assert "continue-on-error" not in job
    assert job["steps"][-1]["run"] == "scripts/in-debian make guide"


MAY_BE_RUN = {"if", "exit", "fi", "echo", "find", "touch", "printf", "export", "git", "basic"}
"""Commands of a job that may write; none gets or runs anything of a project."""


def jobs_that_may_write(workflow):
    """Yield the jobs of a workflow whose token may write anything."""
    said = yaml.safe_load(workflow)
    for name, job in said["jobs"].items():
        rights = job.get("permissions", said.get("permissions", "write-all"))
        may = rights.values() if isinstance(rights, dict) else [rights]
        if any("write" in right for right in may):
            yield name, job


def test_no_job_that_may_write_gets_or_runs_code_of_the_project():
    found = [one for path in WORKFLOWS for one in jobs_that_may_write(path.read_text())]
    assert [name for name, _ in found] == ["publish"]
    for _, job in found:
        steps = job["steps"]
        assert {one["uses"].partition("@")[0] for one in steps if "uses" in one} == {
            "actions/download-artifact"
        }
        lines = [line for one in steps for line in one.get("run", "").splitlines()]
        assert {re.match(r"\s*(\w+)", line)[1] for line in lines} <= MAY_BE_RUN
        assert not re.search(r"\b(fetch|clone|pull|checkout|submodule)\b", "\n".join(lines))


@pytest.mark.parametrize("rights", ["contents: write", "write-all", "{packages: write}"])
def test_a_right_to_write_is_seen_at_the_job_and_at_the_workflow(rights):
    said = f"{{{rights}}}" if ": " in rights and not rights.startswith("{") else rights
    assert [*jobs_that_may_write(f"permissions: {said}\njobs: {{a: {{}}}}")]
    assert [*jobs_that_may_write(f"permissions: {{}}\njobs: {{a: {{permissions: {said}}}}}")]
    assert [*jobs_that_may_write(f"permissions: {said}\njobs: {{a: {{permissions: {{}}}}}}")] == []


def push_site(tmp_path):
    """Run the step that pushes the built site to a repository on this machine."""
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    (step,) = (one["run"] for one in workflow["jobs"]["publish"]["steps"] if "run" in one)
    given = {
        "GITHUB_SERVER_URL": f"file://{tmp_path}",
        "GITHUB_REPOSITORY": "origin",
        "GITHUB_SHA": "0123456789",
        "RUNNER_TEMP": str(tmp_path),
        "TOKEN": "not-a-token",
    }
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step],
        cwd=tmp_path,
        env=os.environ | given,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def built(tmp_path):
    """A folder with a built site, beside the repository that it is pushed to."""
    subprocess.run(["git", "init", "--quiet", "--bare", tmp_path / "origin"], check=True)
    (tmp_path / "site" / "page").mkdir(parents=True)
    (tmp_path / "site" / "page" / "index.html").write_text("built")
    return tmp_path


def test_the_built_site_is_pushed_whole(built):
    done = push_site(built)
    assert done.returncode == 0, done.stderr
    shown = ["git", "-C", built / "origin", "ls-tree", "-r", "--name-only", "gh-pages"]
    names = subprocess.run(shown, capture_output=True, text=True, check=True).stdout.split()
    assert names == [".nojekyll", "page/index.html"]


@pytest.mark.parametrize("name", [".git", ".gitattributes", "page/.GIT", "page/.gitmodules"])
def test_a_built_site_that_could_steer_git_is_not_pushed(built, name):
    (built / "site" / name).write_text("gitdir: /elsewhere")
    assert push_site(built).returncode == 1


def test_a_link_in_the_built_site_is_not_pushed(built):
    (built / "site" / "secret").symlink_to("/etc/passwd")
    assert push_site(built).returncode == 1
