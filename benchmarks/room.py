"""What the benchmarks of a class share: a class and the process that serves it, and the page of their figures."""

import html
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.measure import Table
from helpers.settings import ROOT

COMMAND = (sys.executable, "-m", "local_memora", "class")
FIGURES = ROOT / "docs" / "teaching" / "figures.md"
EVERY = 0.5  # seconds between two looks at the server's memory


class Room:
    """A class made for one run, and the process that serves it.

    Parameters
    ----------
    home : Path
        A folder for its data, its hand-out and the server's log.
    students : int
        How many.

    Attributes
    ----------
    slips : list of dict
        The three settings of each student.
    """

    def __init__(self, home: Path, students: int) -> None:
        self.folder, self._log, self._port = home / "class", home / "log", 0
        handout = home / "handout.html"
        words = ["new", "benchmark", f"--students={students}", f"--handout={handout}", f"--folder={self.folder}"]
        said = subprocess.run([*COMMAND, *words], check=True, capture_output=True, text=True).stdout
        self.teacher = said.split()[-1]  # the key
        texts = re.findall(r"<pre>(.*?)</pre>", handout.read_text(encoding="utf-8"), flags=re.DOTALL)
        self.slips = [dict(line.split("=", 1) for line in html.unescape(text).splitlines()) for text in texts]

    def start(self) -> None:
        """Serve; again on the same port where it was served before."""
        words = [*COMMAND, "serve", f"--port={self._port}", f"--folder={self.folder}"]
        with self._log.open("a") as log:
            self._serve = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self._serve.stdout
        self.url = self._serve.stdout.readline().strip().partition("=")[2]
        if not self.url:
            raise RuntimeError(f"the class server did not start: {self._log.read_text()[-500:]}")
        self._port = int(self.url.rpartition(":")[2])
        self.process = psutil.Process(self._serve.pid)
        for slip in self.slips:
            slip["MEMORA_URL"] = self.url

    def restart(self) -> None:
        """End the server as a power cut does, and start it again."""
        self._serve.kill()
        self._serve.wait()
        self.start()

    def wait(self, seconds: float) -> None:
        """Wait until the server answers."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            with suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/health").is_success:
                    return
            time.sleep(0.2)
        raise RuntimeError(f"the class server did not come back within {seconds:g} seconds")

    def empty(self, slip: dict[str, str]) -> None:
        """Give a student an empty project, and the new key that comes with it."""
        words = ["reset", slip["MEMORA_PROJECT_ID"], "--empty", f"--folder={self.folder}"]
        said = subprocess.run([*COMMAND, *words], check=True, capture_output=True, text=True).stdout
        slip |= dict(line.split("=", 1) for line in said.splitlines())

    @contextmanager
    def served(self) -> Iterator[None]:
        """Serve until the block ends."""
        self.start()
        try:
            yield
        finally:
            self._serve.terminate()
            self._serve.wait()


@contextmanager
def memory(room: Room) -> Iterator[list[float]]:
    """Give a list that grows by the server's memory in MB, twice a second."""
    seen: list[float] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(EVERY):
            try:
                seen.append(room.process.memory_info().rss / 1e6)
            except psutil.NoSuchProcess:
                continue  # it was killed, and starts again

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


def write(table: Table, command: str, described: dict[str, Any]) -> None:
    """Write a table into docs/teaching/figures.md, in place of the one with the same title."""
    machine = f"{described['cores']} cores of {described['processor']}, {described['memory_gb']} GB, "
    machine += f"{described['system']}, Python {described['python']}; load of the machine before: "
    when = f"`{command}`, {described['date']}. {machine}{described['load_before']}."
    new = table.markdown().removeprefix("### ").replace("\n", f"\n\n{when}\n", 1)
    head, *sections = FIGURES.read_text(encoding="utf-8").split("\n## ")
    kept = {section.partition("\n")[0]: section.strip() for section in sections} | {table.title: new.strip()}
    FIGURES.write_text("\n\n## ".join([head.strip(), *kept.values()]) + "\n", encoding="utf-8", newline="\n")
