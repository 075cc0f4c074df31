"""Reference pages from the code: command lines, errors, refusals, the Python API."""

import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import typer.main
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

import megalotron_images.cli
import megalotron_images.errors
import rehearsal.cli
import rehearsal.errors
from megalotron_images.registry.hints import REFUSALS

MODULES = ("convention", "registry.client", "plan", "release", "status", "timeline", "engine")
_PLACE = re.compile(r"^<!-- reference: (\w+) -->$", re.MULTILINE)


def commands(app: Any, program: str) -> str:
    """Return a command line's verbs: purpose, arguments, options, an example."""
    group = typer.main.get_command(app)
    parts = []
    for name, command in sorted(group.commands.items()):
        parts.append(f"### {program} {name}\n\n{inspect.cleandoc(command.help or '')}")
        rows = [
            f"| {_how(parameter)} | {_help(getattr(parameter, 'help', ''))} |"
            for parameter in command.params
        ]
        if rows:
            parts.append("\n".join(["| Argument or option | What it is |", "| --- | --- |", *rows]))
        if command.epilog:
            parts.append(re.sub(r"Example: (.*)", r"Example: `\1`", command.epilog))
    return "\n\n".join(parts)


def _how(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{parameter.metavar or parameter.name.upper()}`"
    value = "" if parameter.is_flag else f" {parameter.metavar}"
    return f"`{parameter.opts[0]}{value}`"


def _cell(text: str | None) -> str:
    return (text or "").replace("|", "\\|").replace("\n", " ")


def errors(module: Any, root: type) -> str:
    """Return a package's errors, each with its meaning and exit status."""
    found = [
        kind for _, kind in inspect.getmembers(module, inspect.isclass) if issubclass(kind, root)
    ]
    rows = [f"| `{kind.__name__}` | {kind.status} | {_first(kind)} |" for kind in found]
    return "\n".join(["| Error | Exit status | Means |", "| --- | --- | --- |", *rows])


def refusals() -> str:
    """Return registries' refusals, with cause and next step."""
    rows = [
        f"| `{_cell(refusal.said)}` | {refusal.cause} | {refusal.step} |" for refusal in REFUSALS
    ]
    return "\n".join(
        ["| The registry says | Likely cause | Next step |", "| --- | --- | --- |", *rows]
    )


def python() -> str:
    """Return the public names of the helper's modules, with the first line of their docstrings."""
    return "\n\n".join("\n".join(_module(name)) for name in MODULES)


def _module(name: str) -> Iterator[str]:
    module = importlib.import_module(f"megalotron_images.{name}")
    yield f"## megalotron_images.{name}\n\n{_first(module)}\n\n| Name | What it is |\n| --- | --- |"
    for public, found in inspect.getmembers(module):
        ours = getattr(found, "__module__", None) == module.__name__ and not public.startswith("_")
        if ours and (inspect.isclass(found) or inspect.isfunction(found)):
            arguments = (
                ""
                if inspect.isclass(found)
                else f"({', '.join(inspect.signature(found).parameters)})"
            )
            yield f"| `{public}{arguments}` | {_first(found)} |"


def _help(text: str | None) -> str:
    return _cell(text).replace("<", "&lt;")


def _first(documented: Any) -> str:
    return _cell(inspect.cleandoc(documented.__doc__ or "").partition("\n\n")[0])


REFERENCES: dict[str, Callable[[], str]] = {
    "images": lambda: commands(megalotron_images.cli.app, "megalotron-images"),
    "rehearsal": lambda: commands(rehearsal.cli.app, "rehearsal"),
    "images_errors": lambda: errors(megalotron_images.errors, megalotron_images.errors.ImageError),
    "rehearsal_errors": lambda: errors(rehearsal.errors, rehearsal.errors.RehearsalError),
    "refusals": refusals,
    "python": python,
}


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Replace each marker by its reference."""
    return _PLACE.sub(lambda match: REFERENCES[match[1]](), markdown)
