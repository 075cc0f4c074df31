"""The errors of this package.

RehearsalError     a line for a person, and an exit status (2 is the command line's own)
├── Wrong          a check failed (1)
└── CannotCheck    a check could not be made (3)
"""


class RehearsalError(Exception):
    """Its text is one line: what happened, what it means, what to do next."""

    status = 1

    def _render_traceback_(self) -> list[str]:
        """Show that line in a notebook, without a traceback through this package."""
        return [str(self)]


class Wrong(RehearsalError):
    """A check failed."""


class CannotCheck(RehearsalError):
    """A check could not be made, so nothing is known about its subject."""

    status = 3


def lacks_extra(error: ModuleNotFoundError) -> CannotCheck:
    """Return the error of a package that is missing where only the helper is installed."""
    extra = "image-process[rehearsal] @ git+https://github.com/Megalotron/image-process"
    return CannotCheck(f"{error.name} is missing: install the extra, pip install '{extra}'")
