"""What verify must notice before and while a notebook runs; each with a pair that it must let
pass.
"""

import json
import re
import sys
import time
from pathlib import Path

import jupytext
import nbformat
import pexpect
import pytest

from conftest import ORDINARY_USER, ROOT, rehearsal
from rehearsal.errors import CannotCheck
from rehearsal.runbook import execute
from rehearsal.runbook.model import Runbook
from rehearsal.settings import load_settings

HEADER = """---
jupyter:
  kernelspec:
    display_name: Rehearsal (sealed room)
    language: python
    name: rehearsal
---

"""
SPECIMENS = ROOT / "tests" / "specimens" / "notebooks"
REHEARSAL = str(Path(sys.executable).parent / "rehearsal")


def write_pair(folder, name, body, *, executed=True, change=None, header=HEADER):
    """Write a text and its executed notebook, as if each cell had run and printed nothing."""
    (folder / f"{name}.md").write_text(header + body)
    notebook = jupytext.read(folder / f"{name}.md")
    for number, cell in enumerate(cell for cell in notebook.cells if cell.cell_type == "code"):
        cell.execution_count = number + 1 if executed else None
    if change:
        change(notebook)
    nbformat.write(notebook, folder / f"{name}.ipynb")


def header_of(body):
    """Return a header with what a specimen says that it leaves."""
    said = re.search(r"<!-- leaves: (.*) -->", body)
    leaves = f"  rehearsal: {{leaves: [{said[1]}]}}\n" if said else ""
    return HEADER.replace("\n---\n\n", f"\n{leaves}---\n\n")


def verified(project, name="push-an-image"):
    done = rehearsal("verify", name, cwd=project)
    assert "Traceback" not in done.stdout + done.stderr
    return done


def test_the_runbook_holds(project):
    done = verified(project)
    assert done.returncode == 0, done.stdout
    assert re.search(
        r"Verified on Docker [\d.]+ with .+: 1 notebook, 11 cells, \d+ commands, [\d.]+ s",
        done.stdout,
    )


def verified_specimens(project, pattern):
    """Verify specimens in one run, each in a room of its own; return the run and their texts."""
    bodies = {path.stem.partition(".")[0]: path.read_text() for path in SPECIMENS.glob(pattern)}
    for name, body in bodies.items():
        write_pair(project / "notebooks", name, body, header=header_of(body))
    return rehearsal("verify", *bodies, cwd=project, seconds=300), bodies


def test_specimens_that_pass(project):
    done, bodies = verified_specimens(project, "*.passes.md")
    assert done.returncode == 0, done.stdout
    assert f": {len(bodies)} notebooks," in done.stdout


def test_each_specimen_that_fails_is_told_for_its_reason(project):
    done, bodies = verified_specimens(project, "*.fails.md")
    assert done.returncode == 1
    reasons = {name: re.search("<!-- because: (.*) -->", body)[1] for name, body in bodies.items()}
    lines = done.stdout.splitlines()
    missed = {
        name: why
        for name, why in reasons.items()
        if not any(line.startswith(f"{name}: ") and why in line for line in lines)
    }
    assert missed == {}, done.stdout


@pytest.mark.parametrize("verb", ["verify", "refresh", "run"])
def test_all_that_cells_may_not_hold_is_told_by_page_and_line_before_a_room_is_opened(
    verb, project
):
    body = "```bash\nfalse || true\n\necho <your token>\n```\n\n```bash\nsleep 1 &\nset +e\n```\n"
    write_pair(project / "notebooks", "specimen", body)
    done = rehearsal(verb, "specimen", cwd=project)
    first = HEADER.count("\n") + 2
    said = done.stderr.splitlines()
    assert done.returncode == 1
    assert said[0] == "rehearsal: 4 parts of cells refused, so nothing was run:"
    lines = {line.partition(": ")[0] for line in said[1:]}
    assert lines == {f"specimen.md:{first + n}" for n in (0, 2, 6, 7)}
    assert f"specimen.md:{first}: `false || true`: `||` hides a failure" in done.stderr


