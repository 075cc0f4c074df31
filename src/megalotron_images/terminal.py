"""Lines on stdout and stderr, without the control characters that others put into them."""

import io
import sys

from megalotron_images.errors import CannotTell


def printable(text: str) -> str:
    """Return a text whose characters a terminal shows and does not obey; lines stay lines."""
    return "".join(one if one.isprintable() or one == "\n" else " " for one in text)


def write(text: str) -> None:
    """Print an answer on stdout; raise CannotTell if that fails (a full disk)."""
    if sys.stdout is None:
        raise CannotTell("The answer cannot be written: the output is closed.")
    try:
        print(printable(text), flush=True)
    except OSError as error:
        raise CannotTell(f"The answer cannot be written: {error.strerror}.") from None


def step(text: str) -> None:
    """Print a line on stderr; what cannot be written there is no reason to stop."""
    try:
        print(printable(text).replace("\n", " "), file=sys.stderr, flush=True)
    except OSError:
        sys.stderr = io.StringIO()  # what cannot be written would be tried again at the end
