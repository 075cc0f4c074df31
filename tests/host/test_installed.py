"""The helper as the workflow installs it: by hashes, at its own commit, without extras."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from conftest import ROOT


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder of programs that the workflow's own step installs: the helper, without extras."""
    tmp_path = tmp_path_factory.mktemp("helper")
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
    return Path((tmp_path / "path").read_text().strip())


def test_the_helper_is_installed_by_hashes_at_the_workflows_own_commit(installed):
    command = [installed / "megalotron-images", "tags-for", "refs/heads/main"]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "main\n"


@pytest.mark.parametrize(
    "command",
    [
        "rehearsal verify",
        "rehearsal refresh",
        "rehearsal room -- true",
        "rehearsal run push-an-image",
        "megalotron-images audit .",
    ],
)
def test_without_its_extra_a_command_says_which_one_it_needs(installed, command):
    program, *arguments = command.split()
    extra = {"rehearsal": "rehearsal", "megalotron-images": "audit"}[program]
    done = subprocess.run(
        [installed / program, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert f"image-process[{extra}]" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
