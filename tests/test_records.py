import base64
import json
import resource
import subprocess

import pytest

from conftest import rehearsal
from rehearsal.cell.production import surroundings
from rehearsal.cell.production.record import (
    CUT,
    Record,
    commands_done,
    commands_skipped,
    digests_after,
    ended_well,
    find_unfinished,
    how_it_ended,
    read_record,
    read_whole,
    values_of,
)
from rehearsal.cell.production.record_page import to_markdown
from rehearsal.cell.redact import RedactedOutput
from rehearsal.errors import CannotCheck
from rehearsal.runbook.model import Cell
from rehearsal.step import resume_index

EVENTS = {
    "start": {"notebook": "page", "person": "me", "engine": {"name": "here"}},
    "cell": {"command": "true", "values": {}, "writes": []},
    "end": {"status": 0, "seconds": 0.1, "output": ""},
    "skip": {"command": "true"},
}


def add(record, event, **what):
    record.add(event, **EVENTS.get(event, {}) | what)


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


def test_a_record_is_read_whatever_a_command_printed(tmp_path):
    record = Record(tmp_path / "run.jsonl")
    said = "a\u2028b\x85c\r\nd\x0ce"
    add(record, "end", output=said)
    record.add("closed", why="\udcff")
    assert read_record(record.file)[0]["output"] == said


def test_a_full_disk_leaves_whole_lines(tmp_path):
    record = Record(tmp_path / "run.jsonl")
    add(record, "start")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(CannotCheck, match="cannot be written"):
            record.add("end", output="x" * 2000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    record.add("closed")
    assert [event["event"] for event in read_record(record.file)] == ["start", "closed"]


def test_a_run_of_another_notebook_is_not_gone_on_with(tmp_path):
    add(Record(tmp_path / "20260101T000000.000Z-1-image.jsonl"), "cell")
    add(Record(tmp_path / "20260102T000000.000Z-2-push-an-image.jsonl"), "cell")
    add(Record(tmp_path / "20260103T000000.000Z-3-4-image.jsonl"), "cell")
    assert find_unfinished(tmp_path, "image").name == "20260101T000000.000Z-1-image.jsonl"


def test_a_run_that_did_nothing_is_passed_over(tmp_path):
    add(Record(tmp_path / "20260101T000000.000Z-1-image.jsonl"), "cell")
    add(Record(tmp_path / "20260102T000000.000Z-2-image.jsonl"), "stop")
    assert find_unfinished(tmp_path, "image").name == "20260101T000000.000Z-1-image.jsonl"


def test_what_a_run_was_told_not_to_go_on_with_is_no_digest_that_it_wrote():
    before = {"event": "after", "after": {"x:1": {"digest": "sha256:a"}}}
    now = {"event": "compared", "after": {"x:1": {"digest": "sha256:b"}}}
    assert digests_after([before, now]) == {"x:1": "sha256:a"}


def test_a_run_that_went_on_is_read_with_the_one_before(tmp_path):
    first, second = Record(tmp_path / "1.jsonl"), Record(tmp_path / "2.jsonl")
    add(first, "cell", command="a", values={"who": "me"})
    add(first, "end", well=True)
    add(first, "skip", command="b")
    second.add("continue", of="1.jsonl")
    add(second, "skip", command="c")
    events = read_whole(second.file)
    assert commands_done(events) == ["a", "b", "c"]
    assert values_of(events) == {"who": "me"}
    assert commands_skipped(events) == {"b", "c"}


def test_a_fence_in_an_output_does_not_end_the_pages_fence():
    end = {"event": "end", "time": "now", "status": 0, "seconds": 1, "output": "```\n# no title\n"}
    assert to_markdown([end]).startswith("````text\n```\n# no title\n````")


@pytest.mark.parametrize("token", ["ghp_" + "a1" * 18, "github_pat_" + "B2" * 20])
def test_what_looks_like_a_token_of_github_is_hidden_though_nobody_named_it(token, capsys):
    shown = RedactedOutput(())
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
    shown = RedactedOutput(SECRETS)
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
    shown = RedactedOutput(["a/b+c d", 'pa"ss\\word'])
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
        (["a", "b", "1", "a", "c"], 6),
    ],
)
def test_a_run_goes_on_at_the_first_cell_that_is_not_done(done, passed):
    cells = [Cell("markdown", "a"), shell("a"), shell("b"), Cell("code", "1"), shell("a")]
    assert resume_index([*cells, shell("c")], done) == passed


