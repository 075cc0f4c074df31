"""The folder that commands start in: read outside by who may, written into the room as a copy."""

import io
import tarfile
from pathlib import Path

from rehearsal.errors import CannotCheck


def read_folder(folder: Path) -> bytes:
    """Return what a folder holds, as a tar; sockets, pipes and devices are skipped.

    Raises CannotCheck for what this user may not read.
    """
    packed = io.BytesIO()
    try:
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
            tar.add(folder, arcname=".", filter=_of_root)
    except OSError as error:
        unread = f"{error.filename} cannot be copied into a room ({error.strerror})"
        advice = f"Let this user read it: chmod u+rX {error.filename}"
        raise CannotCheck(f"{unread}. {advice}") from error
    return packed.getvalue()


def _of_root(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    if member.ischr() or member.isblk() or member.isfifo():
        return None
    member.uid, member.gid, member.uname, member.gname = 0, 0, "", ""
    return member


def write_folder(folder: Path, packed: bytes) -> None:
    """Write the copy with modes and times. Raises OSError."""
    folder.mkdir()
    if packed:
        with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
            tar.extraction_filter = lambda member, _: member  # each mode as it is
            tar.extractall(folder)  # noqa: S202 - what read_folder has packed
