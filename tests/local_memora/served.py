"""A Memora that is really served: another process, a port, HTTP. Used by tests that need one."""

import io
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from helpers.memora import Memora
from helpers.settings import HOSTED, ROOT
from tests.clean_state import environment

START_SECONDS = 600  # importing the engine on a busy machine takes its time; nothing waits for this when all is well


@dataclass
class Served:
    """A running process and what it printed for its clients."""

    process: subprocess.Popen[str]
    settings: dict[str, str]
    errors: Path

    @property
    def url(self) -> str:
        return self.settings["MEMORA_URL"]

    @property
    def project(self) -> str:
        return self.settings["MEMORA_PROJECT_ID"]

    @property
    def key(self) -> str:
        return self.settings["MEMORA_API_KEY"]

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def client(self, **other: Any) -> Memora:
        """Return a client; `api_key`, `project_id` or `base_url` may be others than those that were printed."""
        return Memora(**{"api_key": self.key, "project_id": self.project, "base_url": self.url} | other)

    def log(self) -> str:
        """Return what it has written to stderr so far."""
        return self.errors.read_text(encoding="utf-8")

    def terminate(self) -> None:
        """Send SIGTERM and return at once."""
        self.process.send_signal(signal.SIGTERM)

    def stop(self, seconds: float = 600) -> int:
        """Send SIGTERM, wait for the end, and return the exit status."""
        self.terminate()
        return self.process.wait(seconds)


def command(folder: Path | str, **options: Any) -> list[str]:
    """Return the command line that serves a folder; an option that is a list is given once for each."""
    words = [sys.executable, "-m", "local_memora"]
    for name, value in {"engine": folder, "port": 0, **options}.items():
        for each in value if isinstance(value, list | tuple) else [value]:
            words += [f"--{name}", str(each)]
    return words


@contextmanager
def served(folder: Path | str, *, variables: Mapping[str, str] | None = None, **options: Any) -> Iterator[Served]:
    """Serve a folder, or an engine's URL, until the block ends.

    Parameters
    ----------
    folder : Path or str
        The value of `--engine`.
    variables : mapping, optional
        Environment variables; without them the process sees a clean state, whatever the user has set.
    **options
        Command line options: `key="k"`, `project=["a", "b"]`, `threads=2`; the port is a free one unless given.
    """
    with started(command(folder, **options), variables) as process:
        yield process


@contextmanager
def started(words: list[str], variables: Mapping[str, str] | None = None) -> Iterator[Served]:
    """Start a process that prints the three lines, and wait for them; none outlives the block."""
    with tempfile.TemporaryDirectory() as home:
        log = Path(home) / "stderr"
        with log.open("w") as errors:
            process = subprocess.Popen(
                words,
                cwd=ROOT,
                env=surroundings(Path(home)) | dict(variables or {}),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        watch = threading.Timer(START_SECONDS, process.kill)
        watch.start()
        try:
            assert process.stdout
            lines = [process.stdout.readline() for _ in HOSTED]
            watch.cancel()
            settings = dotenv_values(stream=io.StringIO("".join(lines)))
            running = Served(process, {name: value or "" for name, value in settings.items()}, log)
            assert set(settings) == set(HOSTED), f"it printed {lines} and said: {running.log()}"
            yield running
        finally:
            watch.cancel()
            process.kill()
            process.wait()
            process.stdout.close()


def surroundings(home: Path) -> dict[str, str]:
    """Return all environment variables of a process in a clean state; MEMORA_ENGINE is empty too."""
    return {**os.environ, **environment(home), "MEMORA_ENGINE": ""}
