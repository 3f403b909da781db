"""Other processes with a client of the same store, for tests of what several of them do to it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from helpers.memora import Memora
from helpers.settings import ROOT
from tests.local_memora.served import Served

# It takes one task after the other, for importing the engine is what takes time.
CODE = """
import json, os, shutil, signal, sys
from pathlib import Path
from helpers.connect import connect, local_client
from helpers.memora import AlreadyExistsError, Memora, MemoraError, NotFoundError
from helpers.memora.models import Collection, Index, IndexConfig
import local_memora.engines.lance.engine

def say(what):
    print(json.dumps(what), flush=True)

def heard():
    return sys.stdin.readline().strip()

def rows(ids, value, dim=2):
    return [{"id": n, "vector": [1, value] + [n] * (dim - 2)} for n in ids]

while task := sys.stdin.readline():
    task = json.loads(task)
    with Memora(**task["served"]) if "served" in task else local_client(Path(task["home"])) as client:
        say("ready")
        heard()
        exec(task["work"], globals() | {"number": task["number"]})
    say("end")
"""
# A work that does what it is told, line by line, and says what came of it; `sent` are the requests it took.
OBEDIENT = """
sent = []
client._http._client.event_hooks = {"request": [sent.append]}
while line := heard():
    try:
        say(eval(line))
    except MemoraError as error:
        say([type(error).__name__, error.status, str(error)])
"""


class Worker:
    """Another Python process; it starts its work when told to go."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", CODE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True
        )
        self.free = True

    def begin(self, store: Path | Served, work: str, number: int = 0) -> None:
        self.free = False
        here = (
            {"home": str(store)}
            if isinstance(store, Path)
            else {"served": {"api_key": store.key, "project_id": store.project, "base_url": store.url}}
        )
        self.tell(json.dumps({**here, "work": work, "number": number}))

    def wait_until_ready(self) -> None:
        assert self.hear() == "ready"

    def tell(self, line: str = "go") -> None:
        assert self.process.stdin
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def hear(self) -> Any:
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, "the process ended too early"
        return json.loads(line)

    def ask(self, line: str) -> Any:
        self.tell(line)
        return self.hear()

    def kill(self) -> list[Any]:
        """Kill it as the system would, and return what it had said by then."""
        assert self.process.stdout
        os.kill(self.process.pid, signal.SIGKILL)
        rest = self.process.stdout.read()
        assert self.process.wait() == -signal.SIGKILL
        return [json.loads(line) for line in rest.splitlines(keepends=True) if line.endswith("\n")]

    def finish(self) -> list[Any]:
        """Wait for the end of the work, and return what it said."""
        said = []
        while (word := self.hear()) != "end":
            said.append(word)
        self.free = True
        return said

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


class Workers:
    """Processes that are used again by one test after the other, if they have finished their work."""

    def __init__(self) -> None:
        self._all: list[Worker] = []

    def start(self, *tasks: tuple[Path | Served, str]) -> list[Worker]:
        """Return one worker for each store and work, ready to go; they are numbered from 0."""
        taken = self.take(len(tasks))
        for number, (worker, task) in enumerate(zip(taken, tasks, strict=True)):
            worker.begin(*task, number)
        for worker in taken:
            worker.wait_until_ready()
        return taken

    def take(self, count: int) -> list[Worker]:
        """Return processes that have no work yet; new ones are still starting."""
        self._all += [Worker() for _ in range(count - sum(worker.free for worker in self._all))]
        return [worker for worker in self._all if worker.free][:count]

    def end_the_busy(self) -> None:
        for worker in self._all:
            if not worker.free:
                worker.end()
        self._all = [worker for worker in self._all if worker.free]

    def end(self) -> None:
        for worker in self._all:
            worker.end()


def everything(client: Memora, name: str = "c") -> dict[int, float]:
    """Return id -> value, after checking that no row is there twice and that the count is true."""
    rows = client.vectors.query(collection_name=name, filter="true", output_fields=["vector"])["data"]
    values = {row["id"]: row["vector"][1] for row in rows}
    assert len(values) == len(rows)
    assert client.collections.get_stats(collection_name=name)["data"]["rowCount"] == len(rows)
    return values
