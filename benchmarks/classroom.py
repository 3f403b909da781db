"""A class at work on the class server: `python -m benchmarks.classroom`. Every answer is checked against numpy.

Each client creates a collection, inserts vectors, and searches: first with a pause between calls, as people do, then
without. Server and clients share this machine. With `--lessons`, students hold real lessons instead (lessons.py).
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from benchmarks.lessons import lessons
from benchmarks.measure import Table, machine, target
from benchmarks.room import Room, memory, write
from helpers.memora.http import to_json
from helpers.nearest import unit

NAME, BATCH, HITS = "bench", 100, 10
SEARCH_MS = 250
TITLE = "A class at work on the class server"


@dataclass
class Client:
    """One student: a slip, vectors of its own, and what came of its calls."""

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
        with httpx.Client(
            base_url=self.slip["MEMORA_URL"], headers={"Api-Key": self.slip["MEMORA_API_KEY"]}, timeout=120
        ) as line:
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


def run(clients: int, rows: int, dim: int, searches: int, pause: float) -> dict[str, Any]:
    """Let a class do its lesson, on a server of its own, and return a row of the table."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home, ThreadPoolExecutor(clients) as pool:
        room = Room(Path(home), clients)
        with room.served(), memory(room) as seen:
            made = [_vectors(rng, rows, dim) for _ in room.slips]
            students = [
                Client(slip, vectors, _vectors(rng, searches, dim), pause)
                for slip, vectors in zip(room.slips, made, strict=True)
            ]
            seen.append(room.process.memory_info().rss / 1e6)
            before, begun = seen[-1], time.perf_counter()
            for done in [pool.submit(student.work) for student in students]:
                done.result()
            took, used = time.perf_counter() - begun, sum(room.process.cpu_times()[:2])
    errors = sum((student.errors for student in students), Counter[str]())
    for error, often in errors.items():
        print(f"{often} x {error}", file=sys.stderr)
    times = {call: 1000 * np.concatenate([s.seconds[call] for s in students]) for call in ("insert", "search")}
    return {
        "pause (s)": pause,
        "clients": clients,
        "searches": len(times["search"]),
        "took (s)": took,
        "errors": errors.total(),
        "429s": sum(student.refused for student in students),
        "insert p50 (ms)": float(np.median(times["insert"])),
        "p95": float(np.percentile(times["insert"], 95)),
        "search p50 (ms)": float(np.median(times["search"])),
        "search p95 (ms)": float(np.percentile(times["search"], 95)),
        "server's CPU (s)": used,
        "memory (MB): before": before,
        "half way": seen[len(seen) // 2],
        "after": seen[-1],
        "most": max(seen),
    }


def _vectors(rng: np.random.Generator, count: int, dim: int) -> np.ndarray:
    return unit(rng.normal(size=(count, dim)).astype(np.float32))


def main(arguments: list[str] | None = None) -> None:
    """Read the command line, measure, print the table, and write it where that is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.classroom", description=__doc__)
    parser.add_argument("--clients", type=int, default=32, help="students (default: %(default)s)")
    parser.add_argument("--rows", type=int, default=500, help="vectors of each (default: %(default)s)")
    parser.add_argument("--dim", type=int, default=1280, help="numbers of a vector (default: %(default)s)")
    parser.add_argument("--searches", type=int, default=200, help="of each (default: %(default)s)")
    parser.add_argument("--pauses", type=float, nargs="+", default=[1.0, 0.0], help="seconds (default: %(default)s)")
    parser.add_argument("--lessons", action="store_true", help="hold lessons 0, 2 and 4 instead: a kernel each")
    parser.add_argument("--students", type=int, default=30, help="who hold lessons (default: %(default)s)")
    parser.add_argument("--at-once", type=int, default=2, help="of these (default: %(default)s)")
    parser.add_argument("--write", action="store_true", help="write the table into docs/teaching/figures.md")
    options = parser.parse_args(arguments)
    if options.lessons and options.students < 3:
        parser.error(f"--students is {options.students}; at least 3: one floods, one is killed, one loses its server")
    described = machine()
    table = lessons(options.students, options.at_once) if options.lessons else load(options)
    print(table.markdown())
    if options.write:
        words = sys.argv[1:] if arguments is None else arguments
        write(table, " ".join(["python -m benchmarks.classroom", *words]), described)


def load(options: argparse.Namespace) -> Table:
    """Let all clients work at once, with each pause asked for, and return the table."""
    sizes = (options.clients, options.rows, options.dim, options.searches)
    rows = [run(*sizes, pause) for pause in options.pauses]
    note = (
        f"Each client inserted {options.rows} vectors of {options.dim} numbers, {BATCH} a call. Every search was "
        "checked against numpy, and every row counted. Server and clients shared the cores. The times are those of "
        "answers, without the pauses and without the wait after a 429."
    )
    slow = max(row["search p95 (ms)"] for row in [row for row in rows if row["pause (s)"]] or rows)
    errors = sum(row["errors"] for row in rows)
    grown = max(row["after"] / row["half way"] for row in rows)
    targets = [
        target(f"19 of 20 searches within {SEARCH_MS} ms, with pauses", slow <= SEARCH_MS, f"{slow:.0f} ms"),
        target("no error but a 429 that says when to come back", not errors, f"{errors} errors"),
        target("memory is flat: at the end at most a tenth above half way", grown <= 1.1, f"{grown:.2f} of it"),
    ]
    return Table("classroom", TITLE, note, rows, targets)


if __name__ == "__main__":
    main()
