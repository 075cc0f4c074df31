"""The process: its signals, its streams, its errors, and its exit status.

It answers Ctrl-C from the first moment, while the rest is still loaded.
"""

import io
import os
import signal
import sys
from typing import NoReturn

from megalotron_images.errors import CannotTell, ImageError, Stopped
from megalotron_images.terminal import step


def main() -> None:
    """Run the command line; end with an exit status that docs and scripts may rely on."""
    signal.signal(signal.SIGINT, _end_at_once)
    from megalotron_images import cli

    signal.signal(signal.SIGINT, _stop)
    debug = "--debug" in sys.argv[1:2]
    if debug:
        sys.argv.remove("--debug")
    for stream in filter(None, (sys.stdout, sys.stderr)):
        stream.reconfigure(errors="replace")  # not every terminal writes UTF-8
    sys.stderr = sys.stderr or io.StringIO()  # else what belongs there is printed on stdout
    try:
        cli.app()
    except (Exception, Stopped) as error:
        if debug:
            raise
        if isinstance(error, ImageError | Stopped):
            _end(str(error), getattr(error, "status", CannotTell.status))
        said = f"something unexpected ({type(error).__name__}: {error}). See where: --debug"
        _end(said, CannotTell.status)


def _end_at_once(number: int, frame: object) -> NoReturn:
    os.write(2, b"megalotron-images: Stopped: nothing was written.\n")
    os._exit(3)


def _stop(number: int, frame: object) -> NoReturn:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one could know less of what is written
    raise Stopped


def _end(said: str, status: int) -> NoReturn:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdout = None  # what could not be written would be tried again at the end
    step(f"megalotron-images: {said}")
    sys.exit(status)
