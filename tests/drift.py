"""Change runbooks as a stale edit would, both files of the pair alike, and see that verify notices every change.

`python tests/drift.py [--sample N] [--seed S] [NOTEBOOK...]` prints the survivors as diffs; ends with 1 if there are
any that tests/drift_equal.toml does not explain. Outputs stay as recorded, but for the rules that change one.
"""

import argparse
import copy
import difflib
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat

from rehearsal.masks import as_text
from rehearsal.notebooks import Pair, find_pairs, script_of
from rehearsal.settings import load_settings

ROOT = Path(__file__).parent.parent
NOT_NOTICING = "have drifted"
"""What verify says of a pair that differs: never a reason here, as both files are changed alike."""
BATCH = 40


@dataclass(frozen=True)
class Change:
    """One edit of a notebook: the rule that made it, and the text before and after."""

    notebook: str
    rule: str
    before: str
    after: str
    cell: int
    output: bool = False

    def __str__(self) -> str:
        lines = difflib.unified_diff(
            self.before.splitlines(), self.after.splitlines(), self.notebook, self.rule, n=0, lineterm=""
        )
        return "\n".join(lines)


def next_letter(word: str) -> str:
    """Return a word with its last letter or digit replaced by the next one, as a slip of the finger would."""
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
                old if n != number else new for n, old in enumerate(lines) if n != number or new is not None
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
    """Yield each output with one unmasked letter or digit changed per line, and with one digest in it changed."""
    covered = [range(*match.span()) for mask in masks if mask.kind != "line" for match in mask.pattern.finditer(text)]
    position = 0
    for line in text.splitlines(keepends=True):
        dropped = any(mask.kind == "line" and mask.pattern.fullmatch(line.strip("\n")) for mask in masks)
        spots = [
            spot
            for spot in range(position, position + len(line))
            if text[spot].isalnum() and text[spot].isascii() and not any(spot in span for span in covered)
        ]
        if spots and not dropped:
            spot = spots[-1]
            yield "a letter of an output", text[:spot] + next_letter(text[spot]) + text[spot + 1 :]
        position += len(line)
    for digest in re.finditer(r"@sha256:[0-9a-f]{64}", text):
        yield "a digest of an output", text[: digest.start()] + "@sha256:" + "0" * 64 + text[digest.end() :]
    for digest in re.finditer(r"(?:digest|Digest): sha256:[0-9a-f]{63}", text):
        other = "0" if text[digest.end()] != "0" else "1"
        yield "the last digit of a digest", text[: digest.end()] + other + text[digest.end() + 1 :]


def changes(pair: Pair, masks: tuple) -> list[Change]:
    """Return every change of a notebook that the rules make."""
    found = []
    for number, cell in enumerate(pair.read_executed().cells):
        if cell.cell_type != "code":
            continue
        script = script_of(cell)
        edits = python_changes(cell.source) if script is None else script_changes(script)
        before = cell.source if script is None else script
        found += [Change(pair.name, rule, before, new, number) for rule, new in edits]
        text = as_text(cell.outputs)
        for rule, new in output_changes(text, masks):
            if new != text:
                found.append(Change(pair.name, rule, text, new, number, output=True))
    return found


def apply(change: Change, pair: Pair, folder: Path, name: str) -> None:
    """Write both files of the changed pair."""
    executed = copy.deepcopy(pair.read_executed())
    cell = executed.cells[change.cell]
    text = pair.text.read_text()
    if change.output:
        cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=change.after)]
    else:
        fences = list(re.finditer(r"^```(?:bash|python)[^\n]*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))
        code_cells = [n for n, one in enumerate(executed.cells) if one.cell_type == "code"]
        fence = fences[code_cells.index(change.cell)]
        text = text[: fence.start(1)] + change.after + "\n" * bool(change.after) + text[fence.end(1) :]
        magic = f"{cell.source.partition(chr(10))[0]}\n" if script_of(cell) is not None else ""
        cell.source = f"{magic}{change.after}"
    (folder / f"{name}.md").write_text(text)
    nbformat.write(executed, folder / f"{name}.ipynb")


def verify(batch: list[Change], pairs: dict[str, Pair]) -> list[Change]:
    """Return the changes of a batch that `rehearsal verify` does not notice."""
    with tempfile.TemporaryDirectory(prefix="drift-") as place:
        notebooks = Path(place) / "notebooks"
        ours = shutil.ignore_patterns("*.md", "*.ipynb", ".*")
        shutil.copytree(ROOT / "notebooks", notebooks, ignore=ours)
        shutil.copy(ROOT / "pyproject.toml", place)
        for number, change in enumerate(batch):
            apply(change, pairs[change.notebook], notebooks, f"change-{number:03}")
        command = [Path(sys.executable).parent / "rehearsal", "verify"]
        environment = os.environ | {"PYTEST_PLUGINS": "stop_at_first", "PYTHONPATH": str(ROOT / "tests")}
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, env=environment, check=False)
        if done.returncode not in (0, 1):
            raise SystemExit(f"verify could not check:\n{done.stdout}\n{done.stderr}")
    lines = [line for line in done.stdout.splitlines() if NOT_NOTICING not in line]
    noticed = {match[1] for line in lines if (match := re.match(r"(change-\d+): ", line))}
    return [change for number, change in enumerate(batch) if f"change-{number:03}" not in noticed]


def explained(change: Change) -> bool:
    """Return whether drift_equal.toml says why this change changes nothing."""
    entries = tomllib.loads((ROOT / "tests" / "drift_equal.toml").read_text()).get("equal", ())
    keys = ("notebook", "rule", "before", "after")
    return any(all(entry[key].strip() == getattr(change, key).strip() for key in keys) for entry in entries)


def survivors(names: list[str], sample: int | None, seed: int) -> tuple[int, list[Change]]:
    """Return how many changes were tried, and those that went unnoticed without an explanation."""
    settings = load_settings(ROOT)
    pairs = {pair.name: pair for pair in find_pairs(settings, names)}
    tried = [change for pair in pairs.values() for change in changes(pair, settings.masks())]
    if sample is not None:
        tried = random.Random(seed).sample(tried, min(sample, len(tried)))  # noqa: S311  # a sample, no secret
    unnoticed = []
    for start in range(0, len(tried), BATCH):
        unnoticed += verify(tried[start : start + BATCH], pairs)
    return len(tried), [change for change in unnoticed if not explained(change)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebooks", nargs="*")
    parser.add_argument("--sample", type=int)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    tried, left = survivors(options.notebooks, options.sample, options.seed)
    for change in left:
        print(change, end="\n\n")
    print(f"{tried - len(left)} of {tried} changes noticed")
    return int(bool(left))


if __name__ == "__main__":
    sys.exit(main())
