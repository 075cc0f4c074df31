"""The stage `production`, on the engine of a person's machine, which a room plays: what the guard
promises.
"""

import base64
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jupytext
import nbformat
import pytest
from jupyter_client.manager import KernelManager

from rehearsal.room.paths import PROJECT, ROOM
from rehearsal.runbook.model import Runbook

BIN = Path(sys.executable).parent
TOKEN = "practice-token-may-push"
TEST = "ghcr.io/megalotron/alpine:test"
STEP, WRITE = "q stop: ", "in full to go on: "
GOES_ON = ["--continue"]
FAILED, UNDO = "or q to stop: ", "[Enter] stop here: "
ANSWERS = {STEP: "", WRITE: TEST, "<your GH username>: ": "octocat", "access token>: ": TOKEN}
STORE = ROOM / "registries" / "ghcr.io" / "docker" / "registry" / "v2" / "repositories"
LARGE = """```bash
head -c 80000000 /dev/urandom > content
tar -c content | docker import - large > id
docker tag large ghcr.io/megalotron/alpine:test
echo <your generated personal access token> | \\
  docker login ghcr.io -u <your GH username> --password-stdin
```

```bash magic_args="--writes ghcr.io/megalotron/alpine:test"
docker push ghcr.io/megalotron/alpine:test
```
"""


@pytest.fixture
def machine(tmp_path):
    """A person's clone, on a machine with an engine and a registry as they were before."""
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    shutil.copytree(PROJECT / "notebooks", tmp_path / "notebooks")
    shutil.rmtree(STORE / "megalotron" / "alpine", ignore_errors=True)
    (Path.home() / ".docker" / "config.json").unlink(missing_ok=True)
    return tmp_path


def tags():
    """Return every tag in the registry and what it names."""
    return {str(path): path.read_text() for path in STORE.glob("**/_manifests/tags/*/current/link")}


def added(before):
    """Return the tags that are new or name something else than before."""
    changed = {path for path, digest in tags().items() if before.get(path) != digest}
    return sorted(
        re.sub(r".*/repositories/(.*)/_manifests/tags/(.*)/current/link", r"\1:\2", path)
        for path in changed
    )


def interrupt(pid, terminal):
    os.write(terminal, b"\x03")


def close_terminal(pid, terminal):
    os.close(terminal)


def kill(pid, terminal):
    os.kill(pid, signal.SIGKILL)


def terminate(pid, terminal):
    os.kill(pid, signal.SIGTERM)


def walk(machine, notebook, answers=ANSWERS, at=None, do=interrupt, options=(), **environment):
    """Go through a notebook in production in a terminal, answering each question; return status and
    what was shown. Where `at` is shown, `do` something.
    """
    answers = answers | {FAILED: answers.get(FAILED, "q"), UNDO: answers.get(UNDO, "u")}
    command = [str(BIN / "rehearsal"), "run", notebook, "--production", *options]
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(machine)
        os.execve(command[0], command, os.environ | environment)
    shown, seen, end = "", 0, time.monotonic() + 120
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 0.1)[0]:
            continue
        try:
            part = os.read(terminal, 65536)
        except OSError:
            break
        shown += part.decode(errors="replace")
        for question, answer in answers.items():
            if shown[seen:].endswith(question):
                seen = len(shown)
                said = answer if isinstance(answer, str) else answer.pop(0)
                os.write(terminal, f"{said}\n".encode())
        if at and at in shown[seen:]:
            time.sleep(0.3)
            do(pid, terminal)
            at = None
            if do is close_terminal:
                break
    else:
        os.kill(pid, signal.SIGKILL)
        pytest.fail(f"it waits: {shown[-2000:]}")
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown


def records(machine):
    return [
        [json.loads(line) for line in path.read_text().splitlines()]
        for path in sorted(machine.glob("runs/*.jsonl"))
    ]


def last(machine):
    """Return the events before those with which a walk ends, of the only record."""
    (record,) = records(machine)
    assert [event["event"] for event in record[-2:]] in (["stop", "closed"], ["finish", "closed"])
    return record[:-2]


def scripts(machine, notebook):
    cells = Runbook(machine / "notebooks" / f"{notebook}.md").text.code
    return [cell.script for cell in cells if cell.script is not None]


