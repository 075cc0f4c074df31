"""Problems of a runbook that would make a green run prove nothing; nothing is executed."""

import ast
import contextlib
import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

from nbval.plugin import comment_markers, metadata_tags
from tree_sitter import Node

from rehearsal.cell import syntax
from rehearsal.cell.placeholders import Placeholder, refusals
from rehearsal.cell.syntax import FORM, ancestors, in_condition, walk, words
from rehearsal.errors import Wrong
from rehearsal.runbook.compare import as_text
from rehearsal.runbook.masks import Mask, masks_hiding_values
from rehearsal.runbook.model import Cell, Notebook, Runbook
from rehearsal.runbook.outcome import Problem
from rehearsal.runbook.unrun_blocks import NO_RUNBOOK, unrun_blocks, unrun_files, unshown_outputs
from rehearsal.settings import Settings

_CALLS = {"run_cell_magic", "run_line_magic", "system", "getoutput", "popen", "posix_spawn"}
_CALLS |= {"posix_spawnp", "execv", "execvp", "__import__"}
_ASSERTS = {"test", "[", "[[", "diff", "cmp", "grep"}
_READS = ["docker pull", "docker manifest inspect", "docker buildx imagetools inspect"]
_READS += ["skopeo inspect"]


def list_unrun_files(settings: Settings) -> list[Problem]:
    """Return the files among the runbooks that are not run."""
    return [Problem(name, None, NO_RUNBOOK) for name in unrun_files(settings.notebooks)]


def check_cells(runbooks: Sequence[Runbook]) -> None:
    """Raise Wrong, with all that the shell cells of texts hold and may not, by page and line."""
    if found := [f"{one.path.name}:{what}" for one in runbooks for what in _refused(one)]:
        parts = f"{len(found)} {'part' if len(found) == 1 else 'parts'} of cells"
        raise Wrong("\n".join((f"{parts} refused, so nothing was run:", *found)))


def _refused(runbook: Runbook) -> Iterator[str]:
    """Yield what the shell cells of a text hold and may not, each with its line on the page."""
    end = 0
    for cell in runbook.text.code:
        begin = runbook.source.find(cell.script or cell.source, end)
        end, line = begin + len(cell.script or cell.source), runbook.source.count("\n", 0, begin)
        with contextlib.suppress(Wrong):  # options and declarations have problems of their own
            if cell.shell:
                for one in refusals(cell.shell.parsed, runbook.placeholders):
                    yield f"{line + one.line}: {one.why}"


def problems(runbook: Runbook, settings: Settings) -> list[Problem]:
    """Return a runbook's problems.

    Raises CannotCheck if its text or its executed notebook does not parse.
    """
    try:
        text, executed, known = runbook.text, runbook.executed, runbook.placeholders
    except Wrong as error:
        return [Problem(runbook.name, None, str(error))]
    again = f"Run `rehearsal refresh {runbook.name}`."
    found: list[Found] = [(None, what) for what in unrun_blocks(runbook)]
    found += [(cell, what) for cell in text.code for what in _of_cell(cell, settings.modules)]
    found += _unused(text, known)
    if difference := drift(text, executed):
        found.append((None, f"text and executed notebook have drifted: {difference}. {again}"))
    found += [(cell, f"was never executed. {again}") for cell in executed.code if not cell.executed]
    found += [(cell, what) for cell in executed.code for what in unshown_outputs(cell)]
    readable = [cell for cell in executed.code if _is_readable(cell)]
    found += _unchecked(readable) if len(readable) == len(executed.code) else ()
    found += _not_read_back(readable, settings.readers, known)
    return [Problem(runbook.name, cell.first_line if cell else None, what) for cell, what in found]


Found = tuple[Cell | None, str]
"""A cell, or None for the whole runbook, and what is wrong with it."""


def _of_cell(cell: Cell, modules: Sequence[str]) -> Iterator[str]:
    """Find problems of one cell."""
    yield from _would_hide(cell)
    try:
        if cell.shell is None:
            yield from _of_python(cell.source, modules)
    except Wrong as error:
        yield str(error)


