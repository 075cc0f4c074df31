"""How the host starts this project's kernels."""

import queue
import time
import uuid
from typing import Any

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

from rehearsal.errors import CannotCheck
from rehearsal.room.paths import PRIVATE
from rehearsal.settings import KERNEL

DIED = "the kernel has died; to see why, run the cell's commands one by one in a shell."
_SECONDS_BETWEEN_LOOKS = 1.0


def private_manager(**options: Any) -> KernelManager:
    """Return a manager whose kernel listens on sockets without a file (unix(7), abstract).

    The TCP ports that Jupyter picks are free when it looks: of 160 kernels started four at a time,
    one found its port taken.
    """
    return KernelManager(transport="ipc", ip=f"{PRIVATE}{uuid.uuid4().hex}", **options)


def get_message(kernel: Any, stream: str, timeout: float) -> dict[str, Any]:
    """Return the next message on a stream of nbval's kernel.

    Raises queue.Empty after `timeout` seconds, and CannotCheck within two once the kernel has died:
    nbval would wait for its answer until then.
    """
    get = kernel.kc.get_iopub_msg if stream == "iopub" else kernel.kc.get_shell_msg
    end = time.monotonic() + timeout
    while True:
        try:
            return dict(get(timeout=min(_SECONDS_BETWEEN_LOOKS, timeout)))
        except queue.Empty:
            if not kernel.is_alive():
                raise CannotCheck(DIED) from None
            if time.monotonic() > end:
                raise


def check_kernel(kernel: str, notebook: str) -> None:
    """Raise CannotCheck unless a notebook asks for the rehearsal's kernel, and it is installed."""
    if kernel != KERNEL:
        raise CannotCheck(f"{notebook} asks for the kernel {kernel}: write {KERNEL}.")
    if KERNEL not in KernelSpecManager().find_kernel_specs():
        raise CannotCheck(f"The kernel {KERNEL} is not installed here: run `make setup`.")
