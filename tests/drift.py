"""Change runbooks as a stale edit would, both files of the pair alike, and see that verify notices
every change.

`python tests/drift.py [--sample N] [--seed S] [NOTEBOOK...]` prints the survivors as diffs; ends
with 1 if there are any that tests/drift_equal/NOTEBOOK.toml does not explain. Outputs stay as
recorded, but for the rules that change one.
"""

import argparse
import difflib
import multiprocessing
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import nbformat

from rehearsal.errors import Wrong
from rehearsal.room.engine import choose_engine
from rehearsal.runbook.compare import as_text
from rehearsal.runbook.lint import check_cells, problems
from rehearsal.runbook.masks import masks_for
from rehearsal.runbook.model import Runbook, find_runbooks
from rehearsal.settings import load_settings

ROOT = Path(__file__).parent.parent
NOT_NOTICING = "have drifted"
"""What verify says of a pair that differs: never a reason here, as both files are changed alike."""
BATCH = 40


@dataclass(frozen=True)
class Change:
    """One edit of a notebook: the rule that made it, the text before and after, and the cell, by
    its first line too.

    output: it is one of what the cell printed. apart: and what masks see in that stays as it was.
    removed: the whole cell is.
    """

    notebook: str
    rule: str
    before: str
    after: str
    cell: int
    line: str
    output: bool = False
    apart: bool = False
    removed: bool = False

    def __str__(self) -> str:
        lines = difflib.unified_diff(
            self.before.splitlines(),
            self.after.splitlines(),
            self.notebook,
            self.rule,
            n=0,
            lineterm="",
        )
        return "\n".join(lines)


def next_letter(word: str) -> str:
    """Return a word with its last letter or digit replaced by the next one, as a slip of the finger
    would.
    """
    spots = list(re.finditer(r"[A-Za-z0-9]", word))
    if not spots:
        return word
    letter = spots[-1][0]
    successor = {"9": "0", "z": "a", "Z": "A"}.get(letter) or chr(ord(letter) + 1)
    return word[: spots[-1].start()] + successor + word[spots[-1].end() :]


def script_changes(script: str) -> Iterator[tuple[str, str]]:
    """Yield the rule and the new text for each edit of a shell cell."""
    lines = script.splitlines()
    for number, line in enumerate(lines):

        def with_line(new: str | None, number: int = number) -> str:
            return "\n".join(
                old if n != number else new
                for n, old in enumerate(lines)
                if n != number or new is not None
            )

        if line.strip() and not line.lstrip().startswith("#"):
            yield "a line removed", with_line(None)
            yield "a failure waved through", with_line(f"{line} || true")
        for word in re.finditer(r"\S+", line):
            start, end = word.span()
            if (other := next_letter(word[0])) != word[0]:
                yield "another word", with_line(line[:start] + other + line[end:])
            if word[0].startswith("-"):
                yield "a flag removed", with_line(line[:start].rstrip() + line[end:])
        for assigned in re.finditer(r"(\w+)=\$\(.*\)", line):
            yield "a read-back made empty", with_line(line.replace(assigned[0], f"{assigned[1]}="))
        for placeholder in re.finditer(r"<[A-Za-z][^<>]*>", line):
            yield "a placeholder filled in", with_line(line.replace(placeholder[0], "somebody"))
        for pipe in re.finditer(r" \| ", line):
            yield "a pipe cut", with_line(line[: pipe.start()])


def python_changes(source: str) -> Iterator[tuple[str, str]]:
    """Yield the rule and the new text for each edit of a Python cell."""
    for word in re.finditer(r"\w+", source):
        yield "another word", source[: word.start()] + next_letter(word[0]) + source[word.end() :]


