"""What `verify` says of a file or a page that would not be run."""

from conftest import rehearsal
from test_verify import write_pair

CELL = "```bash\necho hi\n```\n"


def test_a_page_without_a_cell_is_no_breakdown(project):
    write_pair(project / "notebooks", "specimen", "# Only text\n")
    done = rehearsal("verify", "specimen", cwd=project)
    assert done.returncode == 1
    assert "specimen: has no cell" in done.stdout


def test_verify_ends_with_what_was_passed_over(project):
    (project / "notebooks" / "notes.md").write_text(CELL)
    done = rehearsal("verify", cwd=project)
    assert done.returncode == 1
    assert "notes.md: is not run: a runbook is NAME.md" in done.stdout


def test_a_broken_header_is_named(project):
    (project / "notebooks" / "bad.md").write_text("---\njupyter: [\n---\n" + CELL)
    done = rehearsal("verify", cwd=project)
    assert done.returncode == 3
    assert "bad.md cannot be read" in done.stderr
