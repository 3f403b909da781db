"""How long it takes until something happens: imports, the first hit, the demo."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Table, medians, target
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
PEAK = "\nfrom benchmarks.measure import peak_memory; print(peak_memory())"


def tables(repeats: int) -> list[Table]:
    """Measure whole programs, each started anew, with the collection there."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        environment = os.environ | dict.fromkeys((*HOSTED, "MEMORA_ENGINE"), "")
        environment |= {"MEMORA_HOME": home, "MEMORA_EXTRACTOR": "efficientnet-lite0"}
        arguments = ["--picture", str(Path(home, "demo.png"))]
        programs = {name: program.format(arguments) for name, program in PROGRAMS.items()}
        peaks = {  # the demo first: it fills the collection
            name: float(_output(program + PEAK, environment).split()[-1])
            for name, program in reversed(programs.items())
        }
        works = {name: lambda p=program: _output(p, environment) for name, program in programs.items()}
        seconds = medians(works, repeats)
    rows = [{"what": name, "s": seconds[name], "peak MB": peaks[name]} for name in programs]
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


def _output(program: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    return done.stdout
