"""Nothing is passed over in silence: a file or a block that would not be run is said, with its
place.
"""

import json
import os

import pytest
from markdown import markdown
from mkdocs.config import load_config

from conftest import ROOT
from rehearsal.cell.production.record_page import fence
from rehearsal.errors import CannotCheck
from rehearsal.runbook.lint import list_unrun_files, problems
from rehearsal.runbook.model import Cell, Runbook
from rehearsal.runbook.unrun_blocks import unrun_blocks, unshown_outputs
from rehearsal.settings import load_settings

HEADER = (
    "---\njupyter:\n  kernelspec: {display_name: R, language: python, name: rehearsal}\n---\n\n"
)
CELL = "```bash\necho hi\n```\n"


def told(tmp_path, body):
    path = tmp_path / "page.md"
    path.write_text(HEADER + body)
    return [*unrun_blocks(Runbook(path))]


@pytest.mark.parametrize(
    "language", ["shell", "sh", "zsh", "console", "sh-session", "terminal", "rust", "bashh"]
)
def test_a_fence_that_looks_like_commands_and_is_no_cell(tmp_path, language):
    said = told(tmp_path, f"{CELL}\n```{language}\ndocker ps\n```\n")
    assert said == [
        f"line 10: this {language} block is not run: write ```bash at the beginning of a line, or"
        " ```text for text that is not typed"
    ]


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ("- do this:\n\n  ```bash\n  docker ps\n  ```\n", "line 8: this bash block"),
        ("> ```bash\n> docker ps\n> ```\n", "line 6: this bash block"),
        ("~~~bash\ndocker ps\n~~~\n", "line 6: this bash block"),
        ("- run:\n\n  ```python\n  1 + 1\n  ```\n", "line 8: this python block"),
        ("Run this:\n\n    docker ps\n", "line 8: an indented block"),
        ("<pre><code>docker ps</code></pre>\n", "line 6: a block of HTML"),
        ("```bash\necho a\x01b\n```\n", "line 7: holds a control character"),
        (f"```bash\n: {'x' * 400_000}\n```\n", "line 7: has 400002 characters"),
        ("```\ndocker ps\n```\n", "line 6: this unnamed block"),
        ("```{.bash .copy}\ndocker ps\n```\n", "line 6: this {.bash block"),
        ("```bash,ignore\ndocker ps\n```\n", "line 6: this bash,ignore block"),
        ("```PowerShell\ndocker ps\n```\n", "line 6: this powershell block"),
        ("```pwsh\ndocker ps\n```\n", "line 6: this pwsh block"),
        ("```py\n1 + 1\n```\n", "line 6: this py block"),
        ("```python .noeval\n1 + 1\n```\n", "line 6: this python block"),
        ('??? note "x"\n    ```bash\n    docker ps\n    ```\n', "line 6: a block within a paragr"),
        ("Run <pre>docker ps</pre>\n", "line 6: a block within a paragraph"),
        ("<PRE>docker ps</PRE>\n", "line 6: a block of HTML"),
        ("<code>\ndocker ps\n</code>\n", "line 6: a block of HTML"),
        (f"{'> ' * 50}```bash\n{'> ' * 50}docker ps\n", "line 6: this bash block"),
        ("```bash\necho \u202eb\n```\n", "line 7: holds a control character"),
        ("a\u200bb\n", "line 6: holds a control character"),
        ("<!-- #raw -->\ndocker ps\n<!-- #endraw -->\n", "«docker ps» is a raw cell"),
        ("```bash magic_args=--fails 1\nfalse\n```\n", "«magic_args=--fails 1» behind a fence"),
        ("```bash --fails 1\nfalse\n```\n", "«--fails 1» behind a fence"),
        ("```bash fails=1\nfalse\n```\n", "«fails» behind a fence"),
    ],
)
def test_a_block_that_is_no_cell(tmp_path, body, word):
    (said,) = told(tmp_path, f"{body}\n```bash\ntrue\n```\n")
    assert said.startswith(word)


@pytest.mark.parametrize(
    "body",
    [
        CELL,
        "```bash\n```\n",
        '```bash magic_args="--fails 1"\nfalse\n```\n',
        "```text\n$ docker ps\n```\n",
        "```yaml\na: 1\n```\n\n- a list\n\n  with a second paragraph\n",
        "```bash\ncat <<-EOF\n\tx\n\tEOF\n```\n",
        "```python\nprint(1)\n```\n",
        "```text title=sh\n$ x\n```\n\nThe `sh` and `` `a` `` of <code>b</code>.\n",
        "````bash\ncat <<'E'\n```sh\nx\n```\nE\n````\n",
        "```bash\ntrue\n```\n\n\nTwo blank lines before.\n",
        "```bash\ntrue\n```\nNo blank line before.\n",
    ],
)
def test_a_block_that_runs_or_is_no_command(tmp_path, body):
    assert told(tmp_path, f"{body}\n{CELL}") == []


