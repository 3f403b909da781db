"""`make bench`: measure, print Markdown tables, and write them to RESULTS.md and results.json."""

import argparse
import io
import json
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import features, folder, goals, ingest, search, start
from benchmarks.measure import ROOT, Table, machine
from benchmarks.picture import draw
from benchmarks.stores import BATCH
from helpers.images import load_folder
from helpers.settings import setting

WHAT = "start, folder, ingest, search, features"
HERE = Path(__file__).resolve().parent
OWN = len(load_folder().paths)  # as many vectors as the collection has pictures: those themselves
SIZES = [OWN, 1_000, 10_000, 100_000]


def main(arguments: list[str] | None = None) -> None:
    """Read the command line, measure, and write what came out."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "what", nargs="*", help=f"{WHAT} (default: all of them), or mine: a few minutes, into benchmarks/mine"
    )
    parser.add_argument("--rows", type=int, nargs="+", default=SIZES, help="sizes to search at (default: %(default)s)")
    parser.add_argument("--million", action="store_true", help="search a million rows too: some minutes, 4 GB of disk")
    parser.add_argument("--ingest-rows", type=int, default=20_000, help="rows to ingest (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="of everything; medians count (default: %(default)s)")
    parser.add_argument("--before", metavar="COMMIT", help="measure the kit of this commit too, in turn with this one")
    parser.add_argument("--output", type=Path, help="the folder for RESULTS.md and results.json")
    options = parser.parse_args(arguments)
    if options.what == ["mine"]:
        options.what, options.rows, options.repeats = ["folder", "search", "start"], [OWN, 10_000], 2
        options.output = options.output or HERE / "mine"
    if options.ingest_rows < 2 * BATCH:
        parser.error(
            f"--ingest-rows is {options.ingest_rows}; at least {2 * BATCH:,}: the first {BATCH:,} only prepare"
        )
    sizes = [*options.rows, *([1_000_000] if options.million else [])]
    with milvus_server() as milvus, checkout(options.before) as before:
        runs: dict[str, Callable[[], Iterable[Table]]] = {
            "start": lambda: start.tables(options.repeats, before),
            "folder": lambda: folder.tables(options.repeats, before),
            "ingest": lambda: ingest.tables(options.ingest_rows, options.repeats, milvus, before),
            "search": lambda: search.tables(sizes, options.repeats, milvus, before),
            "features": lambda: features.tables(options.repeats, before),
        }
        if unknown := set(options.what) - set(runs):
            parser.error(f"{min(unknown)!r} can't be measured; there is: {', '.join(runs)}")
        took: dict[str, float] = {}
        for name in options.what or runs:
            print(f"measuring {name} ...", file=sys.stderr, flush=True)
            described, begun = machine() | {"before": options.before}, time.perf_counter()
            for table in runs[name]():
                print(table.markdown(), flush=True)
                write(options.output or HERE, described, [table])
            took[name] = time.perf_counter() - begun
    print("Took: " + ", ".join(f"{name} {seconds / 60:.1f} min" for name, seconds in took.items()), file=sys.stderr)


@contextmanager
def checkout(commit: str | None) -> Iterator[Path | None]:
    """Give a folder with the kit of a commit, and the present benchmarks, which measure it; none without a commit."""
    if commit is None:
        yield None
        return
    parts = subprocess.run(
        ["git", "archive", commit, "helpers", "local_memora", "data"], cwd=ROOT, check=True, stdout=subprocess.PIPE
    ).stdout
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        with tarfile.open(fileobj=io.BytesIO(parts)) as archive:
            archive.extractall(folder, filter="data")
        shutil.copytree(ROOT / "benchmarks", Path(folder, "benchmarks"), ignore=shutil.ignore_patterns("mine"))
        yield Path(folder)


@contextmanager
def milvus_server() -> Iterator[str | None]:
    """Give the URL of a Milvus server: MEMORA_ENGINE's, else the one that the tests start, else none."""
    from tests.local_memora.milvus_server import milvus_server, why_not

    engine = setting("MEMORA_ENGINE") or ""
    if "://" in engine:
        yield engine
    elif reason := why_not():
        print(f"without a Milvus server: {reason}", file=sys.stderr)
        yield None
    else:
        with TemporaryDirectory(ignore_cleanup_errors=True) as folder, milvus_server(Path(folder)) as url:
            yield url


def write(folder: Path, described: dict[str, Any], tables: list[Table]) -> None:
    """Write RESULTS.md and results.png for people, results.json for programs; tables of the same machine are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "results.json"
    kept = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {"tables": {}}
    changing = ("date", "load_before", "before")
    fixed = {key: value for key, value in described.items() if key not in changing}
    kept = {"machine": fixed, "tables": kept["tables"] if _comparable(kept.get("machine", {}), fixed) else {}}
    when = {key: described.get(key) for key in changing}
    kept["tables"] |= {table.name: asdict(table) | when for table in tables}
    file.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8", newline="\n")

    packages = ", ".join(f"{name} {version}" for name, version in described["packages"].items())
    head = (
        "# What was measured\n\n"
        "Written by `make bench`, which measures your machine and overwrites this. Trust ratios within a table more "
        "than numbers: everything in one was measured in one run.\n\n"
        f"{described['cores']} cores of {described['processor']}, {described['memory_gb']} GB, {described['system']}, "
        f"Python {described['python']}. {packages}.\n"
    )
    draw(kept["tables"], folder / "results.png")
    reached = goals.markdown(kept["tables"])
    promises, parts = [], []
    for table in kept["tables"].values():
        date, load, before = table.pop("date"), table.pop("load_before"), table.pop("before", None)
        made = Table(**table)
        promises += [f"- {made.title}: {promise}\n" for promise in made.targets]
        older = f" Before: the commit {before}." if before else ""
        measured = f"\nMeasured on {date}; load of the machine before: {load}.{older}\n"
        parts.append(f"<details><summary>{made.title}</summary>\n\n{made.markdown()}{measured}\n</details>\n")
    picture = "![How long a search and a folder take, beside what people would pick instead](results.png)\n"
    promised = f"<details><summary>What the kit promises</summary>\n\n{''.join(promises)}\n</details>\n"
    whole = [head, "## The waits to cut\n", reached, picture, "## All that was measured\n", promised, *parts]
    (folder / "RESULTS.md").write_text("\n".join(whole), encoding="utf-8", newline="\n")


def _comparable(before: dict[str, Any], now: dict[str, Any]) -> bool:
    """Return whether it is the same machine with the same versions; a package that came or went changes no table."""
    then, there = before.get("packages", {}), now["packages"]
    same = all(there.get(name, version) == version for name, version in then.items())
    return same and before | {"packages": there} == now


if __name__ == "__main__":
    main()
