"""The folder that commands start in: read outside by who may, written into the room as a copy."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from rehearsal.errors import CannotCheck


@dataclass(frozen=True)
class Copied:
    """A file, folder or link.

    Attributes:
        path: below the folder.
        status: lstat(2) of it.
        content: of a file, or where a link leads to.
    """

    path: str
    status: os.stat_result
    content: bytes = b""


def read_folder(folder: Path) -> tuple[Copied, ...]:
    """Return what a folder holds, parents first; sockets, pipes and devices are skipped.

    Raises CannotCheck for what this user may not read.
    """
    found = []
    try:
        for place, folders, names in os.walk(folder, onerror=_fail):
            for path in (os.path.join(place, name) for name in (*folders, *names)):
                status = os.lstat(path)
                if content := _read(path, status.st_mode):
                    found.append(Copied(os.path.relpath(path, folder), status, *content))
    except OSError as error:
        why = f"cannot be copied into a room ({error.strerror}). Let this user read it: chmod u+rX"
        raise CannotCheck(f"{error.filename} {why} {error.filename}") from error
    return tuple(found)


def _fail(error: OSError) -> None:
    raise error


def _read(path: str, mode: int) -> tuple[bytes, ...] | None:
    """Return what `Copied` holds of its content: nothing of a folder; None for what is skipped."""
    if stat.S_ISLNK(mode):
        return (os.readlink(os.fsencode(path)),)
    if stat.S_ISREG(mode):
        return (Path(path).read_bytes(),)
    return (b"",) if stat.S_ISDIR(mode) else None


def write_folder(folder: Path, copied: tuple[Copied, ...]) -> None:
    """Write the copy with modes and times. Raises OSError."""
    folder.mkdir()
    for one in copied:
        path, mode = folder / one.path, one.status.st_mode
        if stat.S_ISLNK(mode):
            path.symlink_to(os.fsdecode(one.content))
            continue
        path.mkdir() if stat.S_ISDIR(mode) else path.write_bytes(one.content)
        path.chmod(stat.S_IMODE(mode))
    for one in reversed(copied):  # a folder's time changes with what is put into it
        times = (one.status.st_atime_ns, one.status.st_mtime_ns)
        os.utime(folder / one.path, ns=times, follow_symlinks=False)
