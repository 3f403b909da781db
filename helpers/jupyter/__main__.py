"""Put the kit's settings where this environment's kernels and JupyterLab read them: `python -m helpers.jupyter`."""

import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
PLACES = {"ipython_kernel_config.py": "etc/ipython", "overrides.json": "share/jupyter/lab/settings"}


def install(prefix: Path) -> None:
    """Copy both files into an environment.

    Parameters
    ----------
    prefix : Path
        The environment's folder, as `sys.prefix` has it.
    """
    for name, place in PLACES.items():
        folder = prefix / place
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(HERE / name, folder / name)


if __name__ == "__main__":
    install(Path(sys.prefix))
