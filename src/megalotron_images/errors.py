"""The errors of this package, each with one line for a person, and an exit status.

ImageError
├── Refused               a rule forbids it, or someone else was first (1)
│   ├── RuleBroken        a name, tag or version breaks the convention
│   └── LostRace          someone else wrote the same tag at the same moment
└── CannotTell            no reliable answer (3; 2 is the command line's own)
    ├── RegistryFailed
    │   └── RegistryRefused   so nothing was done
    │       └── NotThere      it has no such tag or repository
    └── EngineFailed
        └── NameTaken     another push took the image's name
"""


class ImageError(Exception):
    """Its text is one line, of its sentences: what happened, what it means, what to do next."""

    status = 1

    def __str__(self) -> str:
        return " ".join(self.args)


class Refused(ImageError):
    """A rule forbids it, or someone else was first: what the registry holds is not yours."""


class RuleBroken(Refused):
    """A name, tag or version breaks the convention."""


class LostRace(Refused):
    """Someone else wrote the tag at the same moment."""


class CannotTell(ImageError):
    """There is no reliable answer, so the command stops."""

    status = 3


class Stopped(BaseException):
    """A person stopped it (Ctrl-C); what is known of a write is added where it was begun.

    No failure, so that what handles failures lets it pass.
    """

    def __str__(self) -> str:
        return f"Stopped: {' '.join(self.args) or 'nothing was written.'}"


class RegistryFailed(CannotTell):
    """A registry refused, failed, or could not be reached; `message` is its own."""

    def __init__(self, text: str, message: str = "") -> None:
        super().__init__(text)
        self.message = message


class RegistryRefused(RegistryFailed):
    """A registry refused, so nothing was done."""


class NotThere(RegistryRefused):
    """A registry says that it has no such tag or repository."""


class EngineFailed(CannotTell):
    """The Docker engine refused, failed, or could not be reached."""


class NameTaken(EngineFailed):
    """Another push from the same engine took the name of the image being handed over."""


def innermost(error: BaseException) -> BaseException:
    """Return the error that an error began with."""
    while (deeper := error.__cause__ or error.__context__) is not None:
        error = deeper
    return error
