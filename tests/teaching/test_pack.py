"""A class sets up without internet: the pack has every package for each platform, and nothing else is asked."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from helpers.settings import ROOT
from teaching import pack
from teaching.pack import PLATFORMS, PYTHONS, PackError, environment, main, pins, wanted
from teaching.stick import damaged
from tests.test_project import dry_run

# A package whose sdist builds itself, without any other package.
BACKEND = """
import zipfile
def build_wheel(directory, config_settings=None, metadata_directory=None):
    name = "pure-1.0-{tag}.whl"
    with zipfile.ZipFile(directory + "/" + name, "w") as wheel:
        wheel.writestr("pure-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: pure\\nVersion: 1.0\\n")
        wheel.writestr("pure-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: {tag}\\n")
        wheel.writestr("pure-1.0.dist-info/RECORD", "")
    return name
"""


def make_wheel(folder: Path, name: str, tag: str, *requires: str) -> None:
    with zipfile.ZipFile(folder / f"{name}-1.0-{tag}.whl", "w") as wheel:
        lines = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0", *(f"Requires-Dist: {r}" for r in requires)]
        wheel.writestr(f"{name}-1.0.dist-info/METADATA", "\n".join(lines) + "\n")
        wheel.writestr(f"{name}-1.0.dist-info/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        wheel.writestr(f"{name}-1.0.dist-info/RECORD", "")


def make_sdist(folder: Path, source: Path, tag: str) -> None:
    files = {
        "PKG-INFO": "Metadata-Version: 2.1\nName: pure\nVersion: 1.0\n",
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "own"\nbackend-path = ["."]\n',
        "own.py": BACKEND.replace("{tag}", tag),
    }
    source.mkdir()
    for name, text in files.items():
        (source / name).write_text(text)
    with tarfile.open(folder / "pure-1.0.tar.gz", "w:gz") as archive:
        archive.add(source, "pure-1.0")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that is all that pip finds: a few packages, one for Windows only, one with an extra."""
    folder = tmp_path / "index"
    folder.mkdir()
    make_wheel(
        folder, "alpha", "py3-none-any", 'beta; sys_platform == "win32"', "gamma[fast]", 'new; python_version > "3"'
    )
    make_wheel(folder, "beta", "cp312-cp312-win_amd64")
    make_wheel(folder, "gamma", "cp39-abi3-manylinux_2_17_x86_64", 'delta; extra == "fast"', 'slow; extra == "slow"')
    make_wheel(folder, "gamma", "cp39-abi3-win_amd64", 'delta; extra == "fast"')
    make_wheel(folder, "delta", "py2.py3-none-any", "alpha")
    make_wheel(folder, "new", "cp312-cp312-win_amd64")
    make_wheel(folder, "new", "cp312-cp312-manylinux_2_28_x86_64")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    names = ("alpha", "beta", "gamma", "delta", "new", "pure")
    monkeypatch.setattr(pack, "pins", lambda where: dict.fromkeys(names, "1.0"))
    monkeypatch.setattr(pack, "wanted", lambda: [Requirement("alpha")])
    return folder


def gathered(platform: str, python: str, folder: Path) -> list[str]:
    folder.mkdir()
    pack.gather(platform, python, folder)
    return sorted(path.name for path in folder.iterdir())


def test_each_platform_gets_its_own_packages_and_those_that_they_require(index: Path, tmp_path: Path) -> None:
    """Asked on one system for another: markers are those of the other."""
    assert gathered("windows-x86_64", "3.12", tmp_path / "windows") == [
        "alpha-1.0-py3-none-any.whl",
        "beta-1.0-cp312-cp312-win_amd64.whl",
        "delta-1.0-py2.py3-none-any.whl",
        "gamma-1.0-cp39-abi3-win_amd64.whl",
        "new-1.0-cp312-cp312-win_amd64.whl",
    ]
    assert gathered("linux-x86_64", "3.12", tmp_path / "linux") == [
        "alpha-1.0-py3-none-any.whl",
        "delta-1.0-py2.py3-none-any.whl",
        "gamma-1.0-cp39-abi3-manylinux_2_17_x86_64.whl",
        "new-1.0-cp312-cp312-manylinux_2_28_x86_64.whl",
    ]


def test_a_package_that_is_missing_for_a_platform_is_named(index: Path, tmp_path: Path) -> None:
    with pytest.raises(PackError, match=r"gamma==1\.0 has no wheel for macos-arm64, Python 3\.12.*Leave this platform"):
        gathered("macos-arm64", "3.12", tmp_path / "mac")


def test_a_package_without_a_version_in_the_lock_is_named(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pack, "pins", lambda where: {"alpha": "1.0"})
    with pytest.raises(PackError, match=r"constraints\.txt has no version of gamma for linux-x86_64"):
        gathered("linux-x86_64", "3.12", tmp_path / "linux")


@pytest.mark.parametrize("tag", ["py3-none-any", "cp311-cp311-linux_x86_64"])
def test_pure_python_without_a_wheel_is_built_and_other_code_is_named(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tag: str
) -> None:
    make_sdist(index, tmp_path / "source", tag)
    monkeypatch.setattr(pack, "wanted", lambda: [Requirement("pure")])
    if tag == "py3-none-any":
        assert gathered("macos-arm64", "3.13", tmp_path / "mac") == ["pure-1.0-py3-none-any.whl"]
    else:
        with pytest.raises(PackError, match=r"pure==1\.0 has no wheel for macos-arm64"):
            gathered("macos-arm64", "3.13", tmp_path / "mac")


