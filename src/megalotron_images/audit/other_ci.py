"""Other machines than GitHub's that build: their plain shell is followed, the rest is a doubt."""

import contextlib
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from typing import Any

from megalotron_images.audit import commands
from megalotron_images.audit.compose import interpolated
from megalotron_images.audit.expressions import secret
from megalotron_images.audit.knowledge import GITLAB, MACHINES, PATTERNS, SCRIPTS
from megalotron_images.audit.model import Fact, Place, Run
from megalotron_images.audit.shell import Shell
from megalotron_images.audit.texts import one_of, unknown
from megalotron_images.audit.yaml_files import Folder, Map, Seq, Unreadable, items

_REGISTRY = re.compile(r"docker\.withRegistry\(\s*['\"]([^'\"$]*)['\"]")
"""A login of Jenkins' Docker plugin."""
_STEP = re.compile(r"\b(?:sh|bat)\b[^'\"\n]*('''|\"\"\"|'|\")(.*?)\1", re.DOTALL)
"""A step of a Jenkinsfile that runs a shell."""


def kind(name: str) -> str:
    """Return which machine's file this is; empty for none."""
    return next((found for pattern, found in MACHINES.items() if fnmatch(name, pattern)), "")


def follow(folder: Folder, name: str, facts: list[Fact]) -> None:
    """Note the facts in another machine's file: its shell, and a doubt where it may push."""
    text = folder.text(name)
    run = Run(folder, name, {"github": {}}, Place(name, 1), facts)
    variables = _variables(folder, name)
    for script, line in _scripts(folder, name, text):
        run.place = Place(name, line)
        Shell(run, dict(variables), commands.handle, secret).follow(script)
    for match in _REGISTRY.finditer(text):
        run.place = Place(name, text[: match.start()].count("\n") + 1)
        run.login(match[1], unknown("credentials of Jenkins"), unknown("credentials of Jenkins"))
    if spoken := PATTERNS["machine_pushes"].search(text):
        run.place = Place(name, text[: spoken.start()].count("\n") + 1)
        run.doubt(f"{kind(name)} runs this file: only its plain shell is judged")


def _variables(folder: Folder, name: str) -> dict[str, str]:
    """Return the variables of a machine: GitLab sets some, and its files more for all jobs."""
    if kind(name) != "GitLab":
        return {"HOME": "~"}
    table = GITLAB.items()
    found = {name: start + (one_of(*rest) if rest else "") for name, (start, *rest) in table}
    with contextlib.suppress(Unreadable):
        for key, text in folder.document(name).below("variables").items():
            found[key] = interpolated(text, found) if isinstance(text, str) else unknown(f"${key}")
    return found


def _scripts(folder: Folder, name: str, text: str) -> Iterator[tuple[str, int]]:
    """Yield the shell in a file, each with its first line."""
    if not name.endswith((".yml", ".yaml")):
        for match in _STEP.finditer(text):
            yield match[2], text[: match.start(2)].count("\n") + 1
        return
    try:
        documents = folder.documents(name)
    except Unreadable:
        yield text, 1
        raise
    for document in documents:
        yield from _walk(document, False)


def _walk(node: Any, is_shell: bool) -> Iterator[tuple[str, int]]:
    """Yield the shell below a node; `is_shell`: the texts of this sequence are."""
    if is_shell and (plain := [one for one in items(node) if isinstance(one[0], str)]):
        yield _joined(plain), plain[0][1]
    keys = list(node) if isinstance(node, Map) else [""] * len(items(node))
    for key, (value, line) in zip(keys, items(node), strict=True):
        if isinstance(value, str):
            if key in SCRIPTS:
                yield value, line
        else:
            yield from _walk(value, isinstance(value, Seq) and (is_shell or key in SCRIPTS))


def _joined(lines: list[tuple[str, int]]) -> str:
    """Return commands of a list as one script, each on the line where it stands."""
    text, at = "", lines[0][1]
    for one, line in lines:
        same_line = "\n" if re.search(r"#|<<|[&\\]$", text) else " ; "
        text += "\n" * (line - at) if line > at else same_line * bool(text)
        text, at = text + one.rstrip(), max(line, at) + one.rstrip().count("\n")
    return text
