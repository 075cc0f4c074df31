"""`megalotron-images audit`: repositories of our own making, and what is said of each."""

import json
import os
import subprocess
import sys
import time
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

from conftest import ROOT
from megalotron_images.audit import report
from megalotron_images.audit.events import Scenario, holds, names, scenarios
from megalotron_images.audit.model import Rule, Verdict
from megalotron_images.audit.repository import audit
from megalotron_images.audit.rules import split, tag
from megalotron_images.audit.values import unknown
from megalotron_images.audit.yaml_files import Folder, Unreadable

SPECIMENS = ROOT / "tests" / "specimens" / "audit"
STYLES = tomllib.loads((SPECIMENS / "styles.toml").read_text())
EXPECTED = tomllib.loads((SPECIMENS / "expected.toml").read_text())
PROGRAM = Path(sys.executable).parent / "megalotron-images"
START = "on: {push: {branches: [main]}}\njobs:\n  image:\n    steps:\n"
PUSH = "docker push ghcr.io/megalotron/backend"


def run(*arguments, **environment):
    return subprocess.run(
        [PROGRAM, "audit", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | environment,
    )


def judged(folder, repository="megalotron/backend"):
    return report.verdicts(audit(folder, repository))


def letters(found):
    short = {"violated": "v", "cannot tell": "c", "ok": "o", "nothing to judge": "n"}
    return " ".join(short[one] for one in report.verdicts(found).values())


@pytest.fixture
def repository(tmp_path):
    """A function that writes a workflow, and returns its folder."""

    def write(text):
        file = tmp_path / ".github" / "workflows" / "image.yml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return tmp_path

    return write


def test_there_is_a_specimen_for_each_expectation():
    folders = {path.name for path in SPECIMENS.iterdir() if path.is_dir()}
    assert folders == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_specimen_is_judged_as_expected(name):
    case = EXPECTED[name]
    found = audit(SPECIMENS / name, case.get("repository", "megalotron/backend"))
    assert letters(found) == case["verdicts"], report.text(found)
    assert report.status(found) == case["status"]


@pytest.mark.parametrize("name", STYLES)
def test_no_style_evades_a_rule(name, tmp_path):
    for path, text in STYLES[name]["files"].items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, newline="")
    found = audit(tmp_path, "megalotron/backend")
    assert letters(found) == STYLES[name]["verdicts"], report.text(found)


def test_each_rule_is_seen_with_each_verdict():
    cases = [case["verdicts"].split() for case in [*EXPECTED.values(), *STYLES.values()]]
    for at, rule in enumerate(Rule):
        assert {case[at] for case in cases} == {*"vcon"}, rule


def test_what_is_not_ok_has_a_place_a_reason_and_a_fix():
    for name in EXPECTED:
        for one in audit(SPECIMENS / name, "megalotron/backend"):
            if one.verdict in (Verdict.VIOLATED, Verdict.CANNOT_TELL):
                lines = (SPECIMENS / name / one.file).read_text().splitlines()
                assert 1 <= one.line <= len(lines), one
                assert one.reason, one
                assert one.fix, one


@pytest.mark.parametrize(
    ("name", "rule", "line", "use_line"),
    [
        ("metadata-bare-version", "tag", 21, 25),
        ("capitals-and-three-parts", "name", 16, 16),
        ("latest-with-another-token", "credentials", 12, 8),
    ],
)
def test_a_finding_says_where_the_value_is_defined_and_where_it_is_used(name, rule, line, use_line):
    places = {
        (one.line, one.use_line)
        for one in audit(SPECIMENS / name, "megalotron/backend")
        if one.rule == rule and one.verdict is Verdict.VIOLATED
    }
    assert (line, use_line) in places


def test_the_program_prints_a_line_for_each_rule_and_ends_with_the_status():
    for name in ("any-branch", "bake", "tags-of-any-form"):
        done = run(SPECIMENS / name, "--repository", "megalotron/backend")
        assert done.returncode == EXPECTED[name]["status"]
        rules = [line.split()[0] for line in done.stdout.splitlines() if line[0] != " "]
        assert rules[:7] == [*Rule]
        assert done.stderr == ""


def test_a_repository_that_calls_the_process_and_nothing_else_is_well_in_one_line():
    done = run(SPECIMENS / "the-process-own-workflow", "--repository", "megalotron/backend")
    assert done.returncode == 0
    assert done.stdout.count("\n") == 1
    assert "calls publish-image.yml, and nothing else pushes" in done.stdout