def test_a_page_without_a_cell(tmp_path):
    (said,) = told(tmp_path, "# Only text\n")
    assert said.startswith("has no cell, so nothing of it is run")


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ("leves: [x]", "`rehearsal` must not contain {'leves'} properties"),
        ("leaves: image x", "`rehearsal`.leaves must be array"),
        ("placeholders: [x]", "`rehearsal`.placeholders must be object"),
        ("placeholders: {x: {what: X}}", "`rehearsal`.placeholders.x must contain ['rehearsal']"),
        ("placeholders: {x: {what: X, rehearsal: }}", "x.rehearsal must be string or number"),
    ],
)
def test_a_header_that_declares_what_it_cannot(project, header, why):
    path = project / "notebooks" / "push-an-image.md"
    path.write_text(HEADER.replace("\n---\n\n", f"\n  rehearsal: {{{header}}}\n---\n\n") + CELL)
    (problem,) = problems(Runbook(path), load_settings(project))
    assert problem.what.startswith("The header is not understood: ")
    assert why in problem.what


@pytest.mark.parametrize("change", [{"source": None}, {"source": 3}, {"execution_count": "a"}])
def test_a_notebook_that_is_none(project, change):
    path = project / "notebooks" / "push-an-image.ipynb"
    content = json.loads(path.read_text())
    next(cell for cell in content["cells"] if cell["cell_type"] == "code").update(change)
    path.write_text(json.dumps(content))
    with pytest.raises(CannotCheck, match=r"push-an-image.ipynb cannot be read as a notebook"):
        problems(Runbook(path.with_suffix(".md")), load_settings(project))


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("none")])
def test_what_has_a_text_s_name_and_is_no_file(project, make):
    make(project / "notebooks" / "page.md")
    (problem,) = list_unrun_files(load_settings(project))
    assert "is not run" in problem.what


def test_a_link_to_a_folder(project):
    (project / "notebooks" / "more").symlink_to(project)
    (problem,) = list_unrun_files(load_settings(project))
    assert "is not run" in problem.what


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("bom.md", b"\xef\xbb\xbf" + (HEADER + CELL).encode()),
        ("below/page.md", (HEADER + CELL).encode()),
        ("below/page.ipynb", b"{}"),
        ("plain.md", CELL.encode()),
        ("open.md", ("---\njupyter: {}\n\n" + CELL).encode()),
        ("other.md", ("---\ntitle: x\n---\n" + CELL).encode()),
        ("lone.ipynb", b"{}"),
        ("my page.md", (HEADER + CELL).encode()),
        ("page[1].md", (HEADER + CELL).encode()),
        ("a:b.md", (HEADER + CELL).encode()),
        ("page.markdown", (HEADER + CELL).encode()),
        ("page.MD", (HEADER + CELL).encode()),
        ("page.Rmd", (HEADER + CELL).encode()),
        ("page.IPYNB", b"{}"),
    ],
)
def test_a_file_that_nobody_would_run(project, name, content):
    path = project / "notebooks" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    (problem,) = list_unrun_files(load_settings(project))
    assert problem.notebook == name
    assert problem.what.startswith("is not run: a runbook is NAME.md")


def test_a_tab_survives_on_the_page():
    """A heredoc that begins with <<- needs it."""
    config = load_config(str(ROOT / "mkdocs.yml"))
    text = fence("cat <<-EOF\n\ta\n\tEOF", " { .bash .nb-in }")
    html = markdown(
        text, extensions=config.markdown_extensions, extension_configs=config.mdx_configs
    )
    assert html.count("\t") == 2


@pytest.mark.parametrize(
    ("output", "word"),
    [
        ({"data": {"text/plain": "<IPython.core.display.HTML object>", "text/html": "x"}}, "HTML"),
        ({"text": "x" * 400_000}, "400000 characters"),
        ({"data": {"text/html": "<b>x</b>"}}, "HTML"),
        ({"data": {"application/json": {"a": 1}}}, "HTML"),
        ({"data": {"text/plain": "<IPython.lib.display.IFrame at 0x1>"}}, "HTML"),
        (
            {"data": {"text/plain": "Button()", "application/vnd.jupyter.widget-view+json": {}}},
            "HTM",
        ),
    ],
)
def test_an_output_that_no_page_shows(output, word):
    (said,) = unshown_outputs(Cell("code", "1", outputs=(output,)))
    assert word in said


def test_ids_that_are_missing_or_double_are_no_matter(project, recwarn):
    runbook = project / "notebooks" / "push-an-image.ipynb"
    text = runbook.read_text()
    for line in {one for one in text.splitlines() if '"id":' in one}:
        text = text.replace(line, '   "id": "same",')
    runbook.write_text(text)
    found = problems(Runbook(runbook.with_suffix(".md")), load_settings(project))
    assert found == []
    assert not recwarn.list
