"""Reference from the code: command lines, settings, options of a cell, errors, the Python API."""

import dataclasses
import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
from docs.generate.tables import table

import megalotron_images.cli
import megalotron_images.errors
import rehearsal.cli
import rehearsal.errors
from megalotron_images.registry.hints import REFUSALS
from rehearsal import settings
from rehearsal.cell import options
from rehearsal.cell.production.record_page import fence
from rehearsal.runbook.compare import as_text
from rehearsal.runbook.model import Cell, find_runbooks

MODULES = ("convention", "registry.client", "plan", "release", "status", "engine")
_LISTS = re.compile(r"(?:\n\n|\A)(Args|Raises|Attributes):\n((?: {4}.*\n?)+)")
_ATTRIBUTE = re.compile(r"^ {4}(\w+): (.*(?:\n {4,}(?!\w+: ).*)*)", re.MULTILINE)
_LONGEST = 12
"""Lines of an example's output."""
_DEFAULTS = {"notebooks": "`notebooks`", "name": "the first of `hosts`"}
_DEFAULTS |= {"hosts": "required"}
"""Of settings, where their class does not say."""


def commands(group: click.Group, program: str) -> str:
    """Return a command line's verbs: usage, arguments, options, an example that ran."""
    parts, whole = [], click.Context(group)
    for name in sorted(group.list_commands(whole)):
        command = group.get_command(whole, name)
        context = click.Context(command, info_name=f"{program} {name}")
        parts.append(f"### {program} {name}\n\n{inspect.cleandoc(command.help or '')}")
        parts.append(f"Usage: `{program} {name} {' '.join(command.collect_usage_pieces(context))}`")
        parts += _parameters(command)
        parts += _example(f"{program} {name}", command.epilog or "")
    return "\n\n".join(parts)


def _parameters(command: click.Command) -> Iterator[str]:
    known = command.params
    head = ["Argument or option", "What it is", "Type", "Default"]
    rows = [[_how(one), _cell(one.help), _type(one), _default(one)] for one in known]
    if any(one.envvar for one in known):
        head.append("Environment")
        for row, one in zip(rows, known, strict=True):
            row.append(f"`{one.envvar}`" if one.envvar else "none")
    yield table(head, rows)


def _how(parameter: click.Parameter) -> str:
    if isinstance(parameter, click.Option):
        value = "" if parameter.is_flag else f" {parameter.metavar}"
        return _code(parameter.opts[0] + value)
    return _code(parameter.human_readable_name.strip("[]."))


def _type(parameter: click.Parameter) -> str:
    if getattr(parameter, "is_flag", False):
        return "flag"
    several = ", any number" if parameter.nargs < 0 else ""
    return f"{'file' if isinstance(parameter.type, click.Path) else 'text'}{several}"


def _default(parameter: click.Parameter) -> str:
    if parameter.required:
        return "required"
    if getattr(parameter, "is_flag", False):
        return "off"
    default = parameter.to_info_dict()["default"]
    return f"`{default}`" if default else "none"


def _example(verb: str, said: str) -> Iterator[str]:
    """Yield the shortest cell that runs a verb alone, with what it printed; else what help says."""
    ran = [
        (cell, runbook.name)
        for runbook in find_runbooks(settings.load_settings(Path(__file__)), ())
        for cell in runbook.executed.code
        if _runs(cell, verb) and len(as_text(cell.outputs).splitlines()) <= _LONGEST
    ]
    if not ran:
        yield re.sub(r"Example: (.*)", r"Example: `\1`", said)
        return
    cell, name = min(ran, key=lambda one: (len(str(one[0].script)), one[1]))
    yield f"Example, from a run of [{name}](../notebooks/{name}.ipynb):"
    yield fence(str(cell.script).strip(), "bash")
    yield fence(as_text(cell.outputs).strip(), "text")


def _runs(cell: Cell, verb: str) -> bool:
    lines = (cell.script or "").strip().splitlines()
    fails = "--fails" in cell.source.partition("\n")[0]
    return bool(lines) and all(f"{line} ".startswith(f"{verb} ") for line in lines) and not fails


def cell_options() -> str:
    """Return the options of a shell cell."""
    said = _attributes(options.ShellCell)
    rows = [
        (_code(action.option_strings[0] + _value(action)), _sentence(said[action.dest]))
        for action in options._PARSER._actions
    ]
    return table(("Option", "What it declares"), rows)


def _value(action: Any) -> str:
    if action.nargs == 0:
        return ""
    return f" {action.metavar or '|'.join(map(str, action.choices))}"


def keys(kind: type) -> str:
    """Return the keys of a table of the settings."""
    fields = {field.name: field for field in dataclasses.fields(kind)}
    said = _attributes(kind)
    rows = []
    for key in sorted(fields.keys() - {"root", "address"}):
        default = _DEFAULTS.get(key) or _shown(getattr(kind, key, fields[key].default))
        rows.append((f"`{key}`", _sentence(said[key]), default))
    return table(("Key", "What it is", "Default"), rows)


