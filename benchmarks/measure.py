"""What every benchmark needs: repeats, a process of its own, the machine's description, tables."""

import os
import pickle
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import psutil

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[1]
BEFORE = "before: "  # a row's name begins so where an older commit was measured, in turn with the present one
EVERY_ROW = "none: every row is looked at"  # where a table says which index is used
SLOW = 10.0  # seconds: what takes longer, its process included, is run once
PATIENCE = 4.0  # seconds for the calls of one contender
PACKAGES = (
    *("torch", "transformers", "openvino", "numpy", "lancedb", "faiss-cpu", "usearch", "chromadb", "duckdb"),
    *("pymilvus", "milvus-lite", "milvus"),
)


@dataclass(frozen=True)
class Table:
    """What was measured.

    Parameters
    ----------
    name : str
        Short, for results.json.
    title, note : str
        Above the table, and below it.
    rows : list of dict
        Column to value, the same columns in each; numbers unrounded.
    targets : list of str
        What the kit promises, and whether this run kept it.
    """

    name: str
    title: str
    note: str
    rows: list[dict[str, Any]]
    targets: list[str] = field(default_factory=list)

    def markdown(self) -> str:
        """Return the table as Markdown."""
        columns = list(self.rows[0])
        lines = [f"### {self.title}", "", *_table(columns, [[_text(row[c]) for c in columns] for row in self.rows])]
        lines += ["", self.note, *(f"- {target}" for target in self.targets)]
        return "\n".join(lines) + "\n"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    line = "| {} |".format
    return [line(" | ".join(columns)), "|" + " --- |" * len(columns), *(line(" | ".join(row)) for row in rows)]


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and 0.99 < value < 0.99995:
        return f"{value:.4f}"  # a cosine that is not quite 1
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def target(promise: str, kept: bool, measured: str) -> str:
    """Return a line that says whether a promise was kept."""
    return f"{'met' if kept else '**not met**'}: {promise} (measured: {measured})"


def rounds(repeats: int, seconds: float) -> Iterator[int]:
    """Count rounds: as many as asked for, fewer where they would take more than so many seconds, one at least."""
    start = time.perf_counter()
    for number in range(repeats):
        if number and (time.perf_counter() - start) * (number + 1) / number > seconds:
            return
        yield number


def medians(work: Mapping[str, Callable[[], Any]], repeats: int, budget: float = float("inf")) -> dict[str, float]:
    """Return the median seconds of each of several pieces of work, done in turn, within a budget of seconds.

    In turn, so that what slows the machine for a while slows them all. A first round is not counted.
    """
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for do in work.values():
        do()
    for _ in rounds(repeats, budget):
        for name, do in work.items():
            start = time.perf_counter()
            do()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


class Work(NamedTuple):
    """A function that returns a dict of figures, what it is given, and the checkout of the kit that it measures."""

    function: Callable[..., dict[Any, Any]]
    arguments: tuple = ()
    tree: Path = ROOT


def beside(works: dict[str, Work], name: str, before: Path | None) -> dict[str, Work]:
    """Add what measures the same in an older checkout, if there is one."""
    return works | ({BEFORE + name: works[name]._replace(tree=before)} if before else {})


def in_turn(works: dict[str, Work], repeats: int, budget: float) -> dict[str, dict[Any, Any]]:
    """Run each in processes of its own, in turn, and return the median of each of its figures, and of its peak memory.

    What is SLOW is run once. What an older checkout can't do is left out.
    """
    runs: dict[str, list[dict[Any, float]]] = {name: [] for name in works}
    slow: set[str] = set()
    for _ in rounds(repeats, budget):
        for name, work in works.items():
            if name in slow:
                continue
            print(f"  {name}", file=sys.stderr, flush=True)
            start = time.perf_counter()
            try:
                measured, peak = isolated(work.function, *work.arguments, tree=work.tree)
            except subprocess.CalledProcessError:
                if work.tree == ROOT:
                    raise
                print(f"  {name}: can't be measured", file=sys.stderr, flush=True)
                slow.add(name)
                continue
            if time.perf_counter() - start > SLOW:
                slow.add(name)
            runs[name].append(measured | {"peak MB": peak})
    return {
        name: {key: statistics.median(run[key] for run in made) for key in made[0]}
        for name, made in runs.items()
        if made
    }


def latencies(
    do: Callable[[Any], Any], inputs: Sequence[Any], repeats: int, patience: float = PATIENCE
) -> tuple[float, float]:
    """Return the median and the 95th percentile, in milliseconds, of one call after another.

    Each input is tried `repeats` times, or until `patience` seconds are over: what takes one needs no thousand tries.
    """
    do(inputs[0])  # the first call prepares things
    times: list[float] = []
    end = time.perf_counter() + patience
    for each in list(inputs) * repeats:
        start = time.perf_counter()
        do(each)
        times.append((time.perf_counter() - start) * 1000)
        if start > end:
            break
    return statistics.median(times), statistics.quantiles(times, n=20, method="inclusive")[-1]


CALL = """
import os, pickle, sys
answer = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)  # what the work prints is no answer
function, arguments = pickle.load(sys.stdin.buffer)
from benchmarks.measure import peak_memory
answer.write(pickle.dumps((function(*arguments), peak_memory())))
"""


def isolated(function: Callable[..., T], *arguments: Any, tree: Path = ROOT) -> tuple[T, float]:
    """Run a function in a process of its own; return what it returns, and that process' peak memory in MB.

    So no contender sees another's caches, threads or memory. The function must be importable, in `tree`.

    Raises
    ------
    subprocess.CalledProcessError
        It failed; its own error was printed.
    """
    call = pickle.dumps((function, arguments))
    done = subprocess.run([sys.executable, "-c", CALL], cwd=tree, input=call, stdout=subprocess.PIPE, check=True)
    return pickle.loads(done.stdout)


def peak_memory() -> float:
    """Return the most memory this process has had so far, in MB."""
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset / 1e6
    if sys.platform == "linux":  # getrusage counts there what the process that started this one had
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return int(status.partition("VmHWM:")[2].split()[0]) / 1e3
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # macOS counts bytes


def installed(package: str) -> str | None:
    """Return a package's version; None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def machine() -> dict[str, Any]:
    """Describe this machine: what figures depend on, and nothing that names it or its owner."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load_before": round(psutil.getloadavg()[0], 1),
        "packages": {package: found for package in PACKAGES if (found := installed(package))},
    }


def _processor() -> str:
    """Return the processor's name with what counts here: the widest numbers it calculates with at once."""
    name, flags = platform.processor() or platform.machine(), ""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
        name, flags = facts.get("model name", name), facts.get("flags", "")
    except OSError:
        pass  # not Linux
    known = [f for f in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f in flags.split()]
    return f"{name} ({', '.join(known)})" if known else name
