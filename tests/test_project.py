"""What a user installs: the three lists of packages agree, and the two commands are what README says."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from helpers.images import DATA, list_images

ROOT = Path(__file__).resolve().parent.parent
CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# Lines of Python, docstrings included; a larger number is a decision.
SIZES = {"helpers/*.py": 2_200, "helpers/**/*.py": 8_500, "local_memora/**/*.py": 4_700}
WANTED = [Requirement(text) for text in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]]


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return dict(re.match(r"([\w.-]+)==([^\s;]+)", line).groups() for line in lines if re.match(r"[\w.-]+==", line))


def conda() -> dict[str, SpecifierSet]:
    entries = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    (pip,) = [entry["pip"] for entry in entries if isinstance(entry, dict)]
    texts = [entry for entry in entries if isinstance(entry, str)] + [entry for entry in pip if entry[0] != "-"]
    # conda writes one = for what pip writes ==
    found = [re.match(r"([\w.-]+)([^;]*)", re.sub(r"(?<![=<>])=(?!=)", "==", text)).groups() for text in texts]
    return {name: SpecifierSet(spec) for name, spec in found}


@pytest.mark.parametrize("wanted", WANTED, ids=[wanted.name for wanted in WANTED])
def test_pip_and_conda_users_get_the_same_packages(wanted: Requirement) -> None:
    assert conda()[CONDA_NAMES.get(wanted.name, wanted.name)] == wanted.specifier


def test_conda_users_get_no_package_that_pip_users_do_not() -> None:
    assert set(conda()) - {CONDA_NAMES.get(w.name, w.name) for w in WANTED} == {"python", "pip"}


@pytest.mark.parametrize("wanted", WANTED, ids=[wanted.name for wanted in WANTED])
def test_the_lock_pins_every_package_to_a_version_that_pyproject_admits(wanted: Requirement) -> None:
    assert pins()[wanted.name] in wanted.specifier


def test_no_file_names_a_package_host_or_one_machine_s_path() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    hosts = "|".join(["pypi" + r"\.org", "pythonhosted" + r"\.org", "download" + r"\.pytorch", "npmjs" + r"\.org"])
    for name in tracked:
        if name.endswith((".py", ".md", ".toml", ".txt", ".yml", ".cfg", ".ipynb", "Makefile", "run")):
            text = (ROOT / name).read_text(encoding="utf-8")
            assert not re.search(hosts, text), name
            assert not re.search(r"(?<![\w.])/(root|work|home/\w+)/", text) or name.startswith("tests/"), name


def test_readme_names_only_make_targets_that_there_are() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = set(re.findall(r"`make ([a-z-]+)", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert {"demo", "test", "lab"} <= named <= targets


def test_readme_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text(encoding="utf-8")):
        assert (ROOT / target).exists(), target


def test_the_shipped_pictures_are_all_there() -> None:
    assert len(list_images(DATA / "images")) == 392
    assert len(list_images(DATA / "queries")) == 56


def test_importing_helpers_imports_neither_torch_nor_the_engine() -> None:
    heavy = "{'torch', 'transformers', 'lancedb', 'matplotlib', 'pyarrow', 'flask'}"
    rooms = "connect, features, images, ingest, search, plots, check"
    code = f"import sys; from helpers import {rooms}; print({heavy} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert out.strip() == "set()"


@pytest.mark.parametrize("files", SIZES)
def test_the_kit_stays_small_enough_to_be_read(files: str) -> None:
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in ROOT.glob(files)}
    assert 0 < sum(lines.values()) <= SIZES[files], f"{sum(lines.values()):,} lines in {files}"
