"""The command `rehearsal`: parse, call one function, print."""

import locale
import os
import signal
import sys
from functools import partial
from pathlib import Path

import click

from rehearsal.cell.production import record as records
from rehearsal.cell.production.record_page import to_markdown
from rehearsal.errors import CannotCheck, RehearsalError, Wrong, lacks_extra
from rehearsal.output import say
from rehearsal.room.engine import NAME_VARIABLE, STORE_VARIABLE, choose_engine
from rehearsal.room.sandbox import open_room, probe
from rehearsal.settings import KERNEL, STORES, load_settings

_STATUSES = "Exit status: 0 it holds, 1 checked and wrong, 2 wrong command line, 3 could not check."
_UNPARSED = {"ignore_unknown_options": True, "allow_interspersed_args": False}
notebooks_argument = click.argument(
    "notebooks", nargs=-1, metavar="[NOTEBOOK]...", help="Names or paths; all if none is given."
)


def _export(context: click.Context, option: click.Parameter, value: str) -> None:
    """Pass an option to child processes, by its environment variable."""
    os.environ[str(option.envvar)] = value


_exported = partial(
    click.option, default="", show_envvar=True, expose_value=False, callback=_export
)
_ENGINE = "A Docker of engines/, or `machine` for the one in PATH; the recorded one if not given."
_STORE = "Where that keeps images; the recorded store if not given."
engine_option = _exported("--engine", metavar="NAME", envvar=NAME_VARIABLE, help=_ENGINE)
store_option = _exported("--store", metavar="|".join(STORES), envvar=STORE_VARIABLE, help=_STORE)
_CONTINUE = "Go on with the last production run, or with that of this record."


def _shard(context: click.Context, option: click.Parameter, value: str) -> slice:
    """Return the slice of the I-th of N parts (`I/N`)."""
    number, _, count = value.partition("/")
    if not (number.isdigit() and count.isdigit() and 0 < int(number) <= int(count)):
        raise click.BadParameter(f"{value} is not a part: write 1/3 for the first of three.")
    return slice(int(number) - 1, None, int(count))


@click.group(epilog=_STATUSES)
@click.version_option(package_name="image-process")
@click.option("--debug", is_flag=True, expose_value=False, help="Show an error's traceback.")
def app() -> None:
    """Documentation that runs: execute notebooks in sealed rooms, and check that they hold."""


@app.command(epilog="Example: rehearsal room -- docker pull alpine", context_settings=_UNPARSED)
@click.argument("command", nargs=-1, help="What to run; a shell if nothing is given.")
@engine_option
@store_option
def room(command: tuple[str, ...]) -> int:
    """Run a command, or a shell, in a fresh room.

    It ends with the command's exit status.

    The practice credentials of the room's registries are shown first. Nothing in the room can reach
    anything outside, and nothing of it is left afterwards.
    """
    settings = load_settings(Path.cwd())
    shell = [os.environ.get("SHELL", "/bin/bash")]
    return open_room(settings, [*command] or shell, {}).wait()


@app.command(epilog="Example: rehearsal verify push-an-image")
@notebooks_argument
@engine_option
@store_option
@click.option("--shard", default="1/1", metavar="I/N", callback=_shard, help="Part I of N alone.")
def verify(notebooks: tuple[str, ...], shard: slice) -> None:
    """Run notebooks in rooms, and compare what they print.

    Each output must be the one recorded, but for masks. Nothing is changed.

    On an engine on which the pages were never recorded, outputs that differ are listed, and the
    status is 3.
    """
    from rehearsal.runbook import evidence, execute, lint, model
    from rehearsal.runbook.masks import masks_for

    settings = load_settings(Path.cwd())
    unrun = () if notebooks else lint.list_unrun_files(settings)
    runbooks = model.find_runbooks(settings, notebooks)[shard]
    chosen = choose_engine(settings)
    lint.check_cells(runbooks)
    probe(settings)  # each kernel would take seconds to fail, without the reason
    recorded = evidence.is_recorded(settings, chosen)
    masks = () if notebooks or shard.step > 1 else masks_for(settings, chosen)
    outcome = execute.verify(settings, runbooks, masks, recorded)
    outcome.problems[:0] = unrun
    for line in outcome.lines():
        say(line)
    say(f"{'Verified' if outcome.holds else 'Not verified'} on {chosen}: {outcome}")
    outcome.raise_for_failures(chosen, recorded)


