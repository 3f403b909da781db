"""The server of the page: Voila, which is given kernels that were started ahead."""

import subprocess
import threading
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from jupyter_client.provisioning.factory import KernelProvisionerFactory
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from traitlets.config import Config

from helpers.page import kernel

PAGE = Path(__file__).with_name("page.ipynb")
LARGEST_MESSAGE = 104_857_600  # bytes; by default the server silently drops uploads of 10 MB and more
# Voila's template asks other hosts for icons that the page does not use; this allows the browser only this host.
ONLY_THIS_HOST = (
    "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; frame-ancestors 'self'; "
    "connect-src 'self' ws://127.0.0.1:* ws://localhost:* data: blob:"  # for older browsers
)
SETTINGS = {"websocket_max_message_size": LARGEST_MESSAGE, "headers": {"Content-Security-Policy": ONLY_THIS_HOST}}
OPTIONS = {
    "Voila": {"ip": "127.0.0.1", "tornado_settings": SETTINGS},
    "VoilaConfiguration": {"theme": "light"},
    # A page that is closed can't end its kernel, for want of a token; kernels without a page end by themselves.
    "MappingKernelManager": {"cull_idle_timeout": 600, "cull_interval": 60},
    "KernelProvisionerFactory": {"default_provisioner_name": "warm"},
}
NEXT = 15.0  # seconds from a visit to the start of the next kernel: until then the visit needs the processor


class Warm(LocalProvisioner):
    """Gives a visitor the kernel that waits, and has the next one started."""

    waiting: "subprocess.Popen | None" = None

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Tell a kernel where its visitor is, in place of running the command."""
        assert self.parent is not None
        ready, Warm.waiting = Warm.waiting, None
        process = ready if ready and ready.poll() is None else kernel.start()
        assert process.stdin is not None
        process.stdin.write(f"{self.parent.connection_file}\n")
        process.stdin.flush()
        self.process, self.pid = process, process.pid
        following = threading.Timer(NEXT, _start_next)
        following.daemon = True  # Ctrl-C does not wait for it
        following.start()
        return self.connection_info


def _start_next() -> None:
    if Warm.waiting is None:
        Warm.waiting = kernel.start()


def serve(first: subprocess.Popen, arguments: list[str]) -> None:
    """Serve the page until Ctrl-C; `first` is what `kernel.start` returned, `arguments` are options of Voila."""
    from voila.app import Voila

    Warm.waiting = first
    KernelProvisionerFactory.provisioners["warm"] = EntryPoint("warm", f"{__name__}:Warm", "")
    Voila.launch_instance([str(PAGE), *arguments], config=Config(OPTIONS))
