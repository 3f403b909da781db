"""A class at work on the class server: `python -m benchmarks.classroom`. Every answer is checked against numpy.

Each client creates a collection, inserts vectors, and searches: first with a pause between calls, as people do, then
without. Server and clients share this machine.
"""

import argparse
import html
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil

from benchmarks.measure import Table, machine
from helpers.memora.http import to_json
from helpers.nearest import unit

NAME, BATCH, HITS = "bench", 100, 10
COMMAND = (sys.executable, "-m", "local_memora", "class")


@dataclass
class Client:
    """One student: a key, vectors of its own, and what came of its calls."""

    url: str
    slip: dict[str, str]
    vectors: np.ndarray
    queries: np.ndarray
    pause: float
    seconds: dict[str, list[float]] = field(default_factory=lambda: {"insert": [], "search": []})
    refused: int = 0
    errors: Counter[str] = field(default_factory=Counter)

    def work(self) -> None:
        """Do the whole lesson; what goes wrong is counted, and does not end it."""
        rows = [{"id": n, "vector": vector} for n, vector in enumerate(self.vectors)]
        with httpx.Client(base_url=self.url, headers={"Api-Key": self.slip["MEMORA_API_KEY"]}, timeout=120) as line:
            self._call(line, "collections/create", collectionName=NAME, dimension=self.vectors.shape[1])
            for start in range(0, len(rows), BATCH):
                self._call(line, "vectors/insert", collectionName=NAME, data=rows[start : start + BATCH])
            for query in self.queries:
                asked = {"data": query, "annsField": "vector", "limit": HITS}
                found = self._call(line, "vectors/search", collectionName=NAME, **asked)
                self._check("a wrong hit", found and self._are_nearest(query, [hit["id"] for hit in found]), True)
            stored = self._call(line, "collections/get_stats", collectionName=NAME)
            self._check("rows lost", stored, {"rowCount": len(rows)})
            self._check("collections of others", self._call(line, "collections/list"), [NAME])
            self._call(line, "collections/drop", collectionName=NAME)

    def _are_nearest(self, query: np.ndarray, ids: list[int]) -> bool:
        """Return whether these are the nearest rows, best first; 32 bits can't tell some apart."""
        similarity = self.vectors @ query
        best = np.sort(similarity)[::-1][:HITS]
        return len(set(ids)) == len(best) and bool(np.allclose(similarity[ids], best, atol=1e-6))

    def _check(self, what: str, found: Any, expected: Any) -> None:
        if found is not None and found != expected:
            self.errors[what] += 1

    def _call(self, line: httpx.Client, path: str, **body: Any) -> Any:
        """Send one call, again where it is refused for now; the time is that of the answer, without the waits."""
        content = to_json({"project_id": self.slip["MEMORA_PROJECT_ID"], **body})
        time.sleep(self.pause)
        while True:
            begun = time.perf_counter()
            try:
                answer = line.post(f"/{path}", content=content)
            except httpx.HTTPError as error:
                self.errors[f"{path}: {type(error).__name__}"] += 1
                return None
            if answer.status_code != 429:
                break
            self.refused += 1
            time.sleep(int(answer.headers["Retry-After"]))
        if not answer.is_success:
            self.errors[f"{path}: {answer.status_code} {answer.text[:80]}"] += 1
            return None
        self.seconds.setdefault(path.partition("/")[2], []).append(time.perf_counter() - begun)
        return answer.json().get("data")


@contextmanager
def server(clients: int) -> Iterator[tuple[str, list[dict[str, str]], psutil.Process]]:
    """Make a class, serve it, and yield its address, its slips and its process."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        folder, handout = f"--folder={home}/class", Path(home, "handout.html")
        make = [*COMMAND, "new", "benchmark", f"--students={clients}", f"--handout={handout}", folder]
        subprocess.run(make, check=True, capture_output=True)
        texts = re.findall(r"<pre>(.*?)</pre>", handout.read_text(encoding="utf-8"), flags=re.DOTALL)
        slips = [dict(line.split("=", 1) for line in html.unescape(text).splitlines()) for text in texts]
        words = [*COMMAND, "serve", "--port=0", folder]
        serve = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            assert serve.stdout
            yield serve.stdout.readline().strip().partition("=")[2], slips, psutil.Process(serve.pid)
        finally:
            serve.terminate()
            serve.wait()


def run(clients: int, rows: int, dim: int, searches: int, pause: float) -> dict[str, Any]:
    """Let a class do its lesson, on a server of its own, and return a row of the table."""
    rng = np.random.default_rng(0)
    with server(clients) as (url, slips, process), ThreadPoolExecutor(clients) as pool:
        before, over = process.memory_info().rss, threading.Event()
        most = before

        def watch() -> None:
            nonlocal most
            while not over.wait(0.5):
                most = max(most, process.memory_info().rss)

        watcher = threading.Thread(target=watch)
        watcher.start()
        students = [Client(url, slip, _vectors(rng, rows, dim), _vectors(rng, searches, dim), pause) for slip in slips]
        begun = time.perf_counter()
        try:
            for done in [pool.submit(student.work) for student in students]:
                done.result()
        finally:
            took = time.perf_counter() - begun
            over.set()
            watcher.join()
        after = process.memory_info().rss
    errors = sum((student.errors for student in students), Counter[str]())
    for error, times in errors.items():
        print(f"{times} x {error}", file=sys.stderr)
    times = {call: 1000 * np.concatenate([s.seconds[call] for s in students]) for call in ("insert", "search")}
    return {
        "pause (s)": pause,
        "clients": clients,
        "searches": sum(len(student.seconds["search"]) for student in students),
        "took (s)": took,
        "errors": errors.total(),
        "429s": sum(student.refused for student in students),
        "insert p50 (ms)": float(np.median(times["insert"])),
        "insert p95 (ms)": float(np.percentile(times["insert"], 95)),
        "search p50 (ms)": float(np.median(times["search"])),
        "search p95 (ms)": float(np.percentile(times["search"], 95)),
        "memory (MB): before": before / 1e6,
        "most": most / 1e6,
        "after": after / 1e6,
    }


def _vectors(rng: np.random.Generator, count: int, dim: int) -> np.ndarray:
    return unit(rng.normal(size=(count, dim)).astype(np.float32))


def main(arguments: list[str] | None = None) -> None:
    """Read the command line, measure, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.classroom", description=__doc__)
    parser.add_argument("--clients", type=int, default=32, help="students (default: %(default)s)")
    parser.add_argument("--rows", type=int, default=500, help="vectors of each (default: %(default)s)")
    parser.add_argument("--dim", type=int, default=1280, help="numbers of a vector (default: %(default)s)")
    parser.add_argument("--searches", type=int, default=200, help="of each (default: %(default)s)")
    parser.add_argument("--pauses", type=float, nargs="+", default=[1.0, 0.0], help="seconds (default: %(default)s)")
    options = parser.parse_args(arguments)
    described = machine()
    rows = [run(options.clients, options.rows, options.dim, options.searches, pause) for pause in options.pauses]
    note = (
        f"Each client inserted {options.rows} vectors of {options.dim} numbers, {BATCH} a call. Every search was "
        f"checked against numpy. Server and clients shared {described['cores']} cores. "
        f"Load of the machine before: {described['load_before']}."
    )
    print(Table("classroom", "A class on the class server", note, rows).markdown())


if __name__ == "__main__":
    main()