def _shown(default: object) -> str:
    empty = default in (None, "", ()) or default is dataclasses.MISSING
    return "none" if empty else f"`{default}`"


def errors(module: Any, root: type) -> str:
    """Return a package's errors, each with its meaning and exit status."""
    known = [
        kind for _, kind in inspect.getmembers(module, inspect.isclass) if issubclass(kind, root)
    ]
    rows = [(f"`{kind.__name__}`", str(kind.status), _first(kind)) for kind in known]  # type: ignore[attr-defined]
    return table(("Error", "Exit status", "Meaning"), rows)


def refusals() -> str:
    """Return registries' refusals, with next step and cause."""
    rows = ((f"`{_cell(one.said)}`", _sentence(one.step), _sentence(one.cause)) for one in REFUSALS)
    return table(("The registry says", "Next step", "Likely cause"), rows)


def python() -> str:
    """Return the public names of the helper's modules, with signatures and docstrings."""
    return "\n\n".join(part for name in MODULES for part in _module(name))


def _module(name: str) -> Iterator[str]:
    module = importlib.import_module(f"megalotron_images.{name}")
    yield f"## megalotron_images.{name}\n\n{inspect.cleandoc(module.__doc__ or '')}"
    for public, one in inspect.getmembers(module):
        ours = getattr(one, "__module__", None) == module.__name__ and not public.startswith("_")
        if ours and (inspect.isclass(one) or inspect.isfunction(one)):
            yield f"### {public}"
            yield f"`{_signature(public, one)}`"
            yield _documented(one)
            if methods := list(_methods(one)):
                yield "\n".join(methods)


def _signature(name: str, one: Any) -> str:
    bases = [base for base in getattr(one, "__bases__", ()) if base.__name__.endswith("Enum")]
    if bases:
        return f"class {name}({bases[0].__name__})"
    text = re.sub(r"megalotron_images\.[\w.]+\.|datetime\.", "", str(inspect.signature(one)))
    return f"{'class' if inspect.isclass(one) else 'def'} {name}{text.replace(' -> None', '')}"


def _methods(one: Any) -> Iterator[str]:
    for name, member in vars(one).items() if inspect.isclass(one) else ():
        if not name.startswith("_") and (
            inspect.isfunction(member) or isinstance(member, property)
        ):
            arguments = "" if isinstance(member, property) else _arguments(member)
            yield f"- `{name}{arguments}`: {_first(member)}"


def _arguments(function: Any) -> str:
    names = [name for name in inspect.signature(function).parameters if name != "self"]
    return f"({', '.join(names)})"


def _documented(one: Any) -> str:
    """Return a docstring as Markdown, with its lists."""
    return _escaped(_LISTS.sub(_listed, inspect.cleandoc(one.__doc__ or ""))).strip()


def _listed(found: re.Match[str]) -> str:
    items = [f"- `{name}`: {' '.join(what.split())}" for name, what in _ATTRIBUTE.findall(found[2])]
    head = "" if found[1] == "Attributes" else f"{found[1]}:\n\n"
    return "\n\n" + head + "\n".join(items)


def _attributes(one: Any) -> dict[str, str]:
    lists = dict(_LISTS.findall(inspect.cleandoc(one.__doc__ or "")))
    pairs = _ATTRIBUTE.findall(lists.get("Attributes", ""))
    return {name: " ".join(what.split()) for name, what in pairs}


def _code(text: str) -> str:
    """Return code for a table's cell; GitHub and MkDocs read a bar in backticks differently."""
    return f"<code>{text.replace('|', '&#124;')}</code>" if "|" in text else f"`{text}`"


def _sentence(text: str) -> str:
    return _cell(text[:1].upper() + text[1:])


def _cell(text: str | None) -> str:
    return _escaped(text or "").replace("|", "\\|").replace("\n", " ")


def _escaped(text: str) -> str:
    return text.replace("<", "&lt;")


def _first(documented: Any) -> str:
    return _cell(inspect.cleandoc(documented.__doc__ or "").partition("\n\n")[0])


REFERENCES: dict[str, Callable[[], str]] = {
    "images": lambda: commands(megalotron_images.cli.app, "megalotron-images"),
    "rehearsal": lambda: commands(rehearsal.cli.app, "rehearsal"),
    "images_errors": lambda: errors(megalotron_images.errors, megalotron_images.errors.ImageError),
    "rehearsal_errors": lambda: errors(rehearsal.errors, rehearsal.errors.RehearsalError),
    "refusals": refusals,
    "python": python,
    "cell_options": cell_options,
    "keys": lambda: keys(settings.Settings),
    "registry_keys": lambda: keys(settings.Registry),
}
