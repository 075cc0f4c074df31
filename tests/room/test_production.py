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
import termios
import threading
import time
from pathlib import Path

import jupytext
import nbformat
import pytest
from jupyter_client.manager import KernelManager

from conftest_room import registry_process
from rehearsal.cell.bash import Shell
from rehearsal.cell.placeholders import Filled
from rehearsal.cell.questions import Answer
from rehearsal.errors import Wrong
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
head -c 40000000 /dev/urandom > content
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


def in_a_push(do):
    """Return a function that does something while a push waits for a registry that does not answer,
    so that it has not ended before.
    """

    def act(pid, terminal):
        registry = registry_process()
        registry.suspend()
        try:
            do(pid, terminal)
            end = time.monotonic() + 10
            while pushes() and time.monotonic() < end:
                time.sleep(0.05)
        finally:
            registry.resume()

    return act


def pushes():
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
    return [one for one in commands if b"docker\0push" in one]


def walk(
    machine,
    notebook,
    answers=ANSWERS,
    at=None,
    do=interrupt,
    options=(),
    closes=False,
    **environment,
):
    """Go through a notebook in production in a terminal, answering each question; return status and
    what was shown. Where `at` is shown, `do` something, which `closes` the terminal or does not.
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
        if at and at in shown[seen:]:
            do(pid, terminal)
            at = None
            if closes or do is close_terminal:
                break
        for question, answer in answers.items():
            if shown[seen:].endswith(question):
                seen = len(shown)
                if callable(answer):
                    said = answer()
                else:
                    said = answer if isinstance(answer, str) else answer.pop(0)
                os.write(terminal, f"{said}\n".encode())
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


@pytest.mark.main
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


@pytest.mark.main
def test_a_wrong_confirmation_sends_nothing(machine):
    before = tags()
    wrong = ["", "yes", "alpine:test", f"{TEST}2", "ghcr.io/megalotron/alpine"]
    again = ["r"] * (len(wrong) - 1) + ["q"]
    status, shown = walk(machine, "push-an-image", ANSWERS | {WRITE: [*wrong], FAILED: again})
    assert status == 1
    assert shown.count("nothing was sent") == len(wrong)
    assert added(before) == []
    assert [one["event"] for one in last(machine)[-len(wrong) :]] == ["refused"] * len(wrong)


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


@pytest.mark.main
def test_a_cell_that_was_edited_does_not_run(machine, notebook):
    before, text = tags(), machine / "notebooks" / "push-an-image.md"
    known, written = sources(machine, "push-an-image"), text.read_text()
    for name, change in EDITS.items():
        edit(machine, *change)
        edited = [one for one in sources(machine, "push-an-image") if one not in known]
        assert edited, name
        for source in edited:
            assert "no rehearsal has run this cell" in notebook(source), name
        assert records(machine)[0][-1]["event"] == "refused"
        text.write_text(written)
    assert added(before) == []
    assert not Path("/tmp/pwned").exists()


@pytest.mark.main
def test_a_text_that_was_edited_does_not_run_where_it_was(machine):
    before = tags()
    edit(machine, *EDITS["another-tag"])
    status, shown = walk(machine, "push-an-image")
    assert status == 1
    assert "no rehearsal has run this cell" in shown
    assert added(before) == []
    assert last(machine)[-1]["event"] == "refused"


def test_what_a_rehearsal_was_refused_to_write_is_asked_for_too(machine):
    before = tags()
    cells = scripts(machine, "use-in-production")
    wanted = ("read -rs TOKEN", "docker login", "docker import", "docker push")
    steps = ["" if any(word in cell for word in wanted) else "s" for cell in cells]
    answers = {STEP: steps, "<token of the server>: ": TOKEN, WRITE: "no"}
    status, shown = walk(machine, "use-in-production", ANSWERS | answers)
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


@pytest.mark.main
def test_a_kernel_without_its_guard_does_not_start(machine):
    before = tags()
    (machine / "notebooks" / "notes.md").write_text("---\njupyter: [\n---\n")
    status, shown = walk(machine, "push-an-image")
    assert status == 3
    assert "The kernel production does not start" in shown, shown
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


def failed(notebook, push):
    push.outputs = [nbformat.v4.new_output("error", ename="Wrong", evalue="refused", traceback=[])]


def ran_elsewhere(notebook, push):
    notebook.metadata.kernelspec.name = "production"


def never_ran(notebook, push):
    push.execution_count = None


def test_a_cell_that_failed_or_ran_elsewhere_was_not_rehearsed(machine):
    edit(machine, "docker push ghcr.io", "docker push --quiet ghcr.io")
    before = tags()
    for change in (failed, ran_elsewhere, never_ran):
        notebook = rehearse(machine, "push-an-image")
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        change(notebook, next(cell for cell in code if "docker push" in cell.source))
        jupytext.write(notebook, machine / "notebooks" / "push-an-image.ipynb")
        assert walk(machine, "push-an-image")[0] == 1, change
        assert added(before) == []
    rehearse(machine, "push-an-image")
    assert walk(machine, "push-an-image")[0] == 0
    assert added(before) == ["megalotron/alpine:test"]


def test_a_python_cell_that_was_rehearsed_runs(machine):
    cells = Runbook(machine / "notebooks" / "add-a-stack.md").text.code
    before = next(number for number, cell in enumerate(cells) if cell.script is None)
    shown = walk(machine, "add-a-stack", {STEP: [*["s"] * before, "", "q"]})[1]
    assert "Stack(title='Collector', name='collector')" in shown
    ran = [event["code"] for event in records(machine)[0] if event["event"] == "python"]
    assert ran == [cells[before].source.strip()]


def test_enters_that_were_typed_ahead_run_nothing_unread(machine):
    status, shown = walk(machine, "push-an-image", ANSWERS | {STEP: ["\n\n\nq", "q"]})
    assert status == 0
    assert len([event for event in records(machine)[0] if event["event"] == "cell"]) == 1, shown


def test_a_command_is_shown_whole_however_narrow_the_terminal(machine):
    status, shown = walk(machine, "push-an-image", {STEP: "s"}, COLUMNS="40")
    assert status == 0
    assert "--password-stdin" in shown


@pytest.mark.parametrize("said", ["true", "woodpecker"])
def test_ci_sends_nothing_even_where_somebody_answers(said, machine):
    before = tags()
    status, shown = walk(machine, "push-an-image", CI=said)
    assert status == 1
    assert "only a person may write to a registry" in shown
    assert STEP not in shown
    assert added(before) == []
    assert records(machine) == []


@pytest.mark.main
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
    assert "no one to ask" in done.stderr
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
    assert "there is no terminal" in done.stderr


def header(machine):
    return (machine / "notebooks" / "push-an-image.md").read_text().partition("\n---\n")[
        0
    ] + "\n---\n\n"


def test_a_push_that_is_interrupted_writes_nothing_and_goes_on_when_run_again(machine):
    before = tags()
    (machine / "notebooks" / "large.md").write_text(header(machine) + LARGE)
    rehearse(machine, "large")
    status, shown = walk(machine, "large", at="refers to repository", do=in_a_push(interrupt))
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


@pytest.mark.main
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


def page(machine, *cells):
    """Make `large` a page of these shell cells, as if a rehearsal had run them."""
    text = "\n".join(f"```bash{cell}\n```\n" for cell in cells)
    (machine / "notebooks" / "large.md").write_text(header(machine) + text)
    rehearse(machine, "large")


def test_secrets_of_the_environment_and_of_dockers_login_are_in_no_record(machine):
    page(machine, "\necho ${DB_PASS-} ${DATABASE_URL-} \nenv | grep AUTH_CONFIG")
    login = {"auths": {"broken": None, "ghcr.io": {"identitytoken": "planted-identity"}}}
    shown = walk(
        machine,
        "large",
        DB_PASS="planted-pass",
        DATABASE_URL="postgres://somebody:planted-url@db/x",
        DOCKER_AUTH_CONFIG=json.dumps(login),
    )[1]
    assert "*****" in shown
    assert "planted-" not in shown + str(records(machine))


def test_what_the_digest_command_says_is_recorded_without_secrets(machine):
    settings = machine / "pyproject.toml"
    said = settings.read_text().replace("megalotron-images digest --json", "ls $DB_PASS")
    settings.write_text(said)
    shown = walk(machine, "push-an-image", DB_PASS="planted-pass")[1]
    assert "cannot access '*****'" in str(records(machine))
    assert "planted-pass" not in shown + str(records(machine))


def test_a_cell_that_prints_too_much_goes_on_and_the_rest_is_not_recorded(machine):
    page(machine, "\nhead -c 3000000 /dev/zero | tr '\\0' a\ntouch done\nls done")
    status, shown = walk(machine, "large")
    assert status == 0
    assert "no longer shown or recorded: it printed more than 1 MB" in shown
    assert (machine / "notebooks" / "done").exists()
    (end,) = (event for event in records(machine)[0] if event["event"] == "end")
    assert 900_000 < len(end["output"]) <= 1_000_000


def test_a_kernel_that_dies_ends_the_run_at_once_with_one_line(machine):
    page(machine, "\nkill -9 $PPID")
    begin = time.monotonic()
    status, shown = walk(machine, "large")
    assert (status, time.monotonic() - begin < 30) == (3, True)
    assert "rehearsal: the kernel has died; " in shown


def test_the_records_are_for_their_owner_alone(machine):
    walk(machine, "push-an-image", ANSWERS | {STEP: "q"})
    walk(machine, "push-an-image", ANSWERS | {WRITE: ""})
    assert {oct(path.stat().st_mode & 0o777) for path in machine.glob("runs/*")} == {"0o600"}
    assert oct((machine / "runs").stat().st_mode & 0o777) == "0o700"


def large(machine):
    """Write and rehearse a page that pushes 40 MB."""
    (machine / "notebooks" / "large.md").write_text(header(machine) + LARGE)
    rehearse(machine, "large")


@pytest.mark.parametrize("do", [close_terminal, kill, terminate])
def test_what_a_lost_run_had_started_ends_and_is_recorded(do, machine):
    before = tags()
    large(machine)
    walk(machine, "large", at="refers to repository", do=in_a_push(do), closes=do is close_terminal)
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


def suspended(seconds):
    """Return a function that keeps the registry from answering for some seconds."""

    def act(pid, terminal):
        registry = registry_process()
        registry.suspend()
        threading.Timer(seconds, registry.resume).start()

    return act


def test_a_slow_registry_is_waited_for_in_words_and_on_record(machine):
    status, shown = walk(machine, "push-an-image", at="digest: sha256:", do=suspended(8))
    assert status == 0, shown
    assert "waiting for ghcr.io" in shown.lower()
    (after,) = [event["after"] for event in records(machine)[0] if event["event"] == "after"]
    assert after[TEST]["digest"].startswith("sha256:")


def interrupt_quickly(pid, terminal):
    for _ in range(4):
        os.write(terminal, b"\x03")
        time.sleep(0.3)


def test_a_push_that_is_interrupted_again_and_again_is_not_done(machine):
    before = tags()
    large(machine)
    status, shown = walk(
        machine, "large", at="refers to repository", do=in_a_push(interrupt_quickly)
    )
    assert status == 1, shown
    assert "It failed" in shown
    ended = last(machine)[-2:]
    assert [event["event"] for event in ended] == ["end", "after"]
    assert "well" not in ended[0]
    assert added(before) == []


def short(machine, *cells):
    """Write and rehearse a page with these cells."""
    (machine / "notebooks" / "short.md").write_text(header(machine) + "\n\n".join(cells) + "\n")
    rehearse(machine, "short")


@pytest.mark.main
def test_what_is_done_already_need_not_ask_again(machine):
    options = f"magic_args=\"--asked 'to write it: ' {TEST}\""
    short(machine, f"```bash {options}\necho done already\n```")
    status, shown = walk(machine, "short", ANSWERS | {"to write it:  ": TEST})
    assert status == 0, shown
    assert [event["well"] for event in last(machine) if event["event"] == "end"] == [True]


def stop_and_go_on(pid, terminal):
    """As a shell does with Ctrl-Z and fg: the terminal shows what is typed while it stands."""
    os.kill(pid, signal.SIGSTOP)
    modes = termios.tcgetattr(terminal)
    modes[3] |= termios.ECHO
    termios.tcsetattr(terminal, termios.TCSANOW, modes)
    time.sleep(0.3)
    os.kill(pid, signal.SIGCONT)
    end = time.monotonic() + 10
    while termios.tcgetattr(terminal)[3] & termios.ECHO and time.monotonic() < end:
        time.sleep(0.05)


def test_a_token_is_not_shown_after_a_stop_at_its_question(machine):
    question, said = "access token>: ", iter([TOKEN])
    answers = ANSWERS | {question: lambda: next(said, "")}  # once, though it is asked twice
    shown = walk(machine, "push-an-image", answers, at=question, do=stop_and_go_on)[1]
    assert shown.count(question) >= 2
    assert TOKEN not in shown


def test_a_run_whose_login_fails_can_be_continued_once_more(machine):
    cells = scripts(machine, "push-an-image")
    push = next(n for n, script in enumerate(cells) if "docker push" in script)
    walk(machine, "push-an-image", ANSWERS | {STEP: [*[""] * (push + 1), "q"]})
    asked = "continue without it, q stop: "
    answers = {asked: "q"} | ANSWERS | {"access token>: ": ""}
    status, shown = walk(machine, "push-an-image", answers, options=GOES_ON)
    assert (status, asked in shown) == (1, True), shown
    assert "without --continue" not in shown
    status, shown = walk(machine, "push-an-image", options=GOES_ON)
    assert status == 0, shown
    assert f"done: {cells[push]}" in shown


@pytest.mark.main
def test_each_stop_says_how_to_go_on_and_what_is_left(machine):
    cells = scripts(machine, "push-an-image")
    push = next(n for n, script in enumerate(cells) if "docker push" in script)
    shown = walk(machine, "push-an-image", ANSWERS | {STEP: [*[""] * (push + 1), "q"]})[1]
    assert "To continue: rehearsal run push-an-image --production --continue" in shown
    assert f"Record: {machine}/runs/" in shown
    digest = tags()[str(STORE / "megalotron/alpine/_manifests/tags/test/current/link")]
    assert f"Written: {TEST} ({digest})" in shown
    assert "Still stored on this machine: the login for ghcr.io (docker logout ghcr.io)" in shown


def test_before_an_undo_the_page_s_own_words_say_what_it_undoes(machine):
    shown = walk(machine, "push-an-image", ANSWERS | {UNDO: ""})[1]
    said = "Log out, so that the token is no longer stored on this machine:"
    assert f"Undo starts here: {said}" in " ".join(shown.split())


def test_help_the_list_and_an_unknown_key_are_answered(machine):
    steps = ["", "?", "l", "x", "q"]
    shown = walk(machine, "push-an-image", ANSWERS | {STEP: steps})[1]
    assert "Enter  run the step" in shown
    assert re.search(r" 1 done +docker pull alpine", shown)
    assert re.search(r" 2 not yet +docker image inspect alpine", shown)
    assert re.search(r"'x' is not a choice:\r?\n  Enter", shown)
    assert "NOTE:" in shown
    assert "[!NOTE]" not in shown
    assert "Stopped: 1 of " in shown


def test_a_placeholder_offers_what_the_command_before_printed(machine):
    lines = ("version:", "  offers-output: true", "  what: The version", "  rehearsal: v1")
    table = "".join(f"      {line}\n" for line in lines)
    text = header(machine).replace("placeholders:\n", f"placeholders:\n{table}")
    for page in machine.glob("notebooks/*.md"):
        page.unlink()
    (machine / "notebooks" / "short.md").write_text(
        f"{text}```bash\necho v1.2.3\n```\n\n```bash\necho chosen <version>\n```\n"
    )
    rehearse(machine, "short")
    status, shown = walk(machine, "short", {STEP: "", "[v1.2.3, Enter takes it]: ": ""})
    assert status == 0, shown
    assert "chosen v1.2.3" in shown


def test_a_home_that_cannot_be_written_to_does_not_end_the_run(machine):
    docker = str(Path.home() / ".docker")
    status, shown = walk(machine, "push-an-image", HOME="/proc", DOCKER_CONFIG=docker)
    assert status == 0, shown
    assert "Traceback" not in shown


def test_a_record_of_one_s_choice_is_continued_and_all_are_listed(machine):
    def listed():
        command = [BIN / "rehearsal", "runs"]
        return subprocess.check_output(command, cwd=machine, text=True)

    assert listed() == "No production run is on record yet.\n"
    walk(machine, "push-an-image", ANSWERS | {STEP: ["", "q"]})
    (older,) = machine.glob("runs/*")
    future = older.with_name("29990101T000000.000Z-1-push-an-image.jsonl")
    future.write_text(older.read_text())
    assert listed().splitlines() == [f"{older}: stopped", f"{future}: stopped"]
    shown = walk(machine, "push-an-image", {STEP: "q"}, options=["--continue", str(older)])[1]
    assert f"Continuing {older.name}" in shown


OUTLIVES = """```bash
docker pull --quiet alpine
```

