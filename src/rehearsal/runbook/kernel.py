"""How the host starts this project's kernels."""

import uuid
from typing import Any

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

from rehearsal.errors import CannotCheck
from rehearsal.room.paths import PRIVATE
from rehearsal.settings import KERNEL


def private_manager(**options: Any) -> KernelManager:
    """Return a manager whose kernel listens on sockets without a file (unix(7), abstract).

    The TCP ports that Jupyter picks are free when it looks: of 160 kernels started four at a time,
    one found its port taken.
    """
    return KernelManager(transport="ipc", ip=f"{PRIVATE}{uuid.uuid4().hex}", **options)


def check_kernel(kernel: str, notebook: str) -> None:
    """Raise CannotCheck unless a notebook asks for the rehearsal's kernel, and it is installed."""
    if kernel != KERNEL:
        other = f"{notebook} asks for the kernel {kernel}"
        raise CannotCheck(f"{other}: a notebook is verified in the kernel {KERNEL}.")
    if KERNEL not in KernelSpecManager().find_kernel_specs():
        missing = f"The kernel {KERNEL} is not installed here"
        raise CannotCheck(f"{missing}: run `make setup` in the project's folder.")
