"""`megalotron-images audit`: repositories of our own making, and what is said of each."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from conftest import ROOT
from megalotron_images.audit import metadata_action, report
from megalotron_images.audit.events import scenarios
from megalotron_images.audit.expressions import condition, render, secret
from megalotron_images.audit.filters import filtered
from megalotron_images.audit.model import Rule, Verdict
from megalotron_images.audit.repository import audit
from megalotron_images.audit.texts import one_of, same, show, unknown
from megalotron_images.audit.yaml_files import Unreadable, parse

SPECIMENS = ROOT / "tests" / "specimens" / "audit"
COMMANDS = tomllib.loads((SPECIMENS / "commands.toml").read_text())
STYLES = tomllib.loads((SPECIMENS / "styles.toml").read_text())
EXPECTED = tomllib.loads((SPECIMENS / "expected.toml").read_text())
PROGRAM = Path(sys.executable).parent / "megalotron-images"
HASH = one_of("the commit's hash", "4f3c2b1a" * 5)


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


@pytest.fixture
def repository(tmp_path):
    """A function that writes a workflow with the given steps, and returns its folder."""

    def write(steps, on="{push: {branches: [main]}}"):
        file = tmp_path / ".github" / "workflows" / "image.yml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"on: {on}\njobs:\n  image:\n    steps:\n{steps}")
        return tmp_path

    return write


def test_there_is_a_specimen_for_each_expectation():
    folders = {path.name for path in SPECIMENS.iterdir() if path.is_dir()}
    assert folders == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_specimen_is_judged_as_expected(name):
    case = EXPECTED[name]
    found = audit(SPECIMENS / name, case.get("repository", "megalotron/backend"))
    assert report.verdicts(found) == {rule: case[rule] for rule in Rule}, report.text(found)
    assert report.status(found) == case["status"]


@pytest.mark.parametrize("name", STYLES)
def test_no_style_evades_a_rule(name, tmp_path):
    for path, text in STYLES[name]["files"].items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, newline="")
    found = audit(tmp_path, "megalotron/backend")
    letters = {"violated": "v", "cannot tell": "c", "ok": "o", "nothing to judge": "n"}
    shown = " ".join(letters[one] for one in report.verdicts(found).values())
    assert shown == STYLES[name]["verdicts"], report.text(found)


def test_each_rule_is_seen_with_each_verdict():
    for rule in Rule:
        assert {case[rule] for case in EXPECTED.values()} == {*Verdict}, rule


def test_what_is_not_ok_has_a_place_a_reason_and_a_way_to_mend_it():
    for name in EXPECTED:
        for one in audit(SPECIMENS / name, "megalotron/backend"):
            if one.verdict in (Verdict.VIOLATED, Verdict.CANNOT_TELL):
                lines = (SPECIMENS / name / one.file).read_text().splitlines()
                assert 1 <= one.line <= len(lines), one
                assert one.reason, one
                assert one.mend, one


@pytest.mark.parametrize(
    ("name", "rule", "line", "use_line"),
    [
        ("metadata-bare-version", "tag", 21, 25),
        ("shell-strips-the-v", "tag", 18, 25),
        ("matrix-of-stacks", "tag", 11, 22),
        ("makefile-and-script", "registry", 1, 6),
        ("old-actions", "tag", 16, 16),
        ("bake", "tag", 3, 13),
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
    for name in ("the-process-own-workflow", "bake", "tags-of-any-form"):
        done = run(SPECIMENS / name, "--repository", "megalotron/backend")
        assert done.returncode == EXPECTED[name]["status"]
        assert [line.split()[0] for line in done.stdout.splitlines() if line[0] != " "] == [*Rule]
        assert done.stderr == ""


def test_the_program_prints_json():
    done = run(SPECIMENS / "bake", "--json")
    data = json.loads(done.stdout)
    assert done.returncode == 1
    assert data["rules"]["tag"] == "violated"
    (finding,) = (one for one in data["findings"] if one["verdict"] == "violated")
    assert finding["file"] == "docker-bake.hcl"
    assert finding["value"] == "ghcr.io/megalotron/backend:latest"
    assert set(finding) >= {"rule", "line", "use_file", "use_line", "reason", "mend", "ignored"}


def test_the_program_prints_annotations():
    done = run(SPECIMENS / "latest-with-another-token", "--github")
    lines = done.stdout.splitlines()
    assert any(one.startswith("::error file=.github/workflows/image.yml,line=14") for one in lines)
    done = run(SPECIMENS / "deployed-main", "--github")
    assert done.stdout.startswith("::warning file=compose.yml,line=3")


def test_an_excused_finding_is_told_with_its_reason():
    done = run(SPECIMENS / "excused")
    assert done.returncode == 0
    assert "ignored" in done.stdout
    assert "our partners still pull it" in done.stdout


def test_without_the_extra_one_line_says_what_to_install(tmp_path):
    (tmp_path / "tree_sitter_bash.py").write_text(
        "raise ModuleNotFoundError(name='tree_sitter_bash')"
    )
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
    "      - run: echo docker push someone/thing\n",
    "      - uses: actions/setup-node@v4\n        with: {registry-url: 'https://npm.example'}\n",
    "      - run: goreleaser build --snapshot\n",
    "      - run: docker push localhost:5000/thing\n",
    "      - run: docker buildx bake --print\n",
    "      - run: |\n          if false; then docker push someone/thing; fi\n",
]
TOLD = [
    "      - run: docker buildx build --output type=registry,name=someone/thing .\n",
    "      - run: docker buildx build -t someone/thing --push .\n",
    "      - run: sudo docker image push someone/thing\n",
    "      - run: for i in 1 2; do docker push someone/thing:$i; done\n",
    '      - run: f() { docker push "$1"; }; f someone/thing\n',
    "      - run: bash -c 'docker push someone/thing'\n",
    "      - run: echo someone/thing | xargs -n1 docker push\n",
    "      - run: echo someone/thing | while read -r one; do docker push $one; done\n",
    "      - run: test -f x || docker push someone/thing\n",
    "      - run: regctl image copy a someone/thing\n",
    "      - run: docker run gcr.io/kaniko-project/executor --destination someone/thing\n",
    "      - run: oras push someone/thing:latest file\n",
    "      - run: az acr build --registry thing --image thing:1 .\n",
    "      - uses: nick-fields/retry@v3\n        with: {command: docker push someone/thing}\n",
    "      - uses: elgohr/Publish-Docker-Github-Action@v5\n        with: {name: someone/thing}\n",
    "      - uses: mr-smithers-excellent/docker-build-push@v6\n"
    "        with: {image: someone/thing}\n",
    "      - uses: docker/bake-action@v6\n"
    "        with: {push: true, set: '*.tags=someone/thing'}\n",
]


@pytest.mark.parametrize("command", COMMANDS["push"])
def test_a_command_that_pushes(command, repository):
    folder = repository(f"      - run: |\n          {command}\n")
    for name in ("compose.yml", "x.yml"):
        (folder / name).write_text("services: {a: {build: ., image: 'ghcr.io/a/b:1'}}\n")
    found = judged(folder)
    assert [found["registry"], found["name"], found["tag"]] == ["ok", "violated", "violated"]


@pytest.mark.parametrize("command", COMMANDS["silent"])
def test_a_command_that_pushes_nothing(command, repository):
    found = judged(repository(f"      - run: |\n          {command}\n"))
    assert set(found.values()) == {"nothing to judge"}


@pytest.mark.parametrize("step", SILENT)
def test_what_stays_local_is_no_push(step, repository):
    assert set(judged(repository(step)).values()) == {"nothing to judge"}


@pytest.mark.parametrize("step", TOLD)
def test_each_way_to_push_is_seen(step, repository):
    found = judged(repository(step))
    assert [found["registry"], found["name"], found["tag"]] == ["violated"] * 3


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${{ github.ref_name }}", "main"),
        ("${{ github.ref == 'refs/heads/main' && 'a' || 'b' }}", "a"),
        ("${{ github.event_name != 'push' && 'a' || 'b' }}", "b"),
        ("${{ format('{0}-{1}', 'x', github.ref_name) }}", "x-main"),
        ('${{ contains(fromJSON(\'["a", "main"]\'), github.ref_name) }}', "true"),
        ("${{ startsWith(github.ref, 'refs/tags/') }}", "false"),
        ("${{ matrix.missing }}", ""),
        ("${{ !(1 == 2) }}", "true"),
        ("${{ secrets.A || 'b' }}", "<<secrets.A> or b>"),
        ("${{ hashFiles('x') }}", "<hashfiles(…)>"),
        ("${{ a b }}", "<the expression a b>"),
    ],
)
def test_an_expression_is_evaluated_as_far_as_it_is_known(text, value):
    contexts = {
        "github": {"ref": "refs/heads/main", "ref_name": "main", "event_name": "push"},
        "matrix": {},
    }
    assert show(render(text, contexts)) == value


def test_a_condition_on_something_unknown_is_neither_true_nor_false():
    assert condition("vars.X == 'a'", {}) is None
    assert condition("vars.X == 'a' && false", {}) is False
    assert condition("", {}) is True
    assert condition("false", {}) is False


def test_unknown_texts_are_equal_only_to_themselves():
    assert same(secret("A"), secret("A")) is True
    assert same(secret("A"), secret("B")) is None
    assert same("x" + unknown("y"), "z") is False


def test_scenarios_of_a_filter():
    (workflow,) = parse("on: {push: {branches: [main, 'rel/**'], tags: ['v*.*.*']}}")
    refs = {show(one.ref) for one in scenarios(workflow, "")}
    assert refs == {"refs/heads/main", "refs/heads/<a branch like rel/**>", "refs/tags/v1.2.3"}


@pytest.mark.parametrize(
    ("ref", "tags", "flavor", "written"),
    [
        ("refs/heads/main", "", "", ["main"]),
        ("refs/tags/v1.2.3", "", "", ["v1.2.3", "latest"]),
        ("refs/tags/v1.2.3", "type=semver,pattern={{major}}.{{minor}}", "", ["1.2", "latest"]),
        ("refs/tags/v1.2.3-rc.1", "type=semver,pattern={{version}}", "", ["1.2.3-rc.1"]),
        ("refs/tags/v1.2.3", "type=semver,pattern=v{{version}}", "latest=false", ["v1.2.3"]),
        ("refs/heads/a/b", "type=ref,event=branch", "", ["a-b"]),
        ("refs/heads/main", "type=sha,prefix=", "", ["4f3c2b1"]),
        ("refs/heads/dev", "type=raw,value=x,enable={{is_default_branch}}", "", []),
        ("refs/heads/main", "type=edge", "suffix=-alpine", ["edge-alpine"]),
        ("refs/heads/main", "type=schedule", "", []),
    ],
)
def test_what_the_metadata_action_writes(ref, tags, flavor, written):
    context = {"ref": ref, "ref_name": ref.split("/", 2)[2], "event_name": "push", "sha": HASH}
    context |= {"base_ref": "", "event": {"number": "7"}}
    inputs = {"images": "ghcr.io/A/b", "tags": tags, "flavor": flavor}
    found = metadata_action.references(inputs, context)
    short = {"<<the commit's hash>>": "4f3c2b1", "<the commit's hash>": "4f3c2b1"}
    shown = [show(one.reference) for one in found]
    for text, hash_ in short.items():
        shown = [one.replace(text, hash_) for one in shown]
    assert shown == [f"ghcr.io/a/b:{tag}" for tag in written]


@pytest.mark.parametrize(
    ("words", "text", "printed"),
    [
        (["tr", "[:upper:]", "[:lower:]"], "Ab", "ab"),
        (["sed", "-e", "s,.*/\\(.*\\),\\1,"], "refs/heads/x", "x"),
        (["sed", "s/^v//"], "v1", "1"),
        (["cut", "-d/", "-f3"], "a/b/c", "c"),
        (["awk", "-F/", "{print $2}"], "a/b", "b"),
        (["head", "-c", "2"], "abc", "ab"),
        (["rev"], "abc", None),
        (["tr", "/", "-"], "a/b", "a-b"),
        (["tr", "/_", "-"], "a/b_c", "a-b-c"),
        (["tr", "-d", "v"], "v1", "1"),
        (["tr", "-d", "[:space:]"], " a b\n", "ab"),
        (["tr", "-d", "[:graph:]"], "a b", None),
        (["sed", "s/[[:space:]]/-/"], "a b", "a-b"),
        (["sed", "s/[[:graph:]]/-/"], "a b", None),
        (["tr", "-s", "/", "-"], "a/b", None),
        (["tr", ",", "\\n"], "a,b", "a\nb"),
        (["cut", "-c1-7"], "abcdefgh", "abcdefg"),
        (["cut", "-f2-", "-d", "/"], "a/b/c", "b/c"),
    ],
)
def test_what_text_tools_print(words, text, printed):
    assert filtered(words, text) == printed


def test_yaml_keeps_lines_and_all_scalars_as_text():
    (document,) = parse("a: &x {b: 1}\nc:\n  <<: *x\n  e: |\n    f\non: yes\n")
    assert document == {"a": {"b": "1"}, "c": {"b": "1", "e": "f\n"}, "on": "yes"}
    assert document["c"].lines == {"b": 1, "e": 5}
    with pytest.raises(Unreadable, match="line 1"):
        parse("a: [")
