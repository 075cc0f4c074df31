"""What can go wrong with the image process, as one family.

Each has one line for a person, and an exit status.

ImageError            the root: what happened, what it means, what to do next ├── Refused
a rule says no, or somebody else was first: what stands there is not yours (1) │   ├── RuleBroken
a name, tag or version breaks the convention │   └── LostRace      somebody wrote the same tag at
the same moment, and theirs is what stands there └── CannotTell        registry or engine did not
give an answer to rely on (3; 2 is the command line's own) ├── RegistryFailed │   └──
RegistryRefused   it said no, so it did nothing └── EngineFailed └── NameTaken another push from the
same engine took the name under which an image was handed over
"""


class ImageError(Exception):
    """Its text is one line: what happened, what it means, what to do next."""

    status = 1


class Refused(ImageError):
    """A rule of the process says no, or somebody else was first.

    What stands in the registry is not yours.
    """


class RuleBroken(Refused):
    """A name, tag or version that the convention does not allow."""


class LostRace(Refused):
    """The tag names what somebody else wrote at the same moment."""


class CannotTell(ImageError):
    """There is no answer to rely on, so nothing is known, and nothing goes on."""

    status = 3


class RegistryFailed(CannotTell):
    """A registry refused, failed, or could not be reached; `said` holds its own words."""

    def __init__(self, text: str, said: str = "") -> None:
        super().__init__(text)
        self.said = said


class RegistryRefused(RegistryFailed):
    """A registry said no, itself: what was asked for was not done."""


class EngineFailed(CannotTell):
    """The Docker engine refused, failed, or could not be reached."""


class NameTaken(EngineFailed):
    """Another push from the same engine took the name under which an image was handed over."""