def test_each_fix_begins_with_the_call_and_the_lines_for_the_stack():
    data = json.loads(
        run(SPECIMENS / "any-branch", "--repository", "x/go-flow-meter", "--json").stdout
    )
    (fix, *_) = {one["fix"] for one in data["findings"] if one["fix"]}
    assert fix.startswith("call publish-image.yml")
    assert "with: {stack: go-flow-meter}" in fix
    assert len(fix.splitlines()) == 7


def test_an_owner_that_is_not_known_is_not_invented():
    done = run(SPECIMENS / "repository-not-given")
    assert "it depends on ${{ github.repository" in done.stdout
    assert "megalotron/backend" not in done.stdout


def test_the_program_prints_json():
    done = run(SPECIMENS / "metadata-adds-latest", "--json", "--repository", "megalotron/backend")
    data = json.loads(done.stdout)
    assert done.returncode == 1
    assert data["rules"]["tag"] == "violated"
    finding = next(one for one in data["findings"] if one["verdict"] == "violated")
    assert finding["value"] == "ghcr.io/megalotron/backend:latest"
    assert set(finding) >= {"rule", "line", "use_file", "use_line", "reason", "fix", "ignored"}


def test_the_program_prints_annotations():
    done = run(SPECIMENS / "latest-with-another-token", "--github")
    lines = done.stdout.splitlines()
    assert any(one.startswith("::error file=.github/workflows/image.yml,line=14") for one in lines)
    done = run(SPECIMENS / "deployed-main", "--github")
    assert done.stdout.startswith("::warning file=compose.yml,line=3")


@pytest.mark.parametrize("form", [[], ["--github"]])
def test_a_doubt_about_all_rules_is_one_line_and_counted(form):
    lines = run(SPECIMENS / "unknown-action", *form).stdout.splitlines()
    assert sum("it may push, and is not followed" in one for one in lines) == 1
    assert sum("may push or deploy: 1." in one for one in lines) == 1


def test_an_excused_finding_is_told_with_its_reason():
    done = run(SPECIMENS / "excused")
    assert done.returncode == 0
    assert "ignored" in done.stdout
    assert "our partners still pull it" in done.stdout


def test_without_the_extra_one_line_says_what_to_install(tmp_path):
    (tmp_path / "yaml.py").write_text("raise ModuleNotFoundError(name='yaml')")
    done = run(SPECIMENS / "bake", PYTHONPATH=str(tmp_path))
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert "pip install 'image-process[audit] @ git+https://github.com/Megalotron/" in done.stderr


def test_a_folder_that_is_not_there():
    done = run("/nowhere")
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert run(SPECIMENS, "--repository", "backend").returncode == 2


def test_files_of_any_kind_end_in_a_line_and_no_traceback(tmp_path):
    folder = tmp_path / "own" / ".github" / "workflows"
    folder.mkdir(parents=True)
    (folder / "bytes.yml").write_bytes(b"\xff\xfe\x00")
    (folder / "large.yml").write_text("a: b\n" * 100_000)
    (folder / "list.yml").write_text("- a\n- b\n")
    (folder / "odd.yml").write_text(
        "on: push\njobs: {a: {steps: [x, {run: [1]}, {uses: {a: b}}]}}\n"
    )
    (folder / "self.yml").write_text("&a [*a]\n")
    (tmp_path / "outside.yml").write_text("on: push\njobs: {}\n")
    (folder / "link.yml").symlink_to(tmp_path / "outside.yml")
    (folder / "loop.yml").symlink_to("loop.yml")
    os.mkfifo(folder / "pipe.yml")
    done = run(tmp_path / "own")
    assert done.returncode == 3
    assert "Traceback" not in done.stdout + done.stderr
    for name in ("bytes", "large", "list", "self", "link", "loop"):
        assert f"{name}.yml" in done.stdout


SILENT = [
    "echo docker push someone/thing",
    "docker push localhost:5000/thing",
    "docker build -t x . && docker run x pytest",
    "docker compose up -d",
    "npm ci && npm run build && npm test",
    "pip install tox && tox",
    "go test ./...",
    "make test lint",
    "./gradlew build",
    "git push origin main",
]
READ = [
    "docker buildx build --push -t {} .",
    "docker build . && docker push {}",
    "sudo docker image push {}",
    "podman push {}",
    "NAME={}; docker push $NAME",
    "declare -x NAME={}; docker push $NAME",
    "echo a#b && docker push {} 2>&1",
    "docker buildx build --platform linux/amd64 --tag={} --push .",
]
NOT_FOLLOWED = [
    "(cd x && docker push {})",
    "bash -c 'docker push {}'",
    "echo {} | xargs -n1 docker push",
    "skopeo copy a docker://{}",
    "env A=b docker push {}",
    "timeout 9 docker push {}",
    "docker buildx build -o type=registry -t {} .",
    "docker buildx bake --push",
    "docker compose push",
    "make push",
    "bin/ship {}",
    "curl x | sh",
    "python3 -m ship {}",
    "goreleaser release",
    "npm run release",
    "$CLI push {}",
    "docker push '{}$TAG'",
    "docker push {}\\$TAG",
    "echo 'a # b' && docker push {}",
    "echo {} > ~/.docker/config.json",
    "echo docker push {} > ship.sh",
]


