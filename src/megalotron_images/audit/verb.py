"""The verb `audit`: the answer in the form that is asked for, and its exit status."""

from pathlib import Path
from typing import Any

from megalotron_images.errors import CannotTell

_INSTALL = "pip install 'image-process[audit] @ git+https://github.com/Megalotron/image-process'"


def answer(folder: str, repository: str, github: bool) -> tuple[str, dict[str, Any], int]:
    """Return the answer as text and as data, and the exit status.

    github: the text is annotations for a workflow's log.
    Raises CannotTell, with what to install, where the extra `audit` is missing.
    """
    try:
        from megalotron_images.audit import report
        from megalotron_images.audit.repository import audit
    except ModuleNotFoundError as error:
        raise CannotTell(f"{error.name} is missing: install the extra, {_INSTALL}") from None
    found = audit(Path(folder), repository)
    text = report.annotations(found) if github else report.text(found)
    return text, report.data(found), report.status(found)