def test_a_push_writes_what_was_confirmed_and_is_recorded_to_the_byte(machine):
    before = tags()
    status, shown = walk(machine, "push-an-image")
    assert status == 0, shown
    assert added(before) == ["megalotron/alpine:test"]
    (record,) = records(machine)
    assert [event["command"] for event in record if event["event"] == "cell"] == scripts(
        machine, "push-an-image"
    )
    push = next(n for n, event in enumerate(record) if event.get("writes"))
    digest = tags()[str(STORE / "megalotron/alpine/_manifests/tags/test/current/link")]
    assert record[push]["before"][TEST]["digest"] is None
    assert record[push + 2]["after"][TEST] == {
        "reference": TEST,
        "digest": digest,
        "user": "octocat",
    }
    assert f"digest: {digest}" in record[push + 1]["output"]
    assert {event["status"] for event in record if event["event"] == "end"} == {0}
    assert record[0]["notebook"] == "push-an-image"
    assert record[0]["engine"]["name"]
    page = subprocess.run(
        ["rehearsal", "record", *machine.glob("runs/*")], capture_output=True, text=True, check=True
    ).stdout
    assert f"- {TEST}, after: {digest}, as octocat" in page
    assert all(script in page for script in scripts(machine, "push-an-image"))


@pytest.mark.parametrize(
    "typed", ["", "yes", "alpine:test", f"{TEST}2", "ghcr.io/megalotron/alpine"]
)
def test_a_wrong_confirmation_sends_nothing(typed, machine):
    before = tags()
    status, shown = walk(machine, "push-an-image", ANSWERS | {WRITE: typed})
    assert status == 1
    assert "nothing was sent" in shown
    assert added(before) == []
    assert last(machine)[-1]["event"] == "refused"


def edit(machine, before, after):
    text = machine / "notebooks" / "push-an-image.md"
    assert before in text.read_text()
    text.write_text(text.read_text().replace(before, after))


def rehearse(machine, name):
    """Write the executed notebook of a text, as if a rehearsal had run each cell."""
    notebook = jupytext.read(machine / "notebooks" / f"{name}.md")
    for number, cell in enumerate(cell for cell in notebook.cells if cell.cell_type == "code"):
        cell.execution_count = number + 1
    jupytext.write(notebook, machine / "notebooks" / f"{name}.ipynb")
    return notebook


EDITS = {
    "another-command": ("docker push ghcr.io", "v=push; docker image $v ghcr.io"),
    "another-tag": (
        "docker push ghcr.io/megalotron/alpine:test",
        "docker push ghcr.io/megalotron/alpine:main",
    ),
    "declared-no-more": (' magic_args="--writes ghcr.io/megalotron/alpine:test"', ""),
    "another-declaration": (
        "--writes ghcr.io/megalotron/alpine:test",
        "--writes ghcr.io/megalotron/alpine:main",
    ),
    "python": ("## Push", "```python\nopen('/tmp/pwned', 'w')\n```\n\n## Push"),
    "python-behind-a-magic": (
        "## Push",
        "```python\n%%time\nopen('/tmp/pwned', 'w')\n```\n\n## Push",
    ),
}


@pytest.mark.parametrize("change", EDITS.values(), ids=EDITS)
def test_a_cell_that_was_edited_does_not_run(change, machine):
    before = tags()
    edit(machine, *change)
    status, shown = walk(machine, "push-an-image")
    assert status == 1
    assert "no rehearsal has run this cell" in shown
    assert added(before) == []
    assert last(machine)[-1]["event"] == "refused"
    assert not Path("/tmp/pwned").exists()


def test_what_a_rehearsal_was_refused_to_write_is_asked_for_too(machine):
    before = tags()
    status, shown = walk(
        machine, "use-in-production", ANSWERS | {"<token of the server>: ": TOKEN, WRITE: "no"}
    )
    assert status == 1
    assert "nothing was sent" in shown, shown
    assert added(before) == []


def test_a_notebook_that_was_edited_beside_its_text_was_not_rehearsed(machine):
    name = "docker pull --quiet alpine"
    executed = machine / "notebooks" / "push-an-image.ipynb"
    executed.write_text(executed.read_text().replace("docker pull alpine", name))
    text = (machine / "notebooks" / "push-an-image.md").read_text()
    (machine / "notebooks" / "other.md").write_text(
        text.replace("```bash\ndocker pull alpine\n", f"```bash\n{name}\n")
    )
    status, shown = walk(machine, "other")
    assert status == 1
    assert "no rehearsal has run this cell" in shown


def test_what_somebody_put_in_for_a_placeholder_is_not_recorded(machine):
    edit(machine, "<your generated personal access token>\n", "dckr_pat_PLANTED\n")
    assert walk(machine, "push-an-image")[0] == 1
    assert "PLANTED" not in "".join(path.read_text() for path in machine.glob("runs/*"))


