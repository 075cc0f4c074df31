"""The workflow for the stacks: each step that runs commands, run in a room as a runner would, for
each kind of push.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from conftest_room import MAY_PUSH, put_image
from megalotron_images.registry.client import Free, Taken
from rehearsal.room.engine import read_engine
from rehearsal.room.paths import ENGINE, PROJECT

WORKFLOW = PROJECT / ".github" / "workflows" / "publish-image.yml"
NOT_COVERED = {
    "Get the helper": "it installs from PyPI, which no room can reach: see test_workflows.py",
    "Prepare other platforms": "it installs QEMU from Ubuntu, which no room can reach",
}
IMAGE = "megalotron/backend"
SECRETS = {"REGISTRY_USERNAME": "octocat", "REGISTRY_TOKEN": MAY_PUSH.password}
STRANGE = "a b/'x\"y/$(touch pwned)/`touch pwned`/;touch pwned"
JOB = yaml.safe_load(WORKFLOW.read_text())["jobs"]["image"]
STEPS = JOB["steps"]
CALLED = yaml.safe_load(WORKFLOW.read_text())[True]["workflow_call"]  # YAML reads `engines` as true
DEFAULTS = {name: said.get("default", "") for name, said in CALLED["inputs"].items()}
ALWAYS = [
    step["name"]
    for step in STEPS
    if step["name"] not in NOT_COVERED and not step.get("if", "").startswith("inputs.")
]


class Runner:
    """As much of a runner of GitHub as the workflow needs: contexts, outputs, the files for them,
    and bash.
    """

    def __init__(self, folder, ref, event="push", secrets=SECRETS, content="one", **inputs):
        self.folder, self.secrets, self.outputs, self.ran = folder, secrets, {}, []
        self.inputs = DEFAULTS | {"stack": "backend"} | inputs
        self.said = ""
        self.origin = folder / "origin" / "Megalotron" / "backend"
        self._commit(content)
        self.files = {
            name: folder / name for name in ("GITHUB_OUTPUT", "GITHUB_PATH", "GITHUB_STEP_SUMMARY")
        }
        self.environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "GITHUB_REF": ref,
            "GITHUB_EVENT_NAME": event,
            "GITHUB_SHA": self.git("rev-parse", "HEAD"),
            "GITHUB_SERVER_URL": f"file://{folder}/origin",
            "GITHUB_REPOSITORY": "Megalotron/backend",
            "RUNNER_TEMP": str(folder / "temp"),
            "HOME": str(Path.home()),
            **{
                name: os.environ[name]
                for name in ("DOCKER_HOST", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
            },
            **{name: str(path) for name, path in self.files.items()},
        }

    def git(self, *arguments):
        identity = {"GIT_AUTHOR_NAME": "x", "GIT_AUTHOR_EMAIL": "x@x", "GIT_COMMITTER_NAME": "x"}
        environment = os.environ | identity | {"GIT_COMMITTER_EMAIL": "x@x"}
        command = ["git", "-C", str(self.origin), *arguments]
        return subprocess.run(
            command, env=environment, check=True, capture_output=True, text=True
        ).stdout.strip()

    def _commit(self, content):
        self.origin.mkdir(parents=True, exist_ok=True)
        (self.origin / "Dockerfile").write_text("FROM alpine\nCOPY content /content\n")
        (self.origin / "content").write_text(content)
        self.git("init", "--quiet", "--initial-branch=start")
        self.git("config", "uploadpack.allowAnySHA1InWant", "true")
        self.git("add", ".")
        self.git("commit", "--quiet", "--message", content)
        for branch in ("main", "dev"):
            self.git("branch", "--force", branch)

    def value(self, text):
        """Return a text with its expressions worked out; one that is not known here is an error."""

        def work_out(match):
            known = {
                **{f"inputs.{name}": value for name, value in self.inputs.items()},
                "github.token": "a-token-of-the-runner",
                "job.workflow_repository": "Megalotron/image-process",
                "job.workflow_sha": "0" * 40,
                **{f"secrets.{name}": value for name, value in self.secrets.items()},
                "secrets.REGISTRY_USERNAME": self.secrets.get("REGISTRY_USERNAME", ""),
                "secrets.REGISTRY_TOKEN": self.secrets.get("REGISTRY_TOKEN", ""),
                **{
                    f"steps.{step}.outputs.{name}": value
                    for (step, name), value in self.outputs.items()
                },
            }
            return known[match[1]]

        return re.sub(r"\$\{\{ *(.*?) *\}\}", work_out, text)

    def run(self):
        """Run the steps as far as they go; return the step that failed and what it said, or
        None.
        """
        shutil.rmtree(self.folder / "work", ignore_errors=True)
        (self.folder / "work").mkdir()
        for step in STEPS:
            if step["name"] in NOT_COVERED or not self._wanted(step.get("if")):
                continue
            self.files["GITHUB_OUTPUT"].write_text("")
            given = {
                name: self.value(value)
                for name, value in {**JOB["env"], **step.get("env", {})}.items()
            }
            assert step["shell"] == "bash"
            (self.folder / "script").write_text(step["run"])
            done = subprocess.run(
                ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(self.folder / "script")],
                cwd=self.folder / "work",
                env=self.environment | given,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            self.ran.append(step["name"])
            self.said += done.stdout + done.stderr
            if done.returncode:
                return step["name"], done.stdout + done.stderr
            for line in self.files["GITHUB_OUTPUT"].read_text().splitlines():
                name, _, value = line.partition("=")
                self.outputs[step["id"], name] = value
        return None

    def _wanted(self, condition):
        if condition is None:
            return True
        if asked := re.fullmatch(r"inputs\.(\w+) (==|!=) '(\w*)'", condition):
            return (self.inputs[asked[1]] == asked[3]) == (asked[2] == "==")
        match = re.fullmatch(r"steps\.(\w+)\.outputs\.(\w+) != ''", condition)
        return self.outputs[match[1], match[2]] != ""


@pytest.fixture
def runner(tmp_path, registry):
    registry.history = [put_image(registry, IMAGE, f"v1.{minor}.0") for minor in range(3)]
    return lambda *arguments, **options: Runner(tmp_path, *arguments, **options)


def tags(registry):
    return {tag: registry.state(IMAGE, tag) for tag in registry.tags(IMAGE) if tag != "staging"}


@pytest.mark.parametrize(
    ("ref", "tag"),
    [
        ("refs/heads/main", "main"),
        ("refs/heads/dev", "dev"),
        ("refs/tags/v1.3.0", "v1.3.0"),
        ("refs/tags/v2.0.0-rc.1", "v2.0.0-rc.1"),
    ],
)
def test_a_push_publishes_its_tag_and_no_other(ref, tag, runner, registry):
    before, run = tags(registry), runner(ref)
    assert run.run() is None
    after = tags(registry)
    assert {name for name in after if after[name] != before.get(name)} == {tag}
    assert run.ran == ALWAYS
    assert after[tag].digest in run.files["GITHUB_STEP_SUMMARY"].read_text()
    labels = subprocess.run(
        ["docker", "image", "inspect", "--format", "{{json .Config.Labels}}", "candidate"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in ("source", "revision", "version", "created"):
        assert f"org.opencontainers.image.{name}" in labels
    assert run.environment["GITHUB_SHA"] in labels
    has = read_engine(ENGINE).store == "containerd"
    assert ("provenance for 1 of 1 images" in run.said) == has


@pytest.mark.main
def test_an_older_commit_of_a_branch_never_goes_over_a_newer_one(runner, registry):
    run = runner("refs/heads/main")
    run.git("checkout", "--quiet", "-B", "main")
    run.git("commit", "--quiet", "--allow-empty", "--message", "newer")
    before = tags(registry)
    step, said = run.run()
    assert step == "See that the branch has not moved on"
    assert "this older commit would go back" in said
    assert tags(registry) == before


@pytest.mark.main
def test_a_first_release_is_published(runner, registry):
    run = runner("refs/tags/v1.0.0")
    shutil.rmtree("/run/room/registries/ghcr.io/docker")
    assert run.run() is None
    assert set(tags(registry)) == {"v1.0.0"}


@pytest.mark.parametrize(
    ("ref", "said"),
    [
        ("refs/tags/v1.1.5", "older than v1.2.0"),
        ("refs/tags/v1.2.0", "taken by sha256:"),
        ("refs/tags/v1", "not a release"),
    ],
    ids=["older", "taken", "no version"],
)
def test_a_release_that_may_not_be_is_refused_and_writes_nothing(ref, said, runner, registry):
    before = tags(registry)
    step, words = runner(ref).run()
    assert step in ("Check", "Decide which tag is written")
    assert said in words
    assert tags(registry) == before


@pytest.mark.parametrize(
    ("ref", "event"),
    [
        ("refs/pull/7/merge", "pull_request"),
        ("refs/heads/feature", "push"),
        ("refs/tags/v1.3.0", "release"),
        ("refs/tags/v1.3.0", "create"),
    ],
    ids=["pull request", "branch", "release", "create"],
)
def test_what_writes_nothing_is_built_all_the_same_and_says_so(ref, event, runner, registry):
    before, run = tags(registry), runner(ref, event, secrets={})
    assert run.run() is None
    assert run.ran == ["Get the code", "Decide which tag is written", "Build"]
    assert f"Nothing is published for {event}" in run.files["GITHUB_STEP_SUMMARY"].read_text()
    assert tags(registry) == before


def test_a_tag_on_a_commit_outside_main_is_built_and_not_published(runner, registry):
    before, run = tags(registry), runner("refs/tags/v1.3.0")
    run.git("commit", "--quiet", "--allow-empty", "--message", "not on main")
    run.environment["GITHUB_SHA"] = run.git("rev-parse", "HEAD")
    assert run.run() is None
    assert "is not on the branch main: it is built, and not published" in run.said
    assert run.ran[-1] == "Build"
    assert tags(registry) == before


def test_a_release_of_an_older_commit_of_main_is_published(runner, registry):
    run = runner("refs/tags/v1.3.0")
    run.git("checkout", "--quiet", "main")
    run.git("commit", "--quiet", "--allow-empty", "--message", "newer")
    assert run.run() is None
    assert run.ran == ALWAYS


@pytest.mark.parametrize("step", ["Publish", "Read it back"])
def test_a_run_again_after_a_failed_step_ends_well(step, runner, registry, monkeypatch):
    run = runner("refs/tags/v1.3.0")
    where = next(n for n, one in enumerate(STEPS) if one["name"] == step)
    broken = STEPS[where] | {"run": f"{STEPS[where]['run']}\nexit 1\n"}
    with monkeypatch.context() as patch:
        patch.setitem(globals(), "STEPS", [*STEPS[:where], broken, *STEPS[where + 1 :]])
        assert run.run()[0] == step
    first = registry.state(IMAGE, "v1.3.0")
    subprocess.run(["docker", "builder", "prune", "--all", "--force"], check=True)
    (run.origin / "untracked").write_text("another build of the same commit")
    assert run.run() is None, run.said
    assert registry.state(IMAGE, "v1.3.0") == first
    summary = run.files["GITHUB_STEP_SUMMARY"].read_text()
    assert first.digest in summary
    assert "This run has built `sha256:" in summary


def test_a_release_of_another_commit_is_taken(runner, registry):
    assert runner("refs/tags/v1.3.0").run() is None
    run = runner("refs/tags/v1.3.0", content="two")
    step, said = run.run()
    assert step == "Check"
    assert "is taken by" in said


def test_what_is_built_is_what_the_inputs_name(runner):
    run = runner(
        "refs/heads/feature",
        context="part",
        file="part/Other",
        target="one",
        **{"build-args": "NAME=a b\nOTHER=$(touch pwned)\n"},
    )
    part = run.origin / "part"
    part.mkdir()
    (part / "Other").write_text(
        "FROM scratch AS one\nARG NAME\nARG OTHER\nLABEL name=$NAME other=$OTHER\nCOPY x /x\n"
        "FROM nowhere.invalid/never AS two\n"
    )
    (part / "x").write_text("x")
    run.git("add", ".")
    run.git("commit", "--quiet", "--message", "part")
    run.environment["GITHUB_SHA"] = run.git("rev-parse", "HEAD")
    assert run.run() is None, run.said
    labels = subprocess.run(
        ["docker", "image", "inspect", "--format", "{{json .Config.Labels}}", "candidate"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert '"name":"a b"' in labels
    assert '"other":"$(touch pwned)"' in labels


def test_no_secret_is_where_a_build_argument_could_take_it():
    (build,) = (step for step in STEPS if step["name"] == "Build")
    assert "secrets." not in str(build)


def test_layers_of_main_are_used_again_where_asked_for(runner, registry):
    def build(content):
        run = runner("refs/heads/main", content=content, cache="true")
        (run.origin / "Dockerfile").write_text("FROM scratch\nCOPY kept /\nCOPY content /content\n")
        (run.origin / "kept").write_text("the same in each build")
        run.git("add", ".")
        run.git("commit", "--quiet", "--message", "cached")
        run.git("branch", "--force", "main")
        run.environment["GITHUB_SHA"] = run.git("rev-parse", "HEAD")
        subprocess.run(["docker", "builder", "prune", "--all", "--force"], check=True)
        subprocess.run(["docker", "system", "prune", "--all", "--force"], check=True)
        assert run.run() is None, run.said
        return run.said

    # the builder may tell of other steps between
    used_again = re.compile(
        r"^#(\d+) .*COPY kept /$.*^#\1 (sha256:|extracting|CACHED)", re.M | re.S
    )
    assert not used_again.search(build("one"))
    said = build("two")
    assert used_again.search(said), said
    assert "ghcr.io" not in (Path.home() / ".docker" / "config.json").read_text()
    fork = runner("refs/pull/1/merge", "pull_request", secrets={}, cache="true")
    assert fork.run() is None, fork.said


def test_two_platforms_are_published_where_the_engine_can(runner, registry):
    if read_engine(ENGINE).store == "graph":
        return  # its builder refuses, and the step before says so: no runner has it
    run = runner("refs/tags/v1.3.0", platforms="linux/amd64,linux/arm64")
    (run.origin / "Dockerfile").write_text("FROM scratch\nCOPY content /content\n")
    run.git("commit", "--quiet", "--all", "--message", "two")
    run.git("branch", "--force", "main")
    run.environment["GITHUB_SHA"] = run.git("rev-parse", "HEAD")
    assert run.run() is None, run.said
    manifest = registry.manifest(IMAGE, "v1.3.0")
    assert registry.platforms(IMAGE, manifest) == {"linux/amd64", "linux/arm64"}
    assert run.run() is None, run.said


@pytest.mark.parametrize("kind", ["heads", "tags"])
def test_a_strange_name_is_harmless(kind, runner, registry, tmp_path):
    before = tags(registry)
    run = runner(f"refs/{kind}/{STRANGE}")
    failed = run.run()
    assert (failed is None) == (kind == "heads")
    assert not list(tmp_path.rglob("pwned"))
    assert tags(registry) == before


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_a_missing_secret_is_named_and_nothing_is_written(name, runner, registry):
    before = tags(registry)
    step, said = runner(
        "refs/heads/main", secrets={key: value for key, value in SECRETS.items() if key != name}
    ).run()
    assert step == "Check"
    assert f"The secret {name} is missing" in said
    assert tags(registry) == before


@pytest.mark.main
def test_a_token_that_only_reads_writes_nothing(runner, registry):
    before = tags(registry)
    step, said = runner(
        "refs/heads/main", secrets=SECRETS | {"REGISTRY_TOKEN": "practice-token-only-reads"}
    ).run()
    assert step == "Publish"
    assert re.search("denied|insufficient_scope", said), said
    assert "write:packages" in said
    assert "backend:main was not written; megalotron/backend:staging may hold" in said
    assert tags(registry) == before
    assert "practice-token" not in said


def test_the_same_git_tag_with_other_content_never_replaces_a_release(runner, registry):
    assert runner("refs/tags/v1.3.0", content="one").run() is None
    first = registry.state(IMAGE, "v1.3.0")
    assert runner("refs/tags/v1.3.0", content="two").run()[0] == "Check"
    assert registry.state(IMAGE, "v1.3.0") == first != Free()
    assert isinstance(first, Taken)


@pytest.mark.main
def test_no_step_expands_an_expression_inside_a_command():
    assert not [step["name"] for step in STEPS if "${{" in step.get("run", "")]
    assert set(NOT_COVERED) < {step["name"] for step in STEPS}
    assert not [step for step in STEPS if "uses" in step]
