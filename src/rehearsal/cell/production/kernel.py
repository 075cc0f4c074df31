"""The kernel `production`: IPython with a folder of its own, so that a full home cannot end it."""

import os
import sys
import tempfile


def main() -> int:
    """Run the kernel to its end; return 3 where there is no room for its files."""
    from ipykernel.kernelapp import launch_new_instance

    try:
        folder = tempfile.TemporaryDirectory(prefix="rehearsal-")
    except OSError as error:
        where = f"{tempfile.gettempdir()} ({error.strerror})"
        print(f"The kernel production cannot write to {where}: free space there.", file=sys.stderr)
        return 3
    with folder:
        os.environ.update(IPYTHONDIR=folder.name)
        launch_new_instance()
    return 0


if __name__ == "__main__":
    sys.exit(main())