@pytest.mark.parametrize("command", SILENT)
def test_what_stays_local_is_no_push(command, repository):
    found = judged(repository(f"{START}      - run: {command}\n"))
    assert set(found.values()) == {"nothing to judge"}


@pytest.mark.parametrize("command", READ)
def test_a_plain_command_is_read(command, repository):
    found = judged(repository(f"{START}      - run: {command.format('ghcr.io/a/b:1')}\n"))
    assert [found["registry"], found["name"], found["tag"]] == ["ok", "violated", "violated"]


@pytest.mark.parametrize("command", NOT_FOLLOWED)
def test_what_may_push_and_is_not_plain_cannot_be_told(command, repository):
    command = command.format("ghcr.io/megalotron/backend:main").replace('"', "'")
    found = judged(repository(f"{START}      - run: |\n          {command}\n"))
    assert {found[rule] for rule in ("registry", "name", "tag", "event")} == {"cannot tell"}


@pytest.mark.parametrize(
    "before",
    [
        "docker build . # note \\",
        "docker push {}:main # note \\",
        "echo a # x \\",
        "echo a \\\\",
        "echo a &",
    ],
)
def test_a_push_behind_a_line_that_only_seems_to_go_on_is_seen(before, repository):
    image = "ghcr.io/megalotron/backend"
    lines = (f"docker push {image}:main", before.format(image), f"docker push {image}:latest")
    script = "".join(f"          {one}\n" for one in lines)
    assert judged(repository(f"{START}      - run: |\n{script}"))["tag"] == "violated"


@pytest.mark.parametrize("setter", ["printf -v T latest", "true & docker push {}:latest"])
def test_what_may_set_a_tag_or_push_on_the_same_line_is_not_ok(setter, repository):
    image = "ghcr.io/megalotron/backend"
    lines = ("T=main", setter.format(image), f"docker push {image}:$T")
    script = "".join(f"          {one}\n" for one in lines)
    assert judged(repository(f"{START}      - run: |\n{script}"))["tag"] in (
        "violated",
        "cannot tell",
    )


@pytest.mark.parametrize(
    ("images", "verdict"),
    [
        ("ghcr.io/megalotron/backend", "ok"),
        ("name=ghcr.io/megalotron/backend,enable=true", "ok"),
        ("ghcr.io/megalotron/backend,docker.io/evil/x", "cannot tell"),
        ("docker.io/evil/x,name=ghcr.io/megalotron/backend", "cannot tell"),
    ],
)
def test_a_row_of_images_with_other_fields_than_its_name_cannot_be_told(
    images, verdict, repository
):
    steps = f"""\
      - id: meta
        uses: docker/metadata-action@v5
        with: {{images: "{images}", tags: "type=raw,value=main"}}
      - uses: docker/build-push-action@v6
        with: {{push: true, tags: "${{{{ steps.meta.outputs.tags }}}}"}}
"""
    assert judged(repository(START + steps))["registry"] == verdict


def test_a_doubt_has_the_whole_line_its_redirection_too(repository):
    line = "echo docker push ghcr.io/megalotron/backend:main > ship.sh"
    folder = repository(f"{START}      - run: {line}\n")
    assert {one.value for one in audit(folder) if not one.is_followed} == {line}