@app.command(epilog="Example: rehearsal refresh push-an-image")
@notebooks_argument
@engine_option
@store_option
def refresh(notebooks: tuple[str, ...]) -> None:
    """Execute notebooks in rooms, and write what changed.

    A notebook whose outputs still match is left as it is.
    """
    from rehearsal.runbook import lint, model
    from rehearsal.runbook.refresh import refresh_notebooks

    settings = load_settings(Path.cwd())
    for unrun in () if notebooks else lint.list_unrun_files(settings):
        say(str(unrun), error=True)
    runbooks = model.find_runbooks(settings, notebooks)
    lint.check_cells(runbooks)
    if not os.environ.get(NAME_VARIABLE) and choose_engine(settings).name != settings.engine:
        fetch = "is not here: fetch it (make setup), or choose --engine machine."
        raise CannotCheck(f"{settings.engine}, on which the pages are recorded, {fetch}")
    probe(settings)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)  # drafts do not stay behind
    for runbook, written in refresh_notebooks(runbooks):
        said = "written" if written else "still matches, left as it is"
        say(f"{runbook.executed_path.name}: {said}")


@app.command(epilog="Example: rehearsal run push-an-image")
@click.argument("notebook", help="Its name or path.")
@click.option("--production", is_flag=True, help="On your own engine, for real.")
@click.option(
    "--continue", "goes_on", is_flag=False, flag_value="", metavar="[FILE]", help=_CONTINUE
)
def run(notebook: str, production: bool, goes_on: str | None) -> None:
    """Go through a notebook step by step: read, then run, skip or stop.

    It runs in a room, or with --production on your own engine: then each write waits for its full
    reference, runs/ gets a record, and a failed step can be run again.
    """
    from rehearsal.runbook.lint import check_cells
    from rehearsal.runbook.model import find_runbooks
    from rehearsal.step import walk_through

    settings = load_settings(Path.cwd())
    runbook = find_runbooks(settings, [notebook])[0]
    check_cells([runbook])
    if goes_on is not None and not production:
        raise click.BadParameter("--continue goes on with a production run: add --production.")
    before = Path(goes_on) if goes_on else None
    if goes_on == "":
        before = records.find_unfinished(settings.root / "runs", runbook.name)
    kernel = "production" if production else KERNEL
    if not walk_through(runbook, kernel, settings.root, before):
        raise Wrong(f"{runbook.name} did not go through.")


@app.command(epilog="Example: rehearsal runs push-an-image")
@click.argument("notebook", default="", help="Its name; all if none is given.")
def runs(notebook: str) -> None:
    """List the records of production runs, the oldest first, and how each ended."""
    files = records.find_records(load_settings(Path.cwd()).root / "runs", notebook)
    for file in files:
        try:
            said = records.how_it_ended(records.read_record(file))
        except CannotCheck as error:
            said = str(error)
        say(f"{file}: {said}")
    if not files:
        say("No production run is on record yet.")


@app.command(epilog="Example: rehearsal record runs/20260101T120000.000Z-123-push-an-image.jsonl")
@click.argument("file", type=click.Path(path_type=Path), help="The record of a production run.")
def record(file: Path) -> None:
    """Print the record of a production run as a page, in Markdown."""
    say(to_markdown(records.read_record(file)), end="")


def main() -> None:
    """Run the command line; end with an exit status that docs and scripts may rely on."""
    if not sys.flags.utf8_mode and locale.getencoding() != "UTF-8":  # texts are UTF-8 everywhere
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, sys.orig_argv)
    try:
        status = app.main(standalone_mode=False) or 0
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except click.Abort:
        status = 130  # of Ctrl-C; click's own would say "checked and wrong"
    except Exception as error:
        if "--debug" in sys.argv[1:2]:
            raise
        if isinstance(error, ModuleNotFoundError):
            error = lacks_extra(error)
        if not isinstance(error, RehearsalError):
            why = f"{type(error).__name__}: {error}"
            error = CannotCheck(f"it could not be checked ({why}). See where: --debug")
        status = error.status
        say(f"rehearsal: {error}", error=True)
        sys.stdout = None  # what cannot be written would be tried again at the end
    sys.exit(status)