def test_a_cell_that_was_never_executed(project):
    write_pair(project / "notebooks", "specimen", "```bash\ntest 1 = 1\n```\n", executed=False)
    done = verified(project, "specimen")
    assert done.returncode == 1
    assert "specimen: cell «test 1 = 1»: was never executed" in done.stdout


def test_an_executed_notebook_that_is_missing(project):
    (project / "notebooks" / "push-an-image.ipynb").unlink()
    done = verified(project)
    assert done.returncode == 1
    assert "does not exist: run `rehearsal refresh push-an-image`" in done.stdout


def test_a_changed_text_beside_an_unchanged_notebook(project):
    text = project / "notebooks" / "push-an-image.md"
    text.write_text(text.read_text().replace("Pull `alpine`", "Fetch `alpine`"))
    done = verified(project)
    assert done.returncode == 1
    assert "have drifted" in done.stdout


def test_a_changed_output_is_told_with_notebook_cell_line_and_both_texts(project):
    executed = project / "notebooks" / "push-an-image.ipynb"
    notebook = json.loads(executed.read_text())
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", ())]
    output = next(output for output in outputs if "Login Succeeded\n" in output["text"])
    line = output["text"].index("Login Succeeded\n") + 1
    output["text"][line - 1] = "Login Failed\n"
    executed.write_text(json.dumps(notebook))
    done = verified(project)
    assert done.returncode == 1
    cell = "echo $GHCR_PAT | docker login ghcr.io -u <your GH username> --password-stdin"
    assert f"push-an-image: cell «{cell}»: line {line} of its output" in done.stdout
    assert "expected `Login Failed`, came `Login Succeeded`" in done.stdout


def test_a_digest_that_is_not_the_images_shows_though_digests_are_masked(project):
    executed = project / "notebooks" / "push-an-image.ipynb"
    notebook = json.loads(executed.read_text())
    cell = next(
        cell
        for cell in notebook["cells"]
        if "RepoDigests" in "".join(cell["source"]) and cell.get("outputs")
    )
    cell["outputs"][0]["text"] = [
        re.sub(r"sha256:.{64}", "sha256:" + "0" * 64, cell["outputs"][0]["text"][0])
    ]
    executed.write_text(json.dumps(notebook))
    assert verified(project).returncode == 1


def test_a_tag_that_would_switch_the_check_off(project):
    tags = ("nbval-skip", "nbval-ignore-output", "raises-exception", "skip-execution")

    def change(notebook):
        for cell, tag in zip(notebook.cells, tags, strict=True):
            cell.metadata["tags"] = [tag]

    cells = (f'```bash tags=["{tag}"]\ntest {tag} != other\n```\n' for tag in tags)
    write_pair(project / "notebooks", "specimen", "\n".join(cells), change=change)
    done = verified(project, "specimen")
    assert done.returncode == 1
    for tag in tags:
        assert f"has the tag {tag}" in done.stdout


def test_a_declared_placeholder_that_no_cell_uses(project):
    for path in (project / "notebooks").glob("push-an-image.*"):
        path.write_text(path.read_text().replace("-u <your GH username>", "-u octocat"))
    done = verified(project)
    assert done.returncode == 1
    assert "declares <your GH username>, which no cell uses" in done.stdout


def test_a_mask_that_matches_nothing_is_a_problem(project):
    with open(project / "notebooks" / "masks.toml", "a") as masks:
        masks.write(
            '[[mask]]\nname = "idle"\nkind = "line"\npattern = "idle"\nexample = "idle"\nreason ='
            ' "none"\n'
        )
    done = rehearsal("verify", cwd=project)
    assert done.returncode == 1
    assert "masks: «idle» matches no output of any notebook" in done.stdout


def test_a_cell_that_needs_root_says_so_to_an_ordinary_user(project):
    write_pair(project / "notebooks", "specimen", (SPECIMENS / "container.passes.md").read_text())
    done = rehearsal("verify", "specimen", cwd=project, before=ORDINARY_USER)
    assert done.returncode == 3
    assert "specimen: cell «docker pull -q alpine > /dev/null»: This cell needs root" in done.stdout


