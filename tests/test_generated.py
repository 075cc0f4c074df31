"""What is generated stands in the pages themselves, and is up to date; links lead somewhere."""

import re
import subprocess
import sys

import pytest
from docs.generate import tables
from markdown_it import MarkdownIt

from conftest import ROOT
from rehearsal.cell import magic
from rehearsal.cell.production import guard
from rehearsal.room import engine

TEXTS = sorted(
    path for folder in (".", "docs", "notebooks") for path in (ROOT / folder).glob("*.md")
)
KNOWN = {magic.PRODUCTION, guard.NOTEBOOK, engine.NAME_VARIABLE, engine.STORE_VARIABLE}
READ = re.compile(r"""environ(?:\.get\(|\[|\.pop\()\s*"([A-Z_]+)"|for name in \("([A-Z]+)",\)""")


def generate(folder):
    command = [sys.executable, "-m", "docs.generate", "--check"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_what_is_generated_is_up_to_date():
    done = generate(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_page_has_an_empty_place_of_something_generated():
    for path in TEXTS:
        text = path.read_text()
        assert text.count("<!-- generated: ") == text.count("<!-- end -->")
        for block in re.findall(r"<!-- generated: \w+ -->(.*?)<!-- end -->", text, re.DOTALL):
            assert block.strip(), path


def test_the_table_of_variables_names_each_that_is_read():
    table = (ROOT / "docs" / "settings.md").read_text()
    sources = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    names = {name for match in READ.finditer(sources) for name in match.groups() if name}
    assert names >= {"CI", "DOCKER_HOST"}
    assert [name for name in sorted(names | KNOWN) if f"| `{name}` |" not in table] == []


def published(page):
    text = (ROOT / page).read_text()
    block = re.search(r"<!-- generated: tags -->(.*?)<!-- end -->", text, re.DOTALL)[1]
    return dict(re.findall(r"^\| (.*?) \| (.*?) \|$", block, re.MULTILINE)[2:])


@pytest.mark.parametrize("page", ["docs/process.md", "notebooks/automate-a-stack.md"])
def test_the_table_of_pushes_says_what_the_workflow_beside_it_does(page):
    found = published(page)
    assert found["push to `main`"] == "`main`"
    assert found["push of the git tag `v1.5.1`"] == "`v1.5.1`"
    assert found["a pull request"].endswith("it is built only")
    assert found["push of the git tag `v1.5`"].endswith("the run fails")
    for what in ("push to any other branch", "push of the git tag `latest`", "a timer"):
        assert found[what] == "nothing: no run starts"


def test_the_table_of_pushes_follows_the_workflow(monkeypatch):
    starts = {"push": {"branches": ["dev"], "tags": ["*"]}, "workflow_dispatch": None}
    monkeypatch.setattr(tables, "_starts_of_the_workflow", lambda: starts)
    found = tables.tags()
    assert "| push to `main` | nothing: no run starts |" in found
    assert "| push of the git tag `latest` | nothing: the run fails |" in found
    assert "| a run started by hand | `main` |" in found


def anchors(text):
    heads = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


def links(tokens):
    for token in tokens:
        yield from (str(token.attrs[name]) for name in ("href", "src") if name in token.attrs)
        yield from links(token.children or ())


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere_on_github_and_in_jupyter_too(path):
    for link in links(MarkdownIt("commonmark").enable("table").parse(path.read_text())):
        if "://" in link or link.startswith("mailto:"):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.is_file(), link
        if anchor:
            text = target.with_suffix(".md") if target.suffix == ".ipynb" else target
            assert anchor in anchors(text.read_text()), link