def test_a_kernel_without_its_guard_does_not_start(machine):
    before = tags()
    (machine / "notebooks" / "notes.md").write_text("---\njupyter: [\n---\n")
    status, shown = walk(machine, "push-an-image")
    assert status == 3
    assert "The kernel production ended" in shown, shown
    assert added(before) == []
    assert not (Path.home() / ".docker" / "config.json").exists()


def test_a_write_goes_on_where_nobody_can_say_what_the_tag_names(machine):
    before = tags()
    settings = machine / "pyproject.toml"
    settings.write_text(
        settings.read_text().replace("megalotron-images digest --json", "no-such-program digest")
    )
    status, shown = walk(machine, "push-an-image")
    assert status == 0, shown
    assert added(before) == ["megalotron/alpine:test"]
    assert any(
        "no no-such-program here" in str(event.get("after")) for event in records(machine)[0]
    )


@pytest.mark.parametrize("change", ["error", "kernel", "never"])
def test_a_cell_that_failed_or_ran_elsewhere_was_not_rehearsed(change, machine):
    edit(machine, "docker push ghcr.io", "docker push --quiet ghcr.io")
    notebook = rehearse(machine, "push-an-image")
    push = next(
        cell for cell in notebook.cells if "docker push" in cell.source and cell.cell_type == "code"
    )
    if change == "error":
        push.outputs = [
            nbformat.v4.new_output("error", ename="CellFailed", evalue="refused", traceback=[])
        ]
    elif change == "never":
        push.execution_count = None
    else:
        notebook.metadata.kernelspec.name = "production"
    jupytext.write(notebook, machine / "notebooks" / "push-an-image.ipynb")
    before = tags()
    assert walk(machine, "push-an-image")[0] == 1
    assert added(before) == []
    rehearse(machine, "push-an-image")
    assert walk(machine, "push-an-image")[0] == 0
    assert added(before) == ["megalotron/alpine:test"]


def test_a_python_cell_that_was_rehearsed_runs(machine):
    cells = Runbook(machine / "notebooks" / "add-a-stack.md").text.code
    before = next(number for number, cell in enumerate(cells) if cell.script is None)
    shown = walk(machine, "add-a-stack", {STEP: [*["s"] * before, "", "q"]})[1]
    assert "Stack(title='Collector', name='collector')" in shown


def test_enters_that_were_typed_ahead_run_nothing_unread(machine):
    status, shown = walk(machine, "push-an-image", ANSWERS | {STEP: ["\n\n\nq", "q"]})
    assert status == 0
    assert len([event for event in records(machine)[0] if event["event"] == "cell"]) == 1, shown


def test_a_command_is_shown_whole_however_narrow_the_terminal(machine):
    status, shown = walk(machine, "push-an-image", {STEP: "s"}, COLUMNS="40")
    assert status == 0
    assert "--password-stdin" in shown


def test_ci_sends_nothing_even_where_somebody_answers(machine):
    before = tags()
    status, shown = walk(machine, "push-an-image", CI="true")
    assert status == 1
    assert "only a person may write to a registry" in shown
    assert added(before) == []