AFTER_ROOT = """```bash magic_args="--root"
docker pull -q alpine > /dev/null
```

```bash
docker image ls -q | wc -l
docker image rm alpine > /dev/null
```
"""


def test_what_follows_from_a_cell_that_needs_root_is_not_called_a_difference(project):
    def record(notebook):
        notebook.cells[1].outputs = [nbformat.v4.new_output("stream", name="stdout", text="1\n")]

    write_pair(project / "notebooks", "specimen", AFTER_ROOT, change=record)
    assert rehearsal("verify", "specimen", cwd=project).returncode == 0
    done = rehearsal("verify", "specimen", cwd=project, before=ORDINARY_USER)
    assert done.returncode == 3
    assert "expected" not in done.stdout
    assert "Cells not checked, after a failed one: 1." in done.stdout


def test_the_runbook_holds_for_an_ordinary_user(project):
    done = rehearsal("verify", cwd=project, before=ORDINARY_USER)
    assert done.returncode == 0, done.stdout


def test_a_run_that_compared_fewer_cells_than_the_notebooks_hold(project, monkeypatch):
    monkeypatch.setattr(execute, "run", lambda notebooks: execute.Outcome())
    with pytest.raises(CannotCheck, match="nbval ran 0 cells, but the notebooks hold 11"):
        execute.verify(load_settings(project), [Runbook(project / "notebooks/push-an-image.md")])


def test_several_notebooks_are_verified_at_once_each_in_its_own_room(project):
    body = "```bash\ntest ! -e mine\ntouch mine\n```\n\n```bash\nrm mine\ntest ! -e mine\n```\n"
    for number in range(3):
        write_pair(project / "notebooks", f"one-{number}", body)
    done = rehearsal("verify", cwd=project)
    assert done.returncode == 0, done.stdout
    assert ": 4 notebooks, 17 cells" in done.stdout


@pytest.mark.parametrize("verb", ["verify", "refresh"])
def test_a_kernel_that_dies_is_reported_within_seconds_in_one_line(verb, project):
    write_pair(project / "notebooks", "specimen", "```bash\necho a\nkill -9 $PPID\n```\n")
    begin = time.monotonic()
    done = rehearsal(verb, "specimen", cwd=project)
    assert (done.returncode, time.monotonic() - begin < 30) == (3, True)
    lines = (done.stdout + done.stderr).splitlines()
    assert len([line for line in lines if "cell «echo a»: the kernel has died; " in line]) == 1
    assert not [line for line in lines if "ended with status" in line]


def test_a_kernel_that_dies_while_a_person_steps_through_is_reported_in_one_line(project):
    write_pair(project / "notebooks", "specimen", "```bash\necho a\nkill -9 $PPID\n```\n")
    walk = pexpect.spawn(REHEARSAL, ["run", "specimen"], cwd=project, encoding="utf-8", timeout=90)
    walk.expect_exact("[Enter] run, ")
    time.sleep(0.5)  # what is typed before the question is dropped
    walk.sendline()
    walk.expect(pexpect.EOF)
    walk.close()
    said = [line for line in walk.before.splitlines() if "kernel" in line]
    assert (len(said), walk.exitstatus) == (1, 3), walk.before
    assert said[0].startswith("rehearsal: the kernel has died; ")


def test_what_a_cell_printed_does_not_steer_the_terminal(project):
    body = "```bash\nprintf '\\033[2Jgone\\n'\n```\n"
    write_pair(project / "notebooks", "specimen", body)
    done = verified(project, "specimen")
    assert r"expected the end, came `\x1b[2Jgone`" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr


def test_a_long_output_of_python_is_refused_and_not_compared(project):
    write_pair(project / "notebooks", "specimen", "```python\nprint('y\\n' * 2_000_000)\n```\n")
    done = verified(project, "specimen")
    assert ": it printed more than 1 MB: " in done.stdout
