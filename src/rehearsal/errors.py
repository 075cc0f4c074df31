"""What can go wrong, as one family.

RehearsalError     a line for a person, and an exit status (2 is the command line's own)
├── Wrong          checked, and it is wrong (1)
└── CannotCheck    it could not be checked (3)
"""


class RehearsalError(Exception):
    """Its text is one line: what happened, what it means, what to do next."""

    status = 1


class Wrong(RehearsalError):
    """Something was checked and does not hold."""


class CannotCheck(RehearsalError):
    """The check itself could not be made: nothing is known about what was to be checked."""

    status = 3
