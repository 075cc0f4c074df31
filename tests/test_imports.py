"""Imports point one way; what points back is a design that has slipped."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src"
ORDER = {
    "rehearsal": (
        ("errors", "linux", "syntax"),
        ("options",),
        ("masks", "keeper", "sealing", "rules"),
        ("reading",),
        ("settings", "placeholders", "effects", "records", "progress"),
        ("engines",),
        ("shell", "shown", "server", "images", "room", "notebooks", "writes"),
        ("tokens",),
        ("front",),
        ("services", "proof", "coverage", "evidence"),
        ("stages", "kernel", "verification"),
        ("nbval_plugin",),
        ("production",),
        ("magic", "walk"),
        ("cli",),
    ),
    "megalotron_images": (
        ("errors", "refusals"),
        ("convention", "credentials"),
        ("tags_for",),
        ("transport",),
        ("registry",),
        ("plans",),
        ("local_index", "release", "board"),
        ("engine",),
        ("checks",),
        ("doctor", "show", "timeline"),
        ("cli",),
    ),
}
OTHER = {"rehearsal": "megalotron_images", "megalotron_images": "rehearsal"}


def imported(path):
    """Yield the modules that a file imports, those inside its functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
            yield node.module


@pytest.mark.parametrize("path", sorted(SOURCE.glob("*/*.py")), ids=lambda path: path.stem)
def test_imports_point_one_way(path):
    package = path.parent.name
    levels = {module: level for level, modules in enumerate(ORDER[package]) for module in modules}
    if path.stem != "__init__":
        assert path.stem in levels, f"{path.name} has no place in ORDER: give it one"
    for module in imported(path):
        assert module.partition(".")[0] != OTHER[package], f"{path.name} imports {module}"
        parts = module.split(".")
        if parts[0] == package and len(parts) > 1 and parts[1] in levels:
            assert levels[parts[1]] < levels[path.stem], (
                f"{path.name} imports {module}, which is not below it"
            )


@pytest.mark.parametrize("path", sorted(SOURCE.glob("*/*.py")), ids=lambda path: path.stem)
def test_a_file_is_small_and_says_what_it_is_for(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
    assert len(path.read_text().splitlines()) <= 300
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < 50, f"{node.name} is too long"