```bash
python3 - <<END
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.fork() or (os.setsid(), os.execlp("sleep", "sleep", "977"))
print("it", "waits", flush=True)
time.sleep(978)
END
docker tag alpine lost:went-on
```
"""


@pytest.mark.parametrize("do", [close_terminal, kill])
def test_of_a_lost_run_nothing_outlives_and_nothing_follows(do, machine):
    (machine / "notebooks" / "large.md").write_text(header(machine) + OUTLIVES)
    rehearse(machine, "large")
    walk(machine, "large", at="it waits", do=do)
    end = time.monotonic() + 30
    while records(machine)[0][-1]["event"] != "lost" and time.monotonic() < end:
        time.sleep(0.1)
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
    assert not [one for one in commands if b"sleep\0977" in one or b"python3\0-\0" in one]
    tagged = subprocess.run(["docker", "image", "inspect", "lost:went-on"], check=False)
    assert tagged.returncode != 0


@pytest.mark.main
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


@pytest.mark.main
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


def test_a_run_that_went_on_and_was_stopped_again_goes_on_where_it_was(machine):
    cells = scripts(machine, "push-an-image")
    push = next(n for n, script in enumerate(cells) if "docker push" in script)
    walk(machine, "push-an-image", ANSWERS | {STEP: [*[""] * (push + 1), "q"]})
    walk(machine, "push-an-image", ANSWERS | {STEP: ["q"]}, options=GOES_ON)
    status, shown = walk(machine, "push-an-image", options=GOES_ON)
    assert status == 0, shown
    assert f"done: {cells[push]}" in shown
    assert not [event for event in records(machine)[2] if event["event"] == "confirmed"]


def test_nobody_goes_on_with_a_run_at_which_somebody_still_is(machine):
    second = []

    def go_on_elsewhere():
        second.append(walk(machine, "push-an-image", options=GOES_ON))
        return TEST

    assert walk(machine, "push-an-image", ANSWERS | {WRITE: go_on_elsewhere})[0] == 0
    ((status, shown),) = second
    assert status == 1
    assert "has not ended; it is open in another terminal or JupyterLab" in shown
    (_, of_second) = sorted(records(machine), key=len, reverse=True)
    assert [event["event"] for event in of_second] == ["start", "stop", "closed"]


def test_a_cell_that_was_skipped_does_not_run_when_the_run_goes_on(machine):
    cells = scripts(machine, "push-an-image")
    export = next(n for n, script in enumerate(cells) if script.startswith("export"))
    steps = [*[""] * export, "s", "q"]
    assert walk(machine, "push-an-image", ANSWERS | {STEP: steps})[0] == 0
    shown = walk(machine, "push-an-image", ANSWERS | {STEP: "q"}, options=GOES_ON)[1]
    assert f"skipped: {cells[export]}" in shown
    assert "again, for what it sets" not in shown


def test_values_are_changed_in_a_run_that_goes_on_too(machine):
    cells = scripts(machine, "push-an-image")
    login = next(n for n, script in enumerate(cells) if "docker login" in script)
    walk(machine, "push-an-image", ANSWERS | {STEP: [*[""] * login, "q"]})
    answers = {
        "access token>: ": "practice-token-wrong",
        FAILED: ["v", "r"],
        "access token> [kept, Enter keeps it]: ": TOKEN,
        "username> [octocat, Enter keeps it]: ": "",
    }
    status, shown = walk(machine, "push-an-image", ANSWERS | answers, options=GOES_ON)
    assert status == 0, shown


def test_a_run_does_not_go_on_unasked_where_nobody_can_say_what_the_tag_names(machine):
    settings = machine / "pyproject.toml"
    settings.write_text(
        settings.read_text().replace("megalotron-images digest --json", "no-such-program digest")
    )
    cells = scripts(machine, "push-an-image")
    push = next(n for n, script in enumerate(cells) if "docker push" in script)
    walk(machine, "push-an-image", ANSWERS | {STEP: [*[""] * (push + 1), "q"]})
    answers = ANSWERS | {"continue anyway, [Enter] stop here: ": ""}
    assert walk(machine, "push-an-image", answers, options=GOES_ON)[0] == 1


@pytest.mark.main
def test_a_run_does_not_go_on_unasked_where_somebody_has_moved_the_tag(machine):
    cells = scripts(machine, "push-an-image")
    push = next(n for n, script in enumerate(cells) if "docker push" in script)
    walk(machine, "push-an-image", ANSWERS | {STEP: [*[""] * (push + 1), "q"]})
    shutil.rmtree(STORE / "megalotron" / "alpine" / "_manifests" / "tags" / "test")
    status, shown = walk(
        machine,
        "push-an-image",
        ANSWERS | {"continue anyway, [Enter] stop here: ": ""},
        options=GOES_ON,
    )
    assert status == 1
    assert "at the end of that run: find out who has written it" in shown
    assert "docker image inspect" not in str(records(machine)[1])
    status, shown = walk(
        machine,
        "push-an-image",
        ANSWERS | {"continue anyway, [Enter] stop here: ": "g"},
        options=GOES_ON,
    )
    assert "g continue anyway" in shown
    assert "PRODUCTION: [Enter] run" in shown
    assert f"Step {push + 2} of " in shown
    assert "Step 1 of " not in shown


def test_a_secret_of_three_letters_is_not_on_record(machine):
    shown = walk(machine, "push-an-image", ANSWERS | {"access token>: ": "abc"})[1]
    assert "kept" not in shown
    assert '"abc"' not in "".join(path.read_text() for path in machine.glob("runs/*"))


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


@pytest.mark.main
def test_nothing_runs_behind_a_word_about_the_run(machine, notebook):
    before = tags()
    behind = "open('/tmp/pwned', 'w')\nprint('ran')"
    assert "no rehearsal has run this cell" in notebook(f"%rehearsal_run values\n{behind}")
    for separator in ("\r", "\x0c", "\u2028"):  # Python's lines end there too
        assert "no rehearsal has run" in notebook(f"%rehearsal_run values{separator}print('ran')")
    for word in ("%rehearsal_run {print('ran')}", "%%rehearsal_run {print('ran')}\n"):
        assert "no rehearsal has run" in notebook(word)  # IPython would work it out
    assert "ran" not in notebook(f"%%rehearsal_run skip\n{behind}")
    assert not Path("/tmp/pwned").exists()
    assert added(before) == []


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
    assert "no cell has failed" in notebook("%rehearsal_run skip")
    assert "alpine@sha256:" in notebook(cells[push + 1])
    assert "%rehearsal_run undo is unknown; there is skip, values" in notebook(
        "%rehearsal_run undo"
    )
    (record,) = records(machine)
    assert [event["event"] for event in record if event["event"] == "skip"] == ["skip"]


@pytest.fixture
def page_with_python(machine):
    text = "```python\nopen('here').read()\n```\n\n```bash\necho done\n```\n"
    (machine / "notebooks" / "large.md").write_text(header(machine) + text)
    rehearse(machine, "large")


def test_in_jupyterlab_a_failed_cell_of_python_comes_first_too(machine, page_with_python, notebook):
    assert "No such file" in notebook("open('here').read()")
    assert "the cell that failed comes first" in notebook("%%bash\necho done")
    (machine / "notebooks" / "here").write_text("")
    notebook("open('here').read()")
    assert notebook("%%bash\necho done").endswith("done\n")


def told(shell, script, *answers):
    """Return what a script prints in a shell."""
    out = bytearray()
    shell.run(Filled(script, ((0, script),), {}), out.extend, values={}, answers=answers)
    return out.decode()


STATES = {
    "separators": ("IFS=,", 'printf %q "$IFS"'),
    "no-separators": ("unset IFS", "echo ${IFS-none}"),
    "folder-before": ("cd /usr; cd /etc", "cd -"),
    "array": ("declare -A a=(['x y']=$'1\\n2'); b=(); readonly c=1", "declare -p a b c"),
    "bytes": ("x=$'\\xff\\n'; export y=$x$x", 'printf %s "$x$y" | od -c'),
    "mask": ("umask 027", "umask"),
}


@pytest.mark.parametrize(("sets", "says"), STATES.values(), ids=STATES)
def test_a_shell_is_made_whole(sets, says):
    first = Shell()
    told(first, sets)
    state, said = first.state(), told(first, says)
    first.close()
    second = Shell(state=state)
    try:
        assert told(second, says) == said
    finally:
        second.close()


def test_no_cell_runs_in_another_folder_than_the_one_that_is_gone(tmp_path):
    first = Shell()
    told(first, f"mkdir {tmp_path}/gone; cd {tmp_path}/gone; rmdir {tmp_path}/gone")
    state = first.state()
    first.close()
    second = Shell(state=state)
    with pytest.raises(Wrong, match="ended with status 1"):
        told(second, "pwd")
    second.close()


@pytest.fixture
def shell():
    shell = Shell()
    yield shell
    shell.close()


def test_who_reads_on_after_the_last_answer_finds_the_end(shell):
    script = 'read -rp "Name: " n\nx=$(cat)\ny=$(cat)\necho "[$n$x$y]"'
    assert told(shell, script, Answer("Name: ", "me")) == "Name: me\n[me]\n"


def test_a_question_that_does_not_come_is_told_before_the_cells_time_is_over():
    shell = Shell(patience=1)
    with pytest.raises(Wrong, match=r"for 1 s .* `Token: `.*before the cursor is `Name:`"):
        told(shell, "read -rp 'Name: ' name", Answer("Token: ", "me"))
    shell.close()


def test_a_program_that_looks_for_a_terminal_of_its_own_asks_where_it_is_seen(shell):
    script = "python3 -c 'import getpass; print(len(getpass.getpass()))'"
    assert told(shell, script, Answer("Password: ", "four", secret=True)) == "Password: \n4\n"


@pytest.mark.parametrize("text", ["a\x03b", "a\x04b", "a\x16b", "a\nb", "a" * 5000])
def test_what_a_terminal_does_not_take_as_it_is_is_not_typed(text, shell):
    with pytest.raises(Wrong, match="it was not typed"):
        told(shell, 'read -rsp "Token: " t', Answer("Token: ", text, secret=True))


def test_a_shell_that_was_killed_between_two_cells_is_a_failure_of_the_second(shell):
    os.kill(shell.process, signal.SIGKILL)
    time.sleep(0.2)
    with pytest.raises(Wrong, match="ended with status 137"):
        told(shell, "echo")


def test_a_shell_whose_end_is_interrupted_is_broken(shell, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Shell, "_kill", lambda *_: signal.raise_signal(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            shell.fail("it failed.")
    assert shell.broken == "it failed."