def _is_readable(cell: Cell) -> bool:
    """Whether a cell parses; one that does not is reported by _of_cell."""
    try:
        return cell.shell is not None or bool(_python_tree(cell.source))
    except (Wrong, SyntaxError):
        return False


def _would_hide(cell: Cell) -> Iterator[str]:
    """Find tags and comments that make nbval skip a check."""
    for tag in set(cell.tags) & {*metadata_tags, "skip-execution"}:
        yield f"has the tag {tag}: what it ends with would not be checked"
    for line in map(str.strip, cell.source.splitlines()):
        if line.startswith("#") and line.lstrip("#").strip() in comment_markers:
            yield f"holds the comment {line}: what it ends with would not be checked"


def _of_python(source: str, modules: Sequence[str]) -> Iterator[str]:
    """Find what in a Python cell could start a program.

    Parsed as IPython does, so that no spelling is missed.
    """
    try:
        nodes: Iterator[Any] = ast.walk(_python_tree(source))
    except SyntaxError as error:
        yield f"line {error.lineno or 1}: is not Python: {error.msg}"
        return
    for node in nodes:
        for way in _ways_out(node, modules):
            yield f"line {node.lineno}: {way}: only a ```bash fence may run commands"


def _ways_out(node: Any, modules: Sequence[str]) -> Iterator[str]:
    if isinstance(node, ast.Call):
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if name in _CALLS:
            argument = ast.unparse(node.args[0]) if node.args else ""
            yield f"a magic, or a shell command that %%bash does not see ({name} {argument})"
    elif isinstance(node, ast.Import | ast.ImportFrom):
        aliases = [alias.name for alias in node.names]
        for module in [node.module] if isinstance(node, ast.ImportFrom) else aliases:
            if not any(f"{module}.".startswith(f"{known}.") for known in modules):
                yield f"imports {module}, which is not among the modules in [tool.rehearsal]"


def _unused(text: Notebook, known: dict[str, Placeholder]) -> Iterator[Found]:
    """Find declared placeholders that no cell uses."""
    used = {match[1] for cell in text.code for match in FORM.finditer(cell.source)}
    for name in sorted(set(known) - used):
        yield None, f"declares <{name}>, which no cell uses: a cell has lost it, or remove it"


def drift(text: Notebook, executed: Notebook) -> str | None:
    """Return how cells or declarations of two notebooks differ, or None; outputs are ignored."""
    if text.declares != executed.declares:
        return "the declarations (metadata `rehearsal`) differ"
    if text.kernel != executed.kernel:
        return "the kernels differ"
    for pair in zip_longest(text.cells, executed.cells):
        sides = [one and (one.kind, one.source, one.tags) for one in pair]
        if sides[0] != sides[1]:
            first = next(filter(None, pair))
            return f"the cell «{first.first_line}», or one of its tags, is not the same in both"
    return None


def _unchecked(cells: Sequence[Cell]) -> Iterator[Found]:
    """Find cells without a visible effect: neither they nor the next one print or assert."""
    for cell, following in zip_longest(cells, cells[1:]):
        if not any(_shows(one) or _asserts(one) for one in (cell, following) if one):
            yield cell, "neither prints nor asserts, and nor does the next cell: let one of them"


def _shows(cell: Cell) -> bool:
    return any(output.get("text", "").strip() or output.get("data") for output in cell.outputs)


def _asserts(cell: Cell) -> bool:
    """Whether a cell contains an assertion."""
    shell = cell.shell
    if shell is None:
        tree = _python_tree(cell.source)
        return any(isinstance(node, ast.Assert | ast.Raise) for node in ast.walk(tree))
    return shell.fails is not None or any(map(_is_assertion, walk(shell.parsed.tree)))


def _is_assertion(node: Node) -> bool:
    named = node.type == "command" and words(node)[0] in _ASSERTS
    return (named or node.type == "test_command") and not in_condition(node)


