import base64
import json
import subprocess

import pytest

from rehearsal.cell import about
from rehearsal.cell.record import Record, read_record, to_markdown
from rehearsal.cell.redact import Shown
from rehearsal.errors import CannotCheck
from rehearsal.runbook.model import Cell
from rehearsal.step import first_not_done


def test_each_event_is_in_the_file_before_the_next_one_comes(tmp_path):
    record = Record.new(tmp_path / "runs", "push-an-image")
    record.add("start", notebook="push-an-image", person="somebody", engine={"name": "here"})
    record.add(
        "cell", command="docker push x", values={}, writes=["x"], before={"x": {"digest": None}}
    )
    lines = [json.loads(line) for line in record.file.read_text().splitlines()]
    assert [line["event"] for line in lines] == ["start", "cell"]
    assert "docker push x" in to_markdown(read_record(record.file))


def test_a_record_that_cannot_be_written_stops_the_run(tmp_path):
    (tmp_path / "runs").write_text("in the way")
    with pytest.raises(CannotCheck, match="cannot be written"):
        Record.new(tmp_path / "runs", "push-an-image").add("start")


def test_a_fence_in_an_output_does_not_end_the_pages_fence():
    end = {"event": "end", "time": "now", "status": 0, "seconds": 1, "output": "```\n# no title\n"}
    assert to_markdown([end]).startswith("````text\n```\n# no title\n````")


@pytest.mark.parametrize("token", ["ghp_" + "a1" * 18, "github_pat_" + "B2" * 20])
def test_what_looks_like_a_token_of_github_is_hidden_though_nobody_named_it(token, capsys):
    shown = Shown(())
    shown.write(f"export GHCR_PAT={token}\n".encode())
    shown.end()
    assert capsys.readouterr().out == "export GHCR_PAT=*****\n"
    assert token not in shown.text


SECRETS = ("secret", "secretlonger", "ab+c/d=" * 12)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 12, 24, 1000])
@pytest.mark.parametrize(
    "said",
    [
        "x secretlonger y secret z",
        "token ghp_" + "a1" * 18 + " end",
        "github_pat_" + "B2" * 30,
        "\n".join(base64.encodebytes(("octocat:" + SECRETS[2]).encode()).decode().splitlines()),
        SECRETS[2],
    ],
)
def test_no_secret_is_shown_wherever_the_output_is_cut_or_wrapped(said, size, capsys):
    shown = Shown(SECRETS)
    for start in range(0, len(said), size):
        shown.write(said[start : start + size].encode())
    shown.end()
    printed = capsys.readouterr().out
    assert "*****" in printed
    for part in (
        "secret",
        "longer",
        "a1a1",
        "B2B2",
        "ab+c",
        base64.b64encode(SECRETS[2][:30].encode()).decode()[4:-4],
    ):
        assert part not in printed.replace("\n", "")


@pytest.mark.parametrize(
    "form", ["a%2fb%2bc+d", "a/b%2Bc%20d", "a%2Fb%2Bc+d", 'pa\\"ss\\\\word', "YS9iK2MgZA=="]
)
def test_a_secret_is_hidden_in_the_forms_that_programs_give_it(form, capsys):
    shown = Shown(["a/b+c d", 'pa"ss\\word'])
    shown.write(f"x={form}&y\n".encode())
    shown.end()
    assert "*****" in capsys.readouterr().out


def shell(script):
    return Cell("code", f"%%bash\n{script}")


@pytest.mark.parametrize(
    ("done", "passed"),
    [
        ([], 1),
        (["a"], 2),
        (["a", "b"], 4),
        (["a", "b", "a"], 5),
        (["a", "a", "b"], 4),
        (["b"], 1),
        (["a", "b", "a", "c"], 6),
    ],
)
def test_a_run_goes_on_at_the_first_cell_that_is_not_done(done, passed):
    cells = [Cell("markdown", "a"), shell("a"), shell("b"), Cell("code", "1"), shell("a")]
    assert first_not_done([*cells, shell("c")], done) == passed


def test_a_record_names_the_commit_of_the_text_and_whether_it_was_changed(tmp_path):
    def git(*words):
        identity = ["-c", "user.name=x", "-c", "user.email=x@x"]
        subprocess.run(["git", *identity, "-C", tmp_path, *words], check=True, capture_output=True)

    (tmp_path / "page.md").write_text("one")
    assert about.run(tmp_path)["commit"] is None
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--message", "one")
    said = about.run(tmp_path)
    assert (len(said["commit"]), said["clean"]) == (40, True)
    (tmp_path / "page.md").write_text("two")
    assert about.run(tmp_path)["clean"] is False
