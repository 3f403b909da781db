import json
import re
import sys
from pathlib import Path

import nbformat
import pytest
from IPython.core.application import ENV_CONFIG_DIRS
from jupyter_core.paths import ENV_JUPYTER_PATH

from helpers.jupyter.__main__ import install
from tests.execute_notebooks import Runner


@pytest.mark.parametrize(
    ("code", "name"),
    [("client.collections.list()", "client"), ("def show():\n    return hits\nshow()", "hits")],
    ids=["in the cell", "in a function"],
)
def test_a_cell_run_first_after_a_restart_says_to_run_the_first_cell(code: str, name: str, runner: Runner) -> None:
    cells = [nbformat.v4.new_code_cell("%load_ext helpers.jupyter"), nbformat.v4.new_code_cell(code)]
    cells[1].metadata.tags = ["raises-exception"]
    notebook = runner.run(nbformat.v4.new_notebook(cells=cells))
    (output,) = notebook.cells[1].outputs
    said = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(output.traceback))
    assert f"NameError: name {name!r} is not defined" in said, "the error itself is still shown"
    assert said.rstrip().splitlines()[-1].startswith(f"{name!r} is not known in this kernel. After a restart")


def test_kernels_and_jupyterlab_find_the_kit_s_settings(tmp_path: Path) -> None:
    """They are put where IPython and JupyterLab look in an environment."""
    install(tmp_path)
    config = Path(ENV_CONFIG_DIRS[0], "ipython_kernel_config.py").relative_to(sys.prefix)
    lab = Path(ENV_JUPYTER_PATH[0], "lab", "settings", "overrides.json").relative_to(sys.prefix)
    assert "helpers.jupyter" in (tmp_path / config).read_text(encoding="utf-8")
    plugin, settings = next(iter(json.loads((tmp_path / lab).read_text(encoding="utf-8")).items()))
    schema = Path(ENV_JUPYTER_PATH[0], "lab", "schemas", *plugin.split(":")).with_suffix(".json")
    known = json.loads(schema.read_text(encoding="utf-8"))["properties"]
    assert settings.keys() <= known.keys()
