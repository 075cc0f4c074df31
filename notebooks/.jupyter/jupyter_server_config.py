"""JupyterLab on the runbooks, as `make lab` opens it."""

import re

_KERNEL = re.compile(r"(?<=\n  kernelspec:\n)(?:    .*\n)+")
_REHEARSAL = """\
    display_name: Rehearsal (sealed room)
    language: python
    name: rehearsal
"""


def keep_the_kernel(model, **_):
    """Save a runbook's text with the rehearsal's kernel, whichever it was run in."""
    if model["type"] != "file":  # a notebook holds a table, and the guard looks at its kernel
        return
    header, end, body = (model.get("content") or "").partition("\n---\n")
    if header.startswith("---\njupyter:"):
        model["content"] = _KERNEL.sub(_REHEARSAL, header + "\n", count=1)[:-1] + end + body


c = get_config()  # noqa: F821 - Jupyter defines it
c.FileContentsManager.pre_save_hook = keep_the_kernel
# Python's own kernel would run a shell cell without a room and without a guard.
c.KernelSpecManager.allowed_kernelspecs = {"rehearsal", "production"}
c.KernelSpecManager.ensure_native_kernel = False