WORK = {
    "aliases": "a: &a [x, x, x, x, x, x, x, x, x]\n"
    + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in pairwise("abcdefghij")),
    "a long line": f"{START}      - run: {PUSH}:{'a' * 64_000}\n",
    "expressions": f"{START}      - run: {PUSH}:{'${{ ' * 16_000}\n",
    "axes": "on: push\njobs:\n  image:\n    strategy:\n      matrix:\n"
    + "".join(f"        a{n}: [1, 2, 3, 4, 5, 6, 7, 8, 9]\n" for n in range(12))
    + f"    steps: [{{run: '{PUSH}:main'}}]\n",
    "variables": f"{START}      - run: |\n          A0=xx\n"
    + "".join(f"          A{n + 1}=$A{n}$A{n}\n" for n in range(40))
    + f"          {PUSH}:$A40\n",
    "steps": "on: push\njobs:\n  image:\n    strategy:\n      matrix:\n"
    + "        a: [1, 2, 3, 4, 5, 6]\n        b: [1, 2, 3, 4, 5, 6]\n    steps:\n"
    + "      - uses: actions/checkout@v4\n" * 2_500,
    "filters": START.replace("[main]", str([f"b{n}*" for n in range(2_000)]))
    + f"      - run: {PUSH}:main\n",
    "pipes": START + f"      - run: |\n          {'a|' * 900}crane push x\n" * 40,
    "depth": f"a: {'[' * 60_000}",
    "pushes": f"{START}      - run: |\n" + f"          {PUSH}:$X\n" * 4_000,
    "scripts": START + f"      - run: |\n          {'ship.' * 390}\n" * 60,
}


@pytest.mark.parametrize("name", WORK)
def test_work_is_bounded(name, repository):
    folder, start = repository(WORK[name]), time.monotonic()
    found = judged(folder)
    assert time.monotonic() - start < 5
    assert found["tag"] == "cannot tell"


@pytest.mark.parametrize(
    ("text", "scenario", "held"),
    [
        ("github.ref == 'refs/heads/main'", ("push", "refs/heads/main"), True),
        ("github.ref == 'refs/heads/main'", ("push", "refs/heads/dev"), False),
        ("${{ github.event_name != 'pull_request' }}", ("push", "refs/heads/x"), True),
        ("startsWith(github.ref, 'refs/tags/')", ("push", "refs/tags/v1.2.3"), True),
        ("startsWith(github.ref, 'refs/tags/v2')", ("push", "refs/tags/v1.2.3"), None),
        (
            "github.event_name == 'push' && github.ref == 'refs/heads/main'",
            ("schedule", "refs/heads/main"),
            False,
        ),
        ("github.ref == 'refs/heads/main' || true", ("push", "refs/heads/main"), None),
        ("vars.X == 'a'", ("push", "refs/heads/main"), None),
        ("false", ("push", "refs/heads/main"), False),
        ("", ("push", "refs/heads/main"), True),
    ],
)
def test_a_condition_is_known_if_it_is_plain(text, scenario, held):
    assert holds((text,), Scenario(*scenario)) is held


@pytest.mark.parametrize(
    ("on", "references"),
    [
        ("push: {branches: [main, 'rel/**']}", ["heads/main", "heads/rel/topic"]),
        ("push: {tags: ['v[0-9]+.[0-9]+.[0-9]+']}", ["tags/v1.2.3", "tags/v0.0.0"]),
        (
            "push: {tags: ['v*'], branches-ignore: ['**']}",
            ["tags/v1.2.3", "tags/v1.2.3-rc.1", "tags/vtopic"],
        ),
        ("push: {tags: ['release/[a-z]+']}", ["tags/release/a"]),
        ("pull_request: {}", ["pull/7/merge"]),
    ],
)
def test_references_that_a_filter_lets_in(on, references, repository):
    folder = repository(f"on:\n  {on}\njobs: {{}}\n")
    (workflow,) = Folder(folder).documents(".github/workflows/image.yml")
    found = [one.ref.removeprefix("refs/") for one in scenarios(workflow, "")]
    assert found == references


@pytest.mark.parametrize(
    "filters",
    [
        "{branches: ['m?in']}",
        "{branches: ['mai+n']}",
        "{tags: ['*.*.*.*.*']}",
        "{branches-ignore: ['(main)']}",
        "{branches: ['${{ vars.BRANCH }}']}",
        f"{{tags: {[f'v{n}' for n in range(31)]}}}",
    ],
)
def test_filters_that_are_not_plain_are_not_read(filters, repository):
    folder = repository(f"on: {{push: {filters}}}\njobs: {{}}\n")
    (workflow,) = Folder(folder).documents(".github/workflows/image.yml")
    with pytest.raises(Unreadable, match="not plain, or too many"):
        list(scenarios(workflow, ""))


