"""How long it takes until something happens: imports, the first hit, the demo."""

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import BEFORE, Table, medians, target
from helpers.images import DATA
from helpers.settings import HOSTED, ROOT

FIRST_HIT = f"""
from helpers.connect import connect
from helpers.features.extractors import load_extractor
from helpers.search import search
client = connect()
print(search(client, {str(DATA / "queries" / "mug_1.jpg")!r}, extractor=load_extractor("efficientnet-lite0"))[0])
"""
PROGRAMS = {
    "python alone": "",
    "import helpers": "from helpers import check, connect, features, images, ingest, plots, search",
    "import torch": "import torch",
    "from nothing to the first hit: connect, load the network, search": FIRST_HIT,
    "make demo, warm: nothing new to ingest, all queries, a picture drawn": "from helpers.demo import main; main({})",
}
BUDGET = 80.0  # seconds
PEAK = "\nfrom benchmarks.measure import peak_memory; print(peak_memory())"


def tables(repeats: int, before: Path | None = None) -> list[Table]:
    """Measure whole programs, each started anew, with the collection there; in turn with an older checkout's."""
    peaks, works = _prepared("", ROOT)
    if before:
        older = _prepared(BEFORE, before)
        peaks, works = peaks | older[0], works | older[1]
    seconds = medians(works, repeats, BUDGET)
    rows = [{"what": name, "s": seconds[name], "peak MB": peaks[name]} for name in works]
    took = seconds["import helpers"] - seconds["python alone"]
    return [
        Table(
            "start",
            "From the start",
            "Programs started anew, files in the system's cache. EfficientNet-Lite0.",
            rows,
            [
                target(
                    "import helpers in less than 0.3 s: all modules that notebook 04 uses", took < 0.3, f"{took:.2f} s"
                )
            ],
        )
    ]


def _prepared(prefix: str, tree: Path) -> tuple[dict[str, float], dict[str, Callable[[], str]]]:
    """Run each program once, so that its collection is filled; return their peaks, and what runs them again."""
    home = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    environment = os.environ | dict.fromkeys((*HOSTED, "MEMORA_ENGINE"), "")
    environment |= {"MEMORA_HOME": home, "MEMORA_EXTRACTOR": "efficientnet-lite0"}
    arguments = ["--picture", str(Path(home, "demo.png"))]
    programs = {prefix + name: program.format(arguments) for name, program in PROGRAMS.items()}
    peaks = {  # the demo first: it fills the collection
        name: float(_output(program + PEAK, environment, tree).split()[-1])
        for name, program in reversed(programs.items())
    }
    return peaks, {name: functools.partial(_output, program, environment, tree) for name, program in programs.items()}


def _output(program: str, environment: dict[str, str], tree: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tree, env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    return done.stdout
