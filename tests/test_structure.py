"""The house: imports point one way, folder by folder, and the source keeps to its budget."""

import ast
import graphlib
import io
import statistics
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "src").rglob("*.py"))
LAYERS = {
    "rehearsal": (
        "errors",
        "output",
        "settings",
        "room",
        "cell",
        "runbook",
        "session",
        "step",
        "cli",
    ),
    "megalotron_images": (
        "errors",
        "terminal",
        "json_text",
        "concurrency",
        "docker_config",
        "convention",
        "registry",
        "plan",
        "provenance",
        "engine",
        "release",
        "check",
        "status",
        "running",
        "doctor",
        "output",
        "arguments",
        "confirmation",
        "findings",
        "audit",
        "verbs",
        "cli",
        "start",
    ),
}
"""Each package's folders and files from the lowest up: each may import those before it."""
BUDGETS = {"src": 7_713, "docs/hooks": 287, "docs/generate": 241}
"""Lines of code: without blank lines, comments and docstrings; bash counts. Lower them when you
can.
"""
LONGEST, LONGEST_OF_MOST = 40, 22
"""Lines of a function without its docstring, and of nine functions in ten."""
SILENT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
SILENT |= {tokenize.ENDMARKER}


def place(path):
    """Return the package of a file, and its folder or name in it."""
    package, *parts = path.relative_to(ROOT / "src").with_suffix("").parts
    return package, parts[0]


def imported(path):
    """Yield the modules that a file imports, those inside its functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_imports_point_one_way(path):
    package, folder = place(path)
    layers = LAYERS[package]
    if folder != "__init__":
        assert folder in layers, f"{path.name} has no place in LAYERS: give it one"
    for module in imported(path):
        name, _, rest = module.partition(".")
        if name in LAYERS:
            assert name == package, f"{path.name} imports {module}"
        if name == package and (other := rest.partition(".")[0]) in layers and other != folder:
            assert layers.index(other) < layers.index(folder), f"{path.name} imports {module}"


def circle(graph):
    """Return the modules of a circle of imports, each followed by one that it imports; none if
    there is none.
    """
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(reversed(error.args[1]))
    return []


def module(path):
    return ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")


def test_no_file_imports_itself_by_way_of_others():
    """What is imported for its types alone, or inside a function, counts too."""
    files = {module(path): path for path in FILES}
    graph = {
        name: {one if one in files else one.rpartition(".")[0] for one in imported(path)}
        & files.keys() - {name}
        for name, path in files.items()
    }
    assert circle(graph) == []


@pytest.mark.parametrize(
    ("graph", "found"),
    [
        ({"a": {"b"}, "b": {"c"}}, []),
        ({"a": {"b"}, "b": {"a"}}, ["a", "b", "a"]),
        ({"a": {"b"}, "b": {"c"}, "c": {"b"}}, ["b", "c", "b"]),
    ],
)
def test_a_circle_is_found_by_its_modules(graph, found):
    assert circle(graph) == found


def documentation(tree):
    """Yield the lines of docstrings, those below constants too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield from range(node.lineno, node.end_lineno + 1)


def lines_of_code(text):
    """Return the numbers of the lines that hold code."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    held = (range(one.start[0], one.end[0] + 1) for one in tokens if one.type not in SILENT)
    return {line for lines in held for line in lines} - set(documentation(ast.parse(text)))


def count(path):
    if path.suffix == ".py":
        return len(lines_of_code(path.read_text()))
    return sum(
        bool(line.strip()) and line.strip()[0] != "#" for line in path.read_text().splitlines()
    )


@pytest.mark.parametrize("folder", BUDGETS)
def test_a_folder_keeps_to_its_budget(folder):
    files = [path for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".bash")]
    counted = {str(path.relative_to(ROOT)): count(path) for path in files}
    assert sum(counted.values()) <= BUDGETS[folder], counted


def functions(path):
    """Yield the name of each function of a file, and its lines of code."""
    text = path.read_text()
    code = lines_of_code(text)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = code.intersection(range(node.lineno, node.end_lineno + 1))
            yield f"{path.name}: {node.name}", len(lines)


def test_functions_are_short():
    sizes = dict(one for path in FILES for one in functions(path))
    assert not [name for name, size in sizes.items() if size > LONGEST]
    assert statistics.quantiles(sizes.values(), n=10)[8] <= LONGEST_OF_MOST


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_a_file_says_what_it_is_for(path):
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_a_folder_says_where_it_runs_and_what_it_may_import():
    for file in (
        path for path in FILES if path.name == "__init__.py" and place(path)[1] != "__init__"
    ):
        said = ast.get_docstring(ast.parse(file.read_text()))
        assert "import" in said, file
