"""What must hold of a notebook before it is run: else a green run would prove nothing."""

import ast
import contextlib
from collections.abc import Iterator, Sequence

from nbformat import NotebookNode
from nbval.plugin import comment_markers, metadata_tags
from tree_sitter import Node

from rehearsal.cell.grammar import Finding, check, functions_of
from rehearsal.cell.options import shell_cell
from rehearsal.cell.placeholders import Placeholder, declared, fill
from rehearsal.cell.syntax import FORM, parse, python_tree
from rehearsal.errors import Wrong
from rehearsal.runbook import effects
from rehearsal.runbook.compare import Mask, as_text, hidden
from rehearsal.runbook.model import Pair, Problem, drift, first_line, script_of
from rehearsal.settings import Settings

_CALLS = {
    "run_cell_magic",
    "run_line_magic",
    "system",
    "getoutput",
    "popen",
    "posix_spawn",
    "posix_spawnp",
}
_CALLS |= {"execv", "execvp", "__import__"}


def problems(pair: Pair, settings: Settings) -> list[Problem]:
    """Return what is wrong with a pair before anything runs.

    Raises CannotCheck if one of the two does not parse.
    """
    text = pair.read_text()
    try:
        executed, known = pair.read_executed(), declared(text.metadata)
    except Wrong as error:
        return [Problem(pair.name, None, str(error))]
    functions = frozenset(
        name for cell in text.cells for name in functions_of(script_of(cell) or "")
    )
    found = [
        Problem(pair.name, first_line(cell.source), what)
        for cell in text.cells
        for what in _of_cell(cell, known, functions, settings.modules)
    ]
    used = {match[1] for cell in text.cells for match in FORM.finditer(script_of(cell) or "")}
    for name in sorted(set(known) - used):
        found.append(
            Problem(
                pair.name,
                None,
                f"declares <{name}>, which no cell uses: a cell has lost it, or remove it",
            )
        )
    if difference := drift(text, executed):
        found.append(
            Problem(
                pair.name,
                None,
                f"text and executed notebook have drifted: {difference}. {_again(pair)}",
            )
        )
    for cell in executed.cells:
        if cell.cell_type == "code" and cell.execution_count is None:
            found.append(
                Problem(pair.name, first_line(cell.source), f"was never executed. {_again(pair)}")
            )
    with contextlib.suppress(Wrong, SyntaxError):  # a cell that cannot be read was named above
        found += [
            Problem(pair.name, line, what)
            for line, what in effects.problems(_cells(executed), settings.readers, settings.writers)
        ]
    return found


def unused_masks(pairs: Sequence[Pair], masks: Sequence[Mask]) -> list[Problem]:
    """Return a problem for each mask that matches no recorded output.

    Nobody would notice if it hid too much.
    """
    cells = [
        cell for pair in pairs if pair.executed.exists() for cell in pair.read_executed().cells
    ]
    texts = [as_text(cell.outputs) for cell in cells if cell.cell_type == "code"]
    recorded = [
        mask for mask in masks if not mask.on
    ]  # the others are held by a run on such an engine
    unused = [mask for mask in recorded if not any(mask.pattern.search(text) for text in texts)]
    found = [
        Problem("masks", None, f"«{mask.name}» matches no output of any notebook: remove it")
        for mask in unused
    ]
    said = {line for text in texts for line in hidden(text, masks)}
    return found + [Problem("masks", None, f"{line}. Make it narrower.") for line in sorted(said)]


def _cells(notebook: NotebookNode) -> list[effects.Cell]:
    cells = []
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        printed = any(
            output.get("text", "").strip() or output.get("data") for output in cell.outputs
        )
        declared = shell_cell(cell.source)
        text = cell.source if declared is None else declared.script
        cells.append(effects.Cell(first_line(cell.source), declared, text, printed))
    return cells


def _again(pair: Pair) -> str:
    return f"Run `rehearsal refresh {pair.name}`."


def count_commands(notebook: NotebookNode) -> int:
    """Return how many shell commands the cells of a notebook hold."""

    def count(node: Node) -> int:
        return int(node.type == "command") + sum(count(child) for child in node.children)

    return sum(
        count(parse(script)) for cell in notebook.cells if (script := script_of(cell)) is not None
    )


def _of_cell(
    cell: NotebookNode,
    known: dict[str, Placeholder],
    functions: frozenset[str],
    modules: Sequence[str],
) -> Iterator[str]:
    if cell.cell_type != "code":
        return
    for tag in set(cell.metadata.get("tags", ())) & (set(metadata_tags) | {"skip-execution"}):
        yield f"has the tag {tag}: what it ends with would not be checked"
    for line in cell.source.splitlines():
        if line.strip().lstrip("#").strip() in comment_markers and line.strip().startswith("#"):
            yield f"holds the comment {line.strip()}: what it ends with would not be checked"
    try:
        shell = shell_cell(cell.source)
    except Wrong as error:
        yield str(error)
        return
    for finding in (
        _of_python(cell.source, modules)
        if shell is None
        else _of_script(shell.script, known, functions)
    ):
        yield f"line {finding.line}: {finding.why}"


def _of_script(
    script: str, known: dict[str, Placeholder], functions: frozenset[str]
) -> list[Finding]:
    filled = fill(script, known)
    return [filled] if isinstance(filled, Finding) else check(filled.script, functions)


def _of_python(source: str, modules: Sequence[str]) -> list[Finding]:
    """Find ways from a Python cell to a shell.

    As IPython reads the cell, so that no spelling of them is missed.
    """
    try:
        tree = python_tree(source)
    except SyntaxError as error:
        return [Finding(error.lineno or 1, f"is no Python: {error.msg}")]
    return [
        Finding(line, f"{way}: only a ```bash fence may run commands")
        for line, way in _ways_out(tree, modules)
    ]


def _ways_out(tree: ast.AST, modules: Sequence[str]) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
            argument = (
                node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None
            )
            if name in _CALLS:
                yield (
                    node.lineno,
                    f"a magic, or a shell command that %%bash does not see ({name} {argument!r})",
                )
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = (
                [node.module]
                if isinstance(node, ast.ImportFrom)
                else [alias.name for alias in node.names]
            )
            for module in names:
                if not any(f"{module}.".startswith(f"{known}.") for known in modules):
                    yield (
                        node.lineno,
                        f"imports {module}, which is none of the modules in [tool.rehearsal]",
                    )