def full(reference: str) -> str:
    """Return a reference in full, as Docker completes it (docker.io, library/, latest)."""
    reference = reference.removeprefix("docker://")
    host, _, rest = reference.partition("/")
    if not rest or not re.search(r"[.:]|^localhost$", host):
        reference = f"docker.io/{reference if rest else f'library/{reference}'}"
    named = ":" in reference.rpartition("/")[2] or "@" in reference
    return reference if named else f"{reference}:latest"


def _not_read_back(
    cells: Sequence[Cell], readers: Sequence[str], known: dict[str, Placeholder]
) -> Iterator[Found]:
    """Find a last write that no later cell reads back from the registry and shows.

    readers: programs of the project that read a registry.
    """
    writing = [number for number, cell in enumerate(cells) if _writes(cell)]
    for number in writing[-1:]:
        said = (word for cell in cells[number + 1 :] for word in _words_read(cell, readers))
        read = {_full(word, known) for word in said}
        for reference in _writes(cells[number]):
            if _full(reference, known) not in read:
                unread = "is not read back from the registry by a later cell that shows it"
                yield cells[number], f"{reference} {unread}"


def _writes(cell: Cell) -> tuple[str, ...]:
    """Return the references that a cell writes; one that must fail writes none."""
    return cell.shell.writes if cell.shell and cell.shell.fails is None else ()


def _words_read(cell: Cell, readers: Sequence[str]) -> Iterator[str]:
    """Yield the words of commands by which a cell reads from a registry, and shows the answer."""
    shell = cell.shell
    if shell is None or shell.fails is not None or not (_shows(cell) or _asserts(cell)):
        return
    for node in walk(shell.parsed.tree):
        if node.type == "command" and _always_shows(node):
            command = words(node, shell.parsed.source_of)
            if " ".join(command).startswith(tuple(f"{one} " for one in (*_READS, *readers))):
                yield from command


def _always_shows(node: Node) -> bool:
    """Whether a command runs in any case, in no branch or loop, and its output is not discarded."""
    *_, statement, _ = (node, *ancestors(node))
    branch = syntax.inside(node, "list", "for_statement", *syntax.CONDITIONS)
    return not branch and "/dev/null" not in syntax.text(statement)


def _full(word: str, known: dict[str, Placeholder]) -> str:
    """Return a reference in full, with the rehearsal's values for its placeholders."""
    return full(FORM.sub(lambda one: known[one[1]].value if one[1] in known else one[0], word))


def unused_masks(runbooks: Sequence[Runbook], masks: Sequence[Mask]) -> list[Problem]:
    """Return masks that match no recorded output, or that hide values of a `named` one.

    Nobody would notice if such a mask hid too much. Engine-specific masks are checked by a run on
    their engine.
    """
    executed = (one.executed for one in runbooks if one.executed_path.exists())
    texts = [as_text(cell.outputs) for notebook in executed for cell in notebook.code]
    idle = [
        f"«{mask.name}» matches no output of any notebook: remove it"
        for mask in masks
        if not (mask.engines or any(mask.pattern.search(text) for text in texts))
    ]
    wide = {
        f"{line}. Make it narrower." for text in texts for line in masks_hiding_values(text, masks)
    }
    return [Problem("masks", None, what) for what in (*idle, *sorted(wide))]


def count_commands(notebook: Notebook) -> int:
    """Return the number of shell commands in a notebook."""
    shells = [cell.shell for cell in notebook.code if _is_readable(cell) and cell.shell]
    trees = [shell.parsed.tree for shell in shells]
    return sum(node.type == "command" for tree in trees for node in walk(tree))


def _python_tree(source: str) -> ast.Module:
    """Return the syntax tree of a Python cell as IPython reads it, magics as calls.

    Raises SyntaxError.
    """
    from IPython.core.inputtransformer2 import TransformerManager

    return ast.parse(TransformerManager().transform_cell(source))