def output_changes(text: str, masks: tuple) -> Iterator[tuple[str, str]]:
    """Yield each output with one unmasked letter or digit changed per line, and with one digest in
    it changed.
    """
    covered = [
        range(*match.span())
        for mask in masks
        if mask.kind != "line"
        for match in mask.pattern.finditer(text)
    ]
    position = 0
    for line in text.splitlines(keepends=True):
        dropped = any(
            mask.kind == "line" and mask.pattern.fullmatch(line.strip("\n")) for mask in masks
        )
        spots = [
            spot
            for spot in range(position, position + len(line))
            if text[spot].isalnum()
            and text[spot].isascii()
            and not any(spot in span for span in covered)
        ]
        if spots and not dropped:
            spot = spots[-1]
            yield "a letter of an output", text[:spot] + next_letter(text[spot]) + text[spot + 1 :]
        position += len(line)
    for digest in re.finditer(r"@sha256:[0-9a-f]{64}", text):
        yield (
            "a digest of an output",
            text[: digest.start()] + "@sha256:" + "0" * 64 + text[digest.end() :],
        )
    for digest in re.finditer(r"(?:digest|Digest): sha256:[0-9a-f]{63}", text):
        other = "0" if text[digest.end()] != "0" else "1"
        yield "the last digit of a digest", text[: digest.end()] + other + text[digest.end() + 1 :]


def changes(runbook: Runbook, masks: tuple) -> list[Change]:
    """Return every change of a notebook that the rules make."""
    found = []
    for number, cell in enumerate(runbook.executed.cells):
        if cell.kind != "code":
            continue
        script, place = cell.script, (number, cell.first_line)
        edits = python_changes(cell.source) if script is None else script_changes(script)
        before = cell.source if script is None else script
        found += [Change(runbook.name, rule, before, new, *place) for rule, new in edits]
        text = as_text(cell.outputs)
        for rule, new in output_changes(text, masks):
            apart = all(mask.pattern.findall(text) == mask.pattern.findall(new) for mask in masks)
            if new != text:
                found.append(
                    Change(runbook.name, rule, text, new, *place, output=True, apart=apart)
                )
    if found:  # of the last code cell
        found.append(
            Change(runbook.name, "the last cell removed", before, "", *place, removed=True)
        )
    return found


