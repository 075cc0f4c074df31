"""Placeholders, such as `<your GH username>`, take the place of values in commands.

A value reaches bash as a quoted variable, never as text in the script: so it may hold anything, and
no message that quotes the script can leak it.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import fastjsonschema

from rehearsal.cell.allowed import Finding, Refused, findings
from rehearsal.cell.syntax import FORM, Script, line_of, places
from rehearsal.errors import CannotCheck, Wrong

_check = fastjsonschema.compile(tomllib.loads(Path(__file__).with_name("header.toml").read_text()))


@dataclass(frozen=True)
class Placeholder:
    """A declared placeholder.

    Attributes:
        name: the text between the angle brackets.
        what: the question for a person.
        value: in a rehearsal.
        secret: whether it must never be printed.
        offers_output: whether production offers what the cell before printed, if that is one word.
    """

    name: str
    what: str
    value: str
    secret: bool = False
    offers_output: bool = False


def declared(table: Mapping[str, Any]) -> dict[str, Placeholder]:
    """Return the placeholders that a header's table `rehearsal` declares, by name.

    Raises Wrong for a table that does not follow header.toml.
    """
    try:
        _check(table)
    except ValueError as error:
        said = str(error).replace("data", "`rehearsal`", 1)
        raise Wrong(f"The header is not understood: {said}. See CONTRIBUTING.") from error
    return {
        name: Placeholder(
            name,
            one["what"],
            str(one["rehearsal"]),
            one.get("secret", False),
            one.get("offers-output", False),
        )
        for name, one in table.get("placeholders", {}).items()
    }


def header(path: Path) -> dict[str, Any] | None:
    """Return the `jupyter` table of a Markdown file's header, or None.

    Raises CannotCheck for a header that is no YAML.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        said = re.match(r"---[ \t]*\n(.*?\n)---[ \t]*\n", path.read_text(), re.DOTALL)
        metadata = yaml.load(said[1], loader) if said else None  # noqa: S506 - a safe loader
    except (OSError, ValueError, yaml.YAMLError) as error:
        first = str(error).partition("\n")[0]
        raise CannotCheck(f"{path.name} cannot be read as a notebook: {first}.") from error
    found = metadata.get("jupyter") if isinstance(metadata, dict) else None
    return found if isinstance(found, dict) else None


def runbooks(folder: Path) -> dict[Path, dict[str, Any]]:
    """Return the notebook texts of a folder with their headers, without hidden files."""
    files = [path for path in sorted(folder.glob("[!.]*.md")) if path.is_file()]
    return {path: said for path in files if (said := header(path)) is not None}


def declared_in(folder: Path) -> dict[str, Placeholder]:
    """Return the placeholders of a folder's texts: a kernel does not know which one it runs."""
    found: dict[str, Placeholder] = {}
    for path, metadata in runbooks(folder).items():
        for name, placeholder in declared(metadata.get("rehearsal", {})).items():
            if found.setdefault(name, placeholder) != placeholder:
                raise Wrong(f"{path.name} declares <{name}> otherwise than another notebook.")
    return found


@dataclass(frozen=True)
class Filled:
    """A script with variables in place of its placeholders.

    Attributes:
        source: the script as on the page.
        statements: what bash runs, one by one, each with the number of lines before it.
        variables: the placeholder of each variable.
    """

    source: str
    statements: tuple[tuple[int, str], ...]
    variables: Mapping[str, Placeholder]


def refusals(script: Script, known: Mapping[str, Placeholder]) -> list[Finding]:
    """Return why a script must not run: placeholders that cannot be filled in, and its forms."""
    placed = ((match, _why_not(match, kinds, known)) for match, kinds in _placed(script))
    unfilled = [Finding(line_of(match), why) for match, why in placed if why]
    return sorted((*unfilled, *findings(script)), key=lambda one: one.line)


def _placed(script: Script) -> Iterator[tuple[re.Match[str], set[str]]]:
    """Yield a script's placeholders, with the kinds of syntax around each."""
    for match in FORM.finditer(script.source):
        kinds = places(script.node_at(match))
        if "comment" not in kinds:
            yield match, kinds


def fill(script: Script, known: Mapping[str, Placeholder]) -> Filled:
    """Fill in a script's placeholders; raise Refused, with all reasons, if it must not run."""
    if refused := refusals(script, known):
        raise Refused(refused)
    variables, put = dict[str, Placeholder](), dict[int, str]()
    for match, kinds in _placed(script):
        variable = f"PLACEHOLDER_{list(known).index(match[1]) + 1}"
        variables[variable] = known[match[1]]
        quotes = "" if kinds & {"string", "heredoc_body"} else '"'
        put[match.start()] = f"{quotes}${{{variable}}}{quotes}"
    statements = (
        (script.source.count("\n", 0, begin), _replaced(script.source, begin, end, put))
        for begin, end in pairwise((*script.statements, len(script.source)))
    )
    return Filled(script.source, tuple(statements), variables)


def _why_not(match: re.Match[str], kinds: set[str], known: Mapping[str, Placeholder]) -> str:
    """Return why a placeholder cannot be filled in where it is, or nothing."""
    if "literal" in kinds:
        return f"{match[0]} is inside quotes where nothing is filled in; use double quotes"
    if match[1] not in known:
        undeclared = "is not declared; to bash it is two redirections. Declare the placeholder"
        return f"{match[0]} {undeclared}"
    return ""


def _replaced(source: str, begin: int, end: int, put: Mapping[int, str]) -> str:
    """Return a part of a source with the placeholders that begin at given places filled in."""
    return FORM.sub(lambda form: put.get(begin + form.start(), form[0]), source[begin:end])
