"""A kernel for the page, started ahead: it imports what the page needs while Voila starts, then waits for a visitor."""

import logging
import os
import subprocess
import sys
import threading
from typing import Any


def start() -> subprocess.Popen:
    """Start such a kernel as a process, which ends with this one; a line to its standard input names a visitor."""
    own: dict[str, Any] = {"start_new_session": True}  # Ctrl-C is for the server, which then ends its kernels
    if sys.platform == "win32":
        own = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    own["env"] = os.environ | {"PYDEVD_DISABLE_FILE_VALIDATION": "1"}  # else the debugger, unused here, writes warnings
    return subprocess.Popen([sys.executable, "-m", "helpers.page.kernel"], stdin=subprocess.PIPE, text=True, **own)


def main() -> None:
    """Import, wait for the name of a connection file, and be the kernel that it describes."""
    from helpers.page.page import warm_up

    warm_up()
    from ipykernel.kernelapp import IPKernelApp

    logging.getLogger("Comm").setLevel(logging.ERROR)  # it warns of what a page that was closed still says
    if file := sys.stdin.readline().strip():  # else the server has ended
        threading.Thread(target=_end_with_the_server, daemon=True).start()
        # What is printed goes to the terminal, as before the visit: on the page it would be a riddle.
        IPKernelApp.launch_instance(["-f", file], outstream_class=None, log_level="CRITICAL")


def _end_with_the_server() -> None:
    sys.__stdin__.read()  # type: ignore[union-attr]  # until it is closed
    os._exit(0)


if __name__ == "__main__":
    main()