@pytest.mark.parametrize(
    ("row", "flavor"),
    [
        ("type=sha,format=long", ""),
        ("type=ref,event=branch,suffix=-x,onlatest=true", ""),
        ("type=ref,event=branch", "suffix=-x"),
        ("type=raw,value=main,event=tag", ""),
        ("type=raw,value={{branch}}", ""),
        ("type=semver,pattern={{raw}},value=v1.2.3", ""),
        ("type=match,pattern=v(.*)", ""),
        ("type=edge", ""),
        ("type=raw,value=", ""),
    ],
)
def test_a_row_of_the_metadata_action_that_is_not_read_cannot_be_told(row, flavor, repository):
    text = (
        f"{START}      - id: m\n        uses: docker/metadata-action@v5\n"
        f"        with: {{images: ghcr.io/megalotron/backend, tags: '{row}', flavor: '{flavor}'}}\n"
        "      - uses: docker/build-push-action@v6\n"
        "        with: {push: true, tags: '${{ steps.m.outputs.tags }}'}\n"
    )
    found = judged(repository(text))
    assert [found["name"], found["tag"], found["event"]] == ["ok", "cannot tell", "cannot tell"]


@pytest.mark.parametrize(
    ("row", "ref", "written"),
    [
        ("ref branch", "refs/heads/a/b", "a-b"),
        ("ref branch", "refs/tags/v1.2.3", ""),
        ("ref tag", "refs/tags/v1.2.3", "v1.2.3"),
        ("ref pr", "refs/pull/7/merge", "pr-7"),
        ("sha ", "refs/heads/main", "sha-1a2b3c4"),
        ("schedule ", "refs/heads/main", ""),
        ("semver {{version}}", "refs/tags/v1.2.3", "1.2.3"),
        ("semver {{major}}.{{minor}}", "refs/tags/v1.2.3", "1.2"),
        ("semver {{major}}", "refs/tags/v1.2.3-rc.1", None),
        ("semver {{raw}}", "refs/tags/nightly", ""),
        ("semver {{raw}}", "refs/tags/v1.2.3-rc.1", "v1.2.3-rc.1"),
        ("semver {{version}}", "refs/tags/v1.2.3-rc.1", "1.2.3-rc.1"),
        ("semver v{{version}}", "refs/tags/v1.2.3-rc.1", None),
        ("semver v{{version}}", "refs/tags/v1.2.3", "v1.2.3"),
        ("semver {{patch}}", "refs/tags/v1.2.3", None),
        ("match \\d", "refs/tags/v1.2.3", None),
    ],
)
def test_what_the_metadata_action_writes(row, ref, written):
    assert names(Scenario("push", ref)).get(f"type={row}") == written


@pytest.mark.parametrize(
    ("text", "registry", "name", "written"),
    [
        ("a/b", "docker.io", "a/b", "latest"),
        ("ghcr.io/a/b:1", "ghcr.io", "a/b", "1"),
        ("localhost:5000/a@sha256:0", "localhost:5000", "a", ""),
        (f"ghcr.io/{unknown('x')}/b:{unknown('t')}", "ghcr.io", f"{unknown('x')}/b", unknown("t")),
        (f"{unknown('github.repository')}:1", "docker.io", unknown("github.repository"), "1"),
        (f"{unknown('env.REGISTRY')}/a/b", unknown("env.REGISTRY"), "a/b", "latest"),
    ],
)
def test_a_reference_is_split(text, registry, name, written):
    assert split(text)[:3] == (registry, name, written)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("v1.2.3", Verdict.OK),
        ("v1.2.3-" + unknown("github.sha"), Verdict.CANNOT_TELL),
        ("sha-" + unknown("github.sha"), Verdict.VIOLATED),
        (unknown("$TAG"), Verdict.CANNOT_TELL),
        (unknown("inputs.tag"), Verdict.CANNOT_TELL),
        ("latest" + unknown("$X"), Verdict.VIOLATED),
    ],
)
def test_a_tag_with_unknown_parts(text, verdict):
    assert tag(text)[0] is verdict


def test_yaml_keeps_lines_and_all_scalars_as_text(tmp_path):
    (tmp_path / "a.yml").write_text("a: &x {b: 1}\nc:\n  b: *x\n  e: |\n    f\non: yes\n")
    (tmp_path / "b.yml").write_text("a: [")
    (document,) = Folder(tmp_path).documents("a.yml")
    assert document == {"a": {"b": "1"}, "c": {"b": {"b": "1"}, "e": "f\n"}, "on": "yes"}
    assert [document["a"]["b"].line, document["c"]["e"].line] == [1, 5]
    with pytest.raises(Unreadable, match="line 2"):
        Folder(tmp_path).documents("b.yml")


def test_aliases_of_a_deployment_are_bounded(tmp_path):
    text = f"kind: Pod # {PUSH}\n{WORK['aliases']}"
    (tmp_path / "pod.yml").write_text(f"{text}image: ghcr.io/megalotron/backend:v1.2.3\n")
    start = time.monotonic()
    assert judged(tmp_path)["deploy"] == "cannot tell"
    assert time.monotonic() - start < 5
