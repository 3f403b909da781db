"""Search by image as a page, without code: `make app`. Voila runs page.ipynb for each visitor and shows its widgets."""

import os
import sys
from pathlib import Path

from helpers.connect import connect
from helpers.explore.page import networks
from helpers.features.weights import ModelUnavailableError
from helpers.images import DATA
from helpers.ingest import ingest
from helpers.memora import MemoraError

PAGE = Path(__file__).with_name("page.ipynb")
LARGEST_MESSAGE = 104_857_600  # bytes; by default the server silently drops uploads of 10 MB and more
# Voila's template asks other hosts for icons that the page does not use; this allows the browser only this host.
ONLY_THIS_HOST = (
    "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; frame-ancestors 'self'; "
    "connect-src 'self' ws://127.0.0.1:* ws://localhost:* data: blob:"  # for older browsers
)
SETTINGS = {"websocket_max_message_size": LARGEST_MESSAGE, "headers": {"Content-Security-Policy": ONLY_THIS_HOST}}
OPTIONS = ["--Voila.ip=127.0.0.1", f"--Voila.tornado_settings={SETTINGS}", "--theme=light"]


def main() -> None:
    """Set up what is missing, then serve the page until Ctrl-C; other arguments go to Voila."""
    try:
        client = connect()
        for extractor, collection in networks():
            print(ingest(client, DATA, extractor=extractor, collection=collection))
    except (OSError, ValueError, MemoraError, ModelUnavailableError) as error:
        sys.exit(f"make app: {error}")
    print("The page opens in your browser; Ctrl-C stops it.")
    sys.stdout.flush()
    arguments = [sys.executable, "-m", "voila", str(PAGE), *OPTIONS, *sys.argv[1:]]
    os.execv(sys.executable, arguments) if os.name != "nt" else sys.exit(_run(arguments))


def _run(arguments: list[str]) -> int:
    import subprocess  # on Windows execv would return to the terminal before the page is closed

    return subprocess.run(arguments, check=False).returncode


if __name__ == "__main__":
    main()
