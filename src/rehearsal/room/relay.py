"""The kernel `rehearsal`: opens a room, starts ipykernel in it, and relays its five channels.

A room has no network to the outside, but unix sockets are files: inside, the kernel listens on five
of them (`transport: ipc`), and this process copies bytes between those and the five TCP ports (or
sockets) that Jupyter chose. ZMTP is the same over both. So choosing the kernel seals any notebook
tool, and there is no such kernel without a room.
"""

import asyncio
import contextlib
import functools
import json
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

from rehearsal.errors import CannotCheck, RehearsalError
from rehearsal.room.paths import PRIVATE, ROOM
from rehearsal.room.sandbox import Room, open_room
from rehearsal.settings import load_settings

CHANNELS = ("shell", "iopub", "stdin", "control", "hb")
_STRICT = "--InteractiveShellApp.reraise_ipython_extension_failures=True"
"""Without the extension the kernel must not start: it would run IPython's own, lax `%%bash`."""
_CONNECTION = "connection.json"
_PAUSE = 0.005
_SECONDS_BETWEEN_LOOKS = 1.0


def main(arguments: list[str]) -> int:
    """Run one kernel to its end; return 3 where no room can be made."""
    try:
        file = Path(arguments[0])
        outer = json.loads(file.read_text())
        if outer["ip"].startswith(PRIVATE):
            file.unlink()  # only its starter needs it
        with contextlib.closing(_open(outer)) as room:
            asyncio.run(_relay(outer, room))
    except (RehearsalError, OSError) as error:  # as a port that is taken
        print(f"The kernel cannot start: {error}", file=sys.stderr)
        return CannotCheck.status


def _open(outer: dict[str, Any]) -> Room:
    settings = load_settings(Path.cwd())
    ports = {f"{name}_port": number for number, name in enumerate(CHANNELS, 1)}
    inner = outer | ports | {"transport": "ipc", "ip": str(ROOM / "kernel")}
    options = ["-f", str(ROOM / _CONNECTION), "--ext=rehearsal.cell.magic", _STRICT]
    kernel = [sys.executable, "-m", "ipykernel_launcher", *options]
    return open_room(settings, kernel, {_CONNECTION: json.dumps(inner).encode()})


async def _relay(outer: dict[str, Any], room: Room) -> NoReturn:
    """Relay until the room or the process that started this one ends."""
    # getppid alone could name who adopted an orphan
    parent = int(os.environ.get("JPY_PARENT_PID", os.getppid()))
    for number, name in enumerate(CHANNELS, 1):
        join = functools.partial(_join, f"/proc/{room.pid}/root{ROOM}/kernel-{number}")
        port = outer[f"{name}_port"]
        if outer["transport"] == "ipc":
            await asyncio.start_unix_server(join, f"{outer['ip']}-{port}".replace("@", "\0", 1))
        else:
            await asyncio.start_server(join, outer["ip"], port)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(os.pidfd_open(room.supervisor), ended.set)
    while not ended.is_set() and os.getppid() == parent:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), _SECONDS_BETWEEN_LOOKS)
    room.close()
    os._exit(0)  # connections that a client still opens would each leave a complaint


async def _join(path: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Connect one client to the kernel's socket, as soon as that exists."""
    while True:
        try:
            inner_reader, inner_writer = await asyncio.open_unix_connection(path)
            break
        except OSError:
            await asyncio.sleep(_PAUSE)
    await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
