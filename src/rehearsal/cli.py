"""The command `rehearsal`: parse, call one function, print."""

import gc
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from rehearsal.errors import CannotCheck, RehearsalError, Wrong
from rehearsal.room.engine import NAME_VARIABLE, STORE_VARIABLE, choose_engine
from rehearsal.settings import KERNEL, STORES, load_settings

app = typer.Typer(
    help="Documentation that runs: execute notebooks in sealed rooms, and check that they hold.",
    epilog=(
        "Exit status: 0 it holds, 1 checked and wrong, 2 wrong command line, 3 could not check. "
        "With --debug before the command an error shows its traceback."
    ),
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="NOTEBOOK", help="Names or paths; all if none is given."),
]


def _export(option: typer.CallbackParam, value: str) -> str:
    """Pass an option to child processes, by its environment variable."""
    if value:
        os.environ[str(option.envvar)] = value
    return value


def _exported(option: str, metavar: str, variable: str, what: str) -> Any:
    return typer.Option(option, metavar=metavar, envvar=variable, callback=_export, help=what)


_ENGINE = "A Docker of engines/, or `machine` for the one in PATH; the recorded one if not given."
_STORE = "Where that keeps images; the recorded store if not given."
EngineName = Annotated[str, _exported("--engine", "NAME", NAME_VARIABLE, _ENGINE)]
StoreName = Annotated[str, _exported("--store", "|".join(STORES), STORE_VARIABLE, _STORE)]


@app.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog="Example: rehearsal room -- docker pull alpine",
)
def room(
    command: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="COMMAND", help="The command and its arguments; a shell if none is given."
        ),
    ] = None,
    engine: EngineName = "",
    store: StoreName = "",
) -> None:
    """Run a command, or a shell, in a fresh room.

    It ends with the command's exit status.

    The practice credentials of the room's registries are shown first. Nothing in the room can reach
    anything outside, and nothing of it is left afterwards.
    """
    from rehearsal.room.sandbox import open_room

    settings = load_settings(Path.cwd())
    shell = [os.environ.get("SHELL", "/bin/bash")]
    raise typer.Exit(open_room(settings, command or shell, files={}, in_terminal=True).wait())


@app.command(epilog="Example: rehearsal verify push-an-image")
def verify(
    notebooks: Names = None,
    engine: EngineName = "",
    store: StoreName = "",
    shard: Annotated[
        str, typer.Option(metavar="I/N", help="Only the I-th of N parts of the notebooks.")
    ] = "",
) -> None:
    """Run notebooks in rooms, and compare what they print.

    Each output must be the one recorded, but for masks. Nothing is changed.

    On an engine on which the pages were never recorded, outputs that differ are listed, and the
    status is 3.
    """
    from rehearsal.room.sandbox import check_machine, probe
    from rehearsal.runbook import compare, evidence, execute, lint, model

    gc.disable()  # it took 3 % of the time, and this process ends within seconds
    settings = load_settings(Path.cwd())
    strays = () if notebooks else lint.list_passed_over(settings)
    runbooks = model.part_of(model.find_runbooks(settings, notebooks or ()), shard)
    chosen = choose_engine(settings)
    check_machine(chosen)
    if chosen.name != (engine or settings.engine):
        missing = f"{settings.engine} is not here (make setup fetches it)"
        print(f"{missing}: this machine's engine serves.", file=sys.stderr)
    recorded = evidence.is_recorded(settings, chosen)
    masks = () if notebooks or shard else compare.masks_for(settings, chosen)
    outcome = execute.verify(settings, runbooks, masks, recorded)
    outcome.problems[:0] = strays
    for line in outcome.lines():
        print(line)
    print(f"{'Verified' if outcome.holds else 'Not verified'} on {chosen}: {outcome}")
    if outcome.unchecked:
        probe(settings)  # it says why, where no room can be made here
    outcome.judge(chosen, recorded)


@app.command(epilog="Example: rehearsal refresh push-an-image")
def refresh(notebooks: Names = None, engine: EngineName = "", store: StoreName = "") -> None:
    """Execute notebooks in rooms, and write what changed.

    A notebook whose outputs still match is left as it is.
    """
    from rehearsal.room.sandbox import probe
    from rehearsal.runbook import execute, lint, model

    settings = load_settings(Path.cwd())
    for stray in () if notebooks else lint.list_passed_over(settings):
        print(stray, file=sys.stderr)
    runbooks = model.find_runbooks(settings, notebooks or ())
    if not engine and choose_engine(settings).name != settings.engine:
        missing = f"{settings.engine}, on which the pages are recorded, is not here"
        raise CannotCheck(f"{missing}: fetch it (make setup), or say --engine machine.")
    probe(settings)
    for runbook, written in execute.refresh(runbooks):
        said = "written" if written else "still matches, left as it is"
        print(f"{runbook.executed_path.name}: {said}")


@app.command(epilog="Example: rehearsal run push-an-image")
def run(
    notebook: Annotated[str, typer.Argument(metavar="NOTEBOOK", help="Its name or path.")],
    production: Annotated[
        bool, typer.Option("--production", help="On your own engine, for real.")
    ] = False,
    goes_on: Annotated[
        bool, typer.Option("--continue", help="Go on with the last production run, if stopped.")
    ] = False,
) -> None:
    """Go through a notebook step by step: read, then run, skip or stop.

    It runs in a room, or with --production on your own engine: then each write waits for its full
    reference, and runs/ gets a record. After a failed step you may run it again.
    """
    from rehearsal.cell.record import find_unfinished
    from rehearsal.runbook.model import find_runbooks
    from rehearsal.step import walk_through

    settings = load_settings(Path.cwd())
    runbook = find_runbooks(settings, [notebook])[0]
    if goes_on and not production:
        raise typer.BadParameter("--continue goes on with a production run: say --production too.")
    before = find_unfinished(settings.root / "runs", runbook.name) if goes_on else None
    if not walk_through(runbook, "production" if production else KERNEL, before):
        raise Wrong(f"{runbook.name} did not go through.")


@app.command(epilog="Example: rehearsal record runs/20260101T120000.000Z-123-push-an-image.jsonl")
def record(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The record of a production run.")],
) -> None:
    """Print the record of a production run as a page, in Markdown."""
    from rehearsal.cell.record import read_record, to_markdown

    print(to_markdown(read_record(file)), end="")


def main() -> None:
    """Run the command line; end with an exit status that docs and scripts may rely on."""
    debug = "--debug" in sys.argv[1:2]
    if debug:
        sys.argv.remove("--debug")
    try:
        try:
            app()
        finally:
            if sys.stdout:
                sys.stdout.flush()
    except Exception as error:
        if debug:
            raise
        if isinstance(error, RehearsalError):
            status, said = error.status, str(error)
        else:
            status, said = CannotCheck.status, f"{type(error).__name__}: {error}"
            said = f"it could not be checked ({said}). See where: --debug"
        print(f"rehearsal: {said}", file=sys.stderr)
        sys.stdout = None  # what cannot be written would be tried again at the end
        sys.exit(status)