def test_without_a_terminal_nothing_is_sent(machine):
    before = tags()
    (machine / "notebooks" / "large.md").write_text(header(machine) + LARGE)
    text = rehearse(machine, "large")
    text.cells = [cell for cell in text.cells if "docker push" in cell.source]
    jupytext.write(text, machine / "notebooks" / "large.ipynb")
    command = [str(BIN / "jupyter"), "execute", "--kernel_name=production", "large.ipynb"]
    done = subprocess.run(
        command, cwd=machine / "notebooks", capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "nobody is there to ask" in done.stderr
    assert added(before) == []
    done = subprocess.run(
        [str(BIN / "rehearsal"), "run", "large", "--production"],
        cwd=machine,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert "nobody is there to ask" in done.stderr


def header(machine):
    return (machine / "notebooks" / "push-an-image.md").read_text().partition("\n---\n")[
        0
    ] + "\n---\n\n"


def test_a_push_that_is_interrupted_writes_nothing_and_goes_on_when_run_again(machine):
    before = tags()
    (machine / "notebooks" / "large.md").write_text(header(machine) + LARGE)
    rehearse(machine, "large")
    status, shown = walk(machine, "large", at="refers to repository")
    assert status == 1
    assert "Interrupted" in shown
    assert added(before) == []
    ended = last(machine)[-2:]
    assert [event["event"] for event in ended] == ["end", "after"]
    assert ended[0]["interrupted"]
    assert ended[1]["after"][TEST]["digest"] is None
    status, shown = walk(machine, "large")
    assert status == 0, shown
    assert added(before) == ["megalotron/alpine:test"]
    assert len(records(machine)) == 2


def test_the_token_stands_in_no_record_output_or_process(machine):
    seen = set()
    text = machine / "notebooks" / "push-an-image.md"
    shows = "```bash\necho $GHCR_PAT; echo $GHCR_PAT | base64; env | grep GHCR\n```\n\n## Push"
    text.write_text(text.read_text().replace("## Push", shows, 1))
    rehearse(machine, "push-an-image")
    pid = os.fork()
    if not pid:
        os.setsid()
        while True:
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(path.read_bytes())
                except OSError:
                    continue
            (machine / "seen").write_bytes(b"\n".join(seen))
            time.sleep(0.02)
    try:
        status, shown = walk(machine, "push-an-image")
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    assert status == 0, shown
    assert "*****" in shown
    files = [machine / "seen", *machine.glob("runs/*"), *Path("/tmp").glob("rehearsal-*/*")]
    everything = shown.encode() + b"".join(path.read_bytes() for path in files if path.is_file())
    for form in (
        TOKEN,
        *(base64.b64encode(b"x" * n + TOKEN.encode()).decode()[4:-4] for n in range(3)),
    ):
        assert form.encode() not in everything, everything.partition(form.encode())[0][-300:]


def test_the_records_are_for_their_owner_alone(machine):
    walk(machine, "push-an-image", ANSWERS | {STEP: "q"})
    walk(machine, "push-an-image", ANSWERS | {WRITE: ""})
    assert {oct(path.stat().st_mode & 0o777) for path in machine.glob("runs/*")} == {"0o600"}
    assert oct((machine / "runs").stat().st_mode & 0o777) == "0o700"


def large(machine):
    """Write and rehearse a page that pushes 80 MB."""
    (machine / "notebooks" / "large.md").write_text(header(machine) + LARGE)
    rehearse(machine, "large")


@pytest.mark.parametrize("do", [close_terminal, kill, terminate])
def test_what_a_lost_run_had_started_ends_and_is_recorded(do, machine):
    before = tags()
    large(machine)
    walk(machine, "large", at="refers to repository", do=do)
    end = time.monotonic() + 30
    while records(machine)[0][-1]["event"] != "lost" and time.monotonic() < end:
        time.sleep(0.1)
    lost = records(machine)[0][-1]
    assert lost["event"] == "lost", records(machine)[0]
    assert lost["after"][TEST]["digest"] is None
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
    assert not [one for one in commands if b"docker\0push" in one or b"driver.bash" in one]
    time.sleep(3)
    assert added(before) == []


def test_after_a_failure_values_are_changed_and_the_rest_is_kept(machine):
    before = tags()
    answers = {
        "access token>: ": "practice-token-wrong",
        FAILED: ["v", "r"],
        "access token> [kept, Enter keeps it]: ": TOKEN,
        "username> [octocat, Enter keeps it]: ": "",
    }
    status, shown = walk(machine, "push-an-image", ANSWERS | answers)
    assert status == 0, shown
    assert "again, for what it sets: export GHCR_PAT=" in shown
    assert added(before) == ["megalotron/alpine:test"]


def test_a_wrong_confirmation_is_typed_again_and_the_login_is_kept(machine):
    before = tags()
    status, shown = walk(
        machine, "push-an-image", ANSWERS | {WRITE: ["alpine:test", TEST], FAILED: "r"}
    )
    assert status == 0, shown
    assert added(before) == ["megalotron/alpine:test"]
    assert shown.count("access token>: ") == 1
    events = last(machine)
    assert [event["typed"] for event in events if event["event"] == "confirmed"] == [TEST]


def test_enter_does_not_undo(machine):
    assert walk(machine, "push-an-image", ANSWERS | {UNDO: ""})[0] == 0
    assert "docker logout" not in str(records(machine))
    assert records(machine)[0][-2]["event"] == "stop"


def test_a_run_that_was_stopped_goes_on_where_it_was(machine):
    before = tags()
    cells = scripts(machine, "push-an-image")
    push = next(n for n, script in enumerate(cells) if "docker push" in script)
    assert walk(machine, "push-an-image", ANSWERS | {STEP: [*[""] * (push + 1), "q"]})[0] == 0
    assert added(before) == ["megalotron/alpine:test"]
    status, shown = walk(machine, "push-an-image", options=GOES_ON)
    assert status == 0, shown
    assert f"done: {cells[push]}" in shown
    assert shown.count("access token>: ") == 1
    assert "<your GH username>: " not in shown
    ran = [event["command"] for event in records(machine)[1] if event["event"] == "cell"]
    assert ran == ["export GHCR_PAT=<your generated personal access token>", *cells[push + 1 :]]
    done = subprocess.run(
        [str(BIN / "rehearsal"), "run", "push-an-image", "--production", "--continue"],
        cwd=machine,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert "came to its end" in done.stderr


def test_a_run_does_not_go_on_unasked_where_somebody_has_moved_the_tag(machine):
    cells = scripts(machine, "push-an-image")
    push = next(n for n, script in enumerate(cells) if "docker push" in script)
    walk(machine, "push-an-image", ANSWERS | {STEP: [*[""] * (push + 1), "q"]})
    shutil.rmtree(STORE / "megalotron" / "alpine" / "_manifests" / "tags" / "test")
    status, shown = walk(
        machine,
        "push-an-image",
        ANSWERS | {"all the same, [Enter] stop here: ": ""},
        options=GOES_ON,
    )
    assert status == 1
    assert "at the end of that run: look at who has written it since" in shown
    assert "docker image inspect" not in str(records(machine)[1])
    status, shown = walk(
        machine,
        "push-an-image",
        ANSWERS | {"all the same, [Enter] stop here: ": "g"},
        options=GOES_ON,
    )
    assert "PRODUCTION: [Enter] run" in shown


def test_a_page_of_a_record_tells_how_a_run_ended(machine):
    walk(machine, "push-an-image", ANSWERS | {STEP: ["s", "", "q"]})
    page = subprocess.run(
        ["rehearsal", "record", *machine.glob("runs/*")], capture_output=True, text=True, check=True
    ).stdout
    assert ": skipped" in page
    assert ": stopped by the person" in page
    assert "Text: in no repository of git" in page
    (file,) = machine.glob("runs/*")
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-2]))
    page = subprocess.run(
        ["rehearsal", "record", file], capture_output=True, text=True, check=True
    ).stdout
    assert "Abandoned" in page