def apply(changes: Sequence[Change], folder: Path, name: str) -> None:
    """Write both files of the pair with these changes, each of another cell."""
    runbook = Runbook(ROOT / "notebooks" / f"{changes[0].notebook}.md")
    executed, text = runbook.executed.node, runbook.path.read_text()
    was_shell = {n: cell.script is not None for n, cell in enumerate(runbook.executed.cells)}
    for change in changes:
        cell = executed.cells[change.cell]
        if change.output:
            cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=change.after)]
            continue
        fences = list(
            re.finditer(r"^```(?:bash|python)[^\n]*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
        )
        code_cells = [n for n, one in enumerate(executed.cells) if one.cell_type == "code"]
        fence = fences[code_cells.index(change.cell)]
        if change.removed:
            text = text[: fence.start()] + text[fence.end() :]
            del executed.cells[change.cell]
            continue
        text = (
            text[: fence.start(1)] + change.after + "\n" * bool(change.after) + text[fence.end(1) :]
        )
        magic = f"{cell.source.partition(chr(10))[0]}\n" if was_shell[change.cell] else ""
        cell.source = f"{magic}{change.after}"
    (folder / f"{name}.md").write_text(text)
    nbformat.write(executed, folder / f"{name}.ipynb")


def refused(change: Change) -> bool:
    """Return whether verify notices a change as it reads the pair (`lint.problems`), before
    anything runs.
    """
    with tempfile.TemporaryDirectory(prefix="drift-") as place:
        apply([change], Path(place), "change")
        runbook = Runbook(Path(place) / "change.md")
        try:
            check_cells([runbook])
        except Wrong:
            return True
        found = problems(runbook, load_settings(ROOT))
    return any(NOT_NOTICING not in str(problem) for problem in found)


def together(tried: Sequence[Change]) -> list[list[Change]]:
    """Return changes of outputs in groups that one run can try: one a cell, as each is compared by
    itself.
    """
    groups, of_cell = defaultdict[tuple[str, int], list[Change]](list), Counter[tuple[str, str]]()
    for change in tried:
        groups[change.notebook, of_cell[change.notebook, change.line]].append(change)
        of_cell[change.notebook, change.line] += 1
    return list(groups.values())


def unnoticed(groups: Sequence[Sequence[Change]], *, to_the_end: bool = False) -> list[Change]:
    """Return the changes that `rehearsal verify` does not notice, each group of them made in one
    notebook.

    to_the_end: run all cells of a notebook, and take a change for noticed only if its own cell is
    named.
    """
    left = []
    for start in range(0, len(groups), BATCH):
        batch = groups[start : start + BATCH]
        said = [line for line in verify(batch, to_the_end) if NOT_NOTICING not in line]
        for number, group in enumerate(batch):
            wanted = [
                f"change-{number:03}: " + f"cell «{change.line}»: " * to_the_end for change in group
            ]
            left += [
                c
                for c, begin in zip(group, wanted, strict=True)
                if not any(s.startswith(begin) for s in said)
            ]
    return left


def verify(batch: Sequence[Sequence[Change]], to_the_end: bool) -> list[str]:
    """Return what `rehearsal verify` says of a batch of changed notebooks, line by line."""
    with tempfile.TemporaryDirectory(prefix="drift-") as place:
        notebooks = Path(place) / "notebooks"
        ours = shutil.ignore_patterns("*.md", "*.ipynb", ".*")
        shutil.copytree(ROOT / "notebooks", notebooks, ignore=ours)
        shutil.copy(ROOT / "pyproject.toml", place)
        (Path(place) / "engines").symlink_to(ROOT / "engines")
        for number, group in enumerate(batch):
            apply(group, notebooks, f"change-{number:03}")
        command = [Path(sys.executable).parent / "rehearsal", "verify"]
        stop = (
            {}
            if to_the_end
            else {"PYTEST_PLUGINS": "stop_at_first", "PYTHONPATH": str(ROOT / "tests")}
        )
        done = subprocess.run(
            command, cwd=place, capture_output=True, text=True, env=os.environ | stop, check=False
        )
        if done.returncode not in (0, 1):
            raise SystemExit(f"verify could not check:\n{done.stdout}\n{done.stderr}")
    return done.stdout.splitlines()


def explained(change: Change) -> bool:
    """Return whether a notebook's file in drift_equal says why this change changes nothing."""
    file = ROOT / "tests" / "drift_equal" / f"{change.notebook}.toml"
    entries = tomllib.loads(file.read_text())["equal"] if file.exists() else ()
    keys = ("rule", "before", "after")
    return any(
        all(entry[key].strip() == getattr(change, key).strip() for key in keys) for entry in entries
    )


def survivors(names: list[str], sample: int | None, seed: int) -> tuple[int, list[Change]]:
    """Return how many changes were tried, and those that went unnoticed; some may be explained."""
    settings = load_settings(ROOT)
    masks = masks_for(settings, choose_engine(settings))
    runbooks = find_runbooks(settings, names)
    if wrong := [problem for one in runbooks for problem in problems(one, settings)]:
        raise SystemExit(f"Nothing was tried: every change would seem noticed. {wrong[0]}")
    tried = [change for one in runbooks for change in changes(one, masks)]
    if sample is not None:
        tried = random.Random(seed).sample(tried, min(sample, len(tried)))  # noqa: S311  # a sample, no secret
    with multiprocessing.Pool() as pool:
        read = pool.map(refused, tried)
    run = [change for change, found in zip(tried, read, strict=True) if not found]
    alone = [change for change in run if not change.apart]
    alone += unnoticed(together([change for change in run if change.apart]), to_the_end=True)
    return len(tried), unnoticed([[change] for change in alone])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebooks", nargs="*")
    parser.add_argument("--sample", type=int)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    runbooks = [one.name for one in find_runbooks(load_settings(ROOT), options.notebooks)]
    parts = [[name] for name in runbooks] if options.sample is None else [runbooks]
    tried, equal, missed = 0, 0, 0
    for names in parts:  # one after the other, so that what is known so far is on the screen
        of_part, left = survivors(names, options.sample, options.seed)
        unexplained = [change for change in left if not explained(change)]
        print(*unexplained, sep="\n\n", end="\n\n" if unexplained else "")
        tried += of_part
        missed += len(unexplained)
        equal += len(left) - len(unexplained)
        print(
            f"{', '.join(names)}: {of_part - len(left)} of {of_part}", file=sys.stderr, flush=True
        )
    print(
        f"{tried - equal - missed} of {tried - equal} changes noticed; {equal} change nothing"
        " (tests/drift_equal)"
    )
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