def test_on_linux_only_pytorch_s_cpu_build_is_taken(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The usual one would put several GB of CUDA on each stick."""
    make_wheel(index, "torch", "cp312-cp312-manylinux_2_28_x86_64", "nvidia-cuda")
    monkeypatch.setattr(pack, "pins", lambda where: {"torch": "1.0"})
    monkeypatch.setattr(pack, "wanted", lambda: [Requirement("torch")])
    with pytest.raises(PackError, match=r"PyTorch's CPU build for linux-x86_64.*PIP_EXTRA_INDEX_URL"):
        gathered("linux-x86_64", "3.12", tmp_path / "linux")


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_has_every_package_that_a_learner_needs_there(platform: str, python: str) -> None:
    locked = pins(environment(platform, python))
    assert [one.name for one in wanted() if one.name not in locked] == []
    assert ("pywinpty" in locked) == platform.startswith("windows")
    assert ("appnope" in locked) == platform.startswith("macos")
    assert locked["numpy"].startswith("2.4" if python == "3.11" else "2.5")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--platforms", "amiga"], "There is no platform 'amiga': choose of linux-x86_64"),
        (["--pythons", "3.9"], "The kit is not made for Python '3.9'"),
    ],
)
def test_an_unknown_platform_is_refused_before_anything_is_fetched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    with pytest.raises(SystemExit):
        main(["--to", str(tmp_path / "pack"), *words])
    assert said in capsys.readouterr().err
    assert not (tmp_path / "pack").exists()


def test_a_pack_has_packages_edition_instructions_and_a_manifest(
    index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """For two platforms; what runs everywhere is in it once. It says which platforms were tried."""
    target = tmp_path / "dist" / "pack"
    main(["--to", str(target), "--platforms", "linux-x86_64", "windows-x86_64", "--pythons", "3.12"])
    assert sorted(path.name for path in target.iterdir()) == ["READ ME.txt", "manifest.csv", "student.zip", "wheels"]
    assert len(list((target / "wheels").iterdir())) == 7
    assert damaged(target) == []
    assert [path.name for path in target.parent.iterdir()] == ["pack"]
    page = (target / "READ ME.txt").read_text("utf-8")
    assert "linux-x86_64, Python 3.12: set up and run" in page
    assert "windows-x86_64, Python 3.12: gathered, not tried" in page and "PLATFORMS" not in page
    assert "windows-x86_64, Python 3.12: gathered, not tried" in capsys.readouterr().out
    with zipfile.ZipFile(target / "student.zip") as archive:
        assert {"student/Makefile", "student/teaching/stick.py"} <= set(archive.namelist())


def test_with_a_pack_make_asks_no_index_and_checks_the_stick_first() -> None:
    lines = dry_run("demo", "PACK=/media/a stick", "UV=/somewhere/uv").splitlines()
    (check,) = (number for number, line in enumerate(lines) if '-m teaching.stick "/media/a stick"' in line)
    (install,) = (number for number, line in enumerate(lines) if "--editable" in line)
    assert check < install
    assert '--no-index --find-links "/media/a stick/wheels"' in lines[install] and "/uv" not in lines[install]


def test_with_a_class_server_s_pack_make_asks_no_other_index_and_no_stick() -> None:
    lines = dry_run("demo", "PACK=http://192.0.2.7:8530/pack", "UV=/somewhere/uv")
    assert "teaching.stick" not in lines
    assert '--no-index --find-links "http://192.0.2.7:8530/pack/wheels" --trusted-host 192.0.2.7:8530' in lines
    assert "--trusted-host" not in dry_run("demo", "PACK=https://class.example/pack", "UV=")


def test_a_class_sets_up_from_a_pack_with_the_network_really_off(tmp_path: Path) -> None:
    """The real packages for this machine; then `make demo PACK=...` in a process that has no network."""
    apart = ["unshare", "--map-root-user", "--net"]
    if sys.platform != "linux" or not shutil.which("make") or subprocess.run([*apart, "true"]).returncode:
        pytest.skip("a process without a network can't be started here")
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    try:
        pack.make_pack(tmp_path / "pack", ["linux-x86_64"], [python])
    except PackError as error:
        pytest.skip(f"the packages can't be had here: {error}")
    with zipfile.ZipFile(tmp_path / "pack" / "student.zip") as archive:
        archive.extractall(tmp_path)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "PYTHON", "MAKE", "UV"))}
    settings = {"PIP_CONFIG_FILE": os.devnull, "MEMORA_HOME": str(tmp_path / "memora")}
    command = [*apart, "make", "demo", f"PACK={tmp_path / 'pack'}", f"PYTHON={sys.executable}"]
    done = subprocess.run(command, cwd=tmp_path / "student", env=kept | settings, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "All files are whole" in done.stdout
    assert (tmp_path / "student" / "demo.png").stat().st_size > 10_000
    shutil.rmtree(tmp_path / "student" / ".venv")  # 1.7 GB


def test_the_page_on_the_stick_names_what_is_there() -> None:
    page = (ROOT / "docs" / "teaching" / "stick.txt").read_text("utf-8")
    assert "-m teaching.stick" in page and "-m teaching.preflight" in page
    assert len(page.splitlines()) < 50, "one page"