@pytest.fixture
def notebook(machine, monkeypatch):
    """A function that runs a source in a production kernel, as JupyterLab does, with answers;
    returns what was shown.
    """
    monkeypatch.chdir(machine / "notebooks")
    manager = KernelManager(kernel_name="production")
    manager.start_kernel(cwd=str(machine / "notebooks"))
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(60)

    def run(source, *answers):
        left, shown = [*answers], []

        def show(message):
            content = message["content"]
            shown.append(content.get("text", "") or content.get("evalue", ""))

        client.execute_interactive(
            source,
            allow_stdin=True,
            timeout=60,
            output_hook=show,
            stdin_hook=lambda message: client.input(left.pop(0)),
        )
        return "".join(shown)

    yield run
    client.stop_channels()
    manager.shutdown_kernel()


def sources(machine, notebook):
    return [cell.source for cell in Runbook(machine / "notebooks" / f"{notebook}.md").text.code]


def test_in_jupyterlab_too_a_failed_cell_comes_first_and_what_was_exported_is_kept(
    machine, notebook
):
    cells = sources(machine, "push-an-image")
    push = next(n for n, cell in enumerate(cells) if "docker push" in cell)
    for cell in cells[:push]:
        notebook(cell, TOKEN if "<your generated" in cell else "octocat")
    assert "nothing was sent" in notebook(cells[push], "no")
    assert "the cell that failed comes first" in notebook(cells[push + 1])
    assert "digest: sha256" in notebook(cells[push], TEST)
    assert "nothing was sent" in notebook(cells[push], "no")
    assert notebook("%rehearsal_run skip") == ""
    assert "alpine@sha256:" in notebook(cells[push + 1])
    assert "%rehearsal_run undo is unknown; there is skip, values" in notebook(
        "%rehearsal_run undo"
    )
    (record,) = records(machine)
    assert [event["event"] for event in record if event["event"] == "skip"] == ["skip"]


def test_a_shell_command_without_its_magic_is_told_what_to_write(notebook):
    assert "`docker` is a shell command: write %%bash above it" in notebook("docker ps")
    assert "no rehearsal has run this cell" in notebook("%%bash\ndocker ps")