def test_a_record_names_the_commit_of_the_text_and_whether_it_was_changed(tmp_path):
    def git(*words):
        identity = ["-c", "user.name=x", "-c", "user.email=x@x"]
        subprocess.run(["git", *identity, "-C", tmp_path, *words], check=True, capture_output=True)

    (tmp_path / "page.md").write_text("one")
    assert surroundings.surroundings(tmp_path)["commit"] is None
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--message", "one")
    said = surroundings.surroundings(tmp_path)
    assert (len(said["commit"]), said["clean"]) == (40, True)
    (tmp_path / "page.md").write_text("two")
    assert surroundings.surroundings(tmp_path)["clean"] is False


def test_a_page_shows_a_cell_of_python_and_how_it_ended():
    ran = {"event": "python", "time": "12:00", "code": "draw()", "failed": True}
    assert "```python\ndraw()\n```\n\nFailed\n" in to_markdown([ran])


def test_an_engines_address_is_told_without_its_password(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "tcp://somebody:planted-p@ss@127.0.0.1:1")
    monkeypatch.setattr(surroundings, "_SECONDS", 5)
    assert surroundings.surroundings(tmp_path)["engine"]["address"] == "tcp://somebody@127.0.0.1:1"


def test_a_page_of_a_record_does_not_steer_the_terminal(tmp_path):
    record = Record(tmp_path / "run.jsonl")
    record.add("end", status=0, seconds=1, output="\x1b[2Jgone\r\u202eback\x9b\udcff\ttab\n")
    page = rehearsal("record", str(record.file)).stdout
    assert r"\x1b[2Jgone\r\u202eback\x9b\udcff" + "\ttab\n" in page
    assert "\x1b" not in page


def lines(tmp_path, *texts):
    file = tmp_path / "20260101T000000.000Z-1-page.jsonl"
    file.write_bytes(b"".join(texts))
    return file


def test_a_line_that_was_cut_hides_no_whole_line_and_is_not_written_on(tmp_path):
    record = Record(tmp_path / "run.jsonl")
    add(record, "start")
    add(record, "cell")
    with open(record.file, "r+b") as file:
        file.truncate(record.file.stat().st_size - 9)
    assert [event["event"] for event in read_record(record.file)] == ["start", CUT]
    record.add("stop")
    assert [event["event"] for event in read_record(record.file)] == ["start", CUT, "stop"]
    assert "cut" in to_markdown(read_record(record.file))


@pytest.mark.parametrize(
    "text", [b"[1]\n", b'{"a": 1}\n', b'{"event": "cell", "time": "x"}\n', b"\x00\xff\n", b"text"]
)
def test_another_file_is_called_no_record_in_one_line(text, tmp_path):
    with pytest.raises(CannotCheck, match="is not a record") as raised:
        read_record(lines(tmp_path, text))
    assert len(str(raised.value).splitlines()) == 1


PUSHED = "test: digest: sha256:" + "a" * 64 + " size: 528\n"


@pytest.mark.parametrize(
    ("after", "printed", "digest"),
    [
        ({"digest": None}, PUSHED, None),
        ({"digest": "sha256:b"}, PUSHED, "sha256:b"),
        ({"unknown": "no answer"}, PUSHED, "sha256:" + "a" * 64),
        ({"unknown": "no answer"}, PUSHED.replace("test", "other"), "unknown"),
        ({"unknown": "no answer"}, "", "unknown"),
    ],
)
def test_what_the_registry_did_not_say_is_never_taken_for_nothing(after, printed, digest):
    events = [
        {"event": "end", "output": printed},
        {"event": "after", "after": {"ghcr.io/megalotron/alpine:test": after}},
    ]
    assert digests_after(events) == {"ghcr.io/megalotron/alpine:test": digest}


@pytest.mark.parametrize(
    ("last", "well"),
    [
        ({"event": "end", "well": True}, True),
        ({"event": "end", "status": 130, "interrupted": True}, False),
        ({"event": "cell"}, False),
        ({"event": "refused"}, False),
        ({"event": "python", "failed": False}, True),
        ({"event": "python", "failed": True}, False),
    ],
)
def test_a_step_ended_as_its_record_says(last, well):
    assert ended_well([{"event": "end", "well": True}, last, {"event": "after"}]) is well


def test_of_each_run_its_end_is_said(tmp_path):
    cell, start = {"event": "cell"}, {"event": "start"}
    assert how_it_ended([start, cell, {"event": "finish"}]) == "finished"
    assert how_it_ended([start, cell, {"event": "stop"}, {"event": "closed"}]) == "stopped"
    assert how_it_ended([start, cell, {"event": "lost"}]) == "lost"
    assert how_it_ended([start, cell]) == "abandoned or still open"
    assert how_it_ended([start]) == "nothing was run"
