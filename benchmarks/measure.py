"""What every benchmark needs: repeats, a process of its own, the machine's description, tables."""

import multiprocessing
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

import psutil

T = TypeVar("T")
EVERY_ROW = "none: every row is looked at"  # where a table says which index is used
PATIENCE = 8.0  # seconds for the calls of one contender
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


def medians(work: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Return the median seconds of each of several pieces of work, done in turn.

    In turn, so that what slows the machine for a while slows them all. A first round is not counted.
    """
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for counted in [False] + [True] * repeats:
        for name, do in work.items():
            start = time.perf_counter()
            do()
            if counted:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def latencies(do: Callable[[Any], Any], inputs: Sequence[Any], repeats: int) -> tuple[float, float]:
    """Return the median and the 95th percentile, in milliseconds, of one call after another.

    Each input is tried `repeats` times, or until PATIENCE is over: what takes a second needs no thousand tries.
    """
    do(inputs[0])  # the first call prepares things
    times: list[float] = []
    end = time.perf_counter() + PATIENCE
    for each in list(inputs) * repeats:
        start = time.perf_counter()
        do(each)
        times.append((time.perf_counter() - start) * 1000)
        if start > end:
            break
    return statistics.median(times), statistics.quantiles(times, n=20, method="inclusive")[-1]


def isolated(function: Callable[..., T], *arguments: Any) -> tuple[T, float]:
    """Run a function in a process of its own; return what it returns, and that process' peak memory in MB.

    So no contender sees another's caches, threads or memory. The function must be importable.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        return pool.submit(_with_peak, function, *arguments).result()


def _with_peak(function: Callable[..., T], *arguments: Any) -> tuple[T, float]:
    return function(*arguments), peak_memory()


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
