"""Gathers all that a class needs without internet: `python -m teaching.pack`, `make pack`.

dist/pack gets the packages as wheels for each platform and Python asked for (the network's weights are one of them),
the student's edition, a page of instructions, and a manifest.
"""

import argparse
import email.parser
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from helpers.settings import ROOT
from teaching.editions import make_editions
from teaching.stick import problems, write_manifest

BUILDS = "setuptools"  # what pip builds the kit itself with


@dataclass(frozen=True)
class Platform:
    """What pip calls a platform, and what requirements ask of it.

    Attributes
    ----------
    tags : tuple of str
        The platforms in wheels' names that run there.
    markers : dict
        The values of environment markers.
    tried : str
        Where a set-up from a pack was tried.
    """

    tags: tuple[str, ...]
    markers: dict[str, str]
    tried: str = ""


def _markers(sys_platform: str, system: str, machine: str, os_name: str = "posix") -> dict[str, str]:
    return {"sys_platform": sys_platform, "platform_system": system, "platform_machine": machine, "os_name": os_name}


GLIBC = [f"manylinux_2_{minor}_x86_64" for minor in range(28, 4, -1)]  # 2.28: Debian 10, Ubuntu 18.10 and newer
PLATFORMS = {
    "linux-x86_64": Platform(
        (*GLIBC, "manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64", "linux_x86_64"),
        _markers("linux", "Linux", "x86_64"),
        "set up and run from a pack, Python 3.11, with the network off",
    ),
    "macos-arm64": Platform(("macosx_14_0_arm64",), _markers("darwin", "Darwin", "arm64")),
    "windows-x86_64": Platform(("win_amd64",), _markers("win32", "Windows", "AMD64", "nt")),
}
PYTHONS = ("3.11", "3.12", "3.13")


class PackError(RuntimeError):
    """A pack can't be made; the message says why, and what to do."""


def environment(platform: str, python: str) -> dict[str, str]:
    """Return the values of all environment markers on a platform."""
    names = {"implementation_name": "cpython", "platform_python_implementation": "CPython", "extra": ""}
    versions = {"python_version": python, "python_full_version": f"{python}.9", "implementation_version": f"{python}.9"}
    return PLATFORMS[platform].markers | names | versions | {"platform_release": "", "platform_version": ""}


def pins(where: dict[str, str]) -> dict[str, str]:
    """Return the version of each package that constraints.txt pins for such an environment."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found = [Requirement(line.partition("#")[0]) for line in lines if re.match(r"[\w.-]+==", line)]
    applies = [one for one in found if not one.marker or one.marker.evaluate(where)]
    return {canonicalize_name(one.name): str(one.specifier).removeprefix("==") for one in applies}


def wanted() -> list[Requirement]:
    """Return what a learner installs, and what pip builds the kit with."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [*map(Requirement, project["dependencies"]), Requirement(BUILDS)]


def gather(platform: str, python: str, folder: Path) -> None:
    """Put every wheel that a learner needs on a platform into a folder, each in the version of constraints.txt.

    pip reads environment markers as of the machine it runs on; so what a package requires is read from its wheel here.

    Raises
    ------
    PackError
        A package can't be had for the platform.
    """
    where = environment(platform, python)
    pinned, waiting, asked = pins(where), wanted(), set[tuple[str, str]]()
    if platform.startswith("linux") and "torch" in pinned:
        pinned["torch"] += "+cpu"  # the usual build brings several GB of CUDA
    while waiting:
        new = []
        for one in waiting:
            name = canonicalize_name(one.name)
            if name not in pinned:
                raise PackError(f"constraints.txt has no version of {one.name} for {platform}, Python {python}.")
            new += [(name, extra) for extra in ("", *one.extras) if (name, extra) not in asked]
        fetch([f"{name}=={pinned[name]}" for name in {name for name, _ in new}], platform, python, folder)
        asked |= set(new)
        waiting = [inner for name, extra in new for inner in requires(wheel_of(name, folder), where | {"extra": extra})]


def fetch(pinned: Iterable[str], platform: str, python: str, folder: Path) -> None:
    """Download wheels; a package that has none is built where it is pure Python, which runs everywhere.

    Raises
    ------
    PackError
        pip finds neither, or the package has parts that must be compiled on the platform itself.
    """
    names = sorted(pinned)
    tags = [word for tag in PLATFORMS[platform].tags for word in ("--platform", tag)]
    version = python.replace(".", "")
    abis = [word for abi in (f"cp{version}", "abi3", "none") for word in ("--abi", abi)]
    kind = ["--python-version", python, "--implementation", "cp", *abis, *tags]
    while names:
        done = _pip("download", "--no-deps", "--only-binary=:all:", "--dest", str(folder), *kind, *names)
        if not done.returncode:
            return
        found = re.search(r"(?:No matching distribution found for|Cannot install) (\S+)", done.stderr)
        if not found or found[1] not in names:
            raise PackError(f"pip download failed for {platform}, Python {python}: {done.stderr.strip()[-500:]}")
        if found[1].endswith("+cpu"):
            advice = "name its index first (README.md: PIP_EXTRA_INDEX_URL), or leave this Python out (PYTHONS)"
            raise PackError(f"PyTorch's CPU build for {platform}, Python {python}, was not found: {advice}.")
        names.remove(found[1])
        _build(found[1], platform, python, folder)


def _build(pinned: str, platform: str, python: str, folder: Path) -> None:
    with tempfile.TemporaryDirectory() as built:
        done = _pip("wheel", "--no-deps", "--wheel-dir", built, pinned)
        wheels = list(Path(built).glob("*-none-any.whl"))
        if done.returncode or not wheels:
            why = f"{pinned} has no wheel for {platform}, Python {python}, and can't be built here for it."
            raise PackError(f"{why} Leave this platform or Python out (PLATFORMS, PYTHONS).")
        shutil.move(wheels[0], folder / wheels[0].name)


def _pip(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words]
    return subprocess.run(command, capture_output=True, text=True)


def wheel_of(name: str, folder: Path) -> Path:
    """Return a package's wheel in a folder that has one of each."""
    return next(path for path in folder.glob("*.whl") if parse_wheel_filename(path.name)[0] == name)


def requires(wheel: Path, where: dict[str, str]) -> list[Requirement]:
    """Return what a wheel requires in an environment."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name))
        lines = email.parser.Parser().parsestr(archive.read(name).decode()).get_all("Requires-Dist") or []
    found = [Requirement(line) for line in lines]
    return [one for one in found if not one.marker or one.marker.evaluate(where)]


def make_pack(target: Path, platforms: list[str], pythons: list[str]) -> int:
    """Write a pack and return its size in bytes.

    Parameters
    ----------
    target : Path
        The folder; it is written anew.
    platforms, pythons : list of str
        For which; names of `PLATFORMS`, and such as "3.12".

    Raises
    ------
    PackError
        A name is unknown, packages can't be had, or a stick could not hold the files.
    """
    if unknown := [name for name in platforms if name not in PLATFORMS]:
        raise PackError(f"There is no platform {unknown[0]!r}: choose of {', '.join(PLATFORMS)}.")
    if unknown := [version for version in pythons if version not in PYTHONS]:
        raise PackError(f"The kit is not made for Python {unknown[0]!r}: choose of {', '.join(PYTHONS)}.")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".new-") as folder:
        new, wheels = Path(folder, "pack"), Path(folder, "pack", "wheels")
        wheels.mkdir(parents=True)
        for platform in platforms:
            for python in pythons:
                print(f"Gathering packages for {platform}, Python {python} ...", flush=True)
                own = Path(folder, f"{platform}-{python}")
                own.mkdir()
                gather(platform, python, own)
                for wheel in own.glob("*.whl"):  # what runs everywhere is kept once
                    wheel.replace(wheels / wheel.name)
        (archive,) = (path for path in make_editions(Path(folder, "dist"), archives=True) if path.name == "student.zip")
        shutil.move(archive, new / archive.name)
        text = (ROOT / "docs" / "teaching" / "stick.txt").read_text(encoding="utf-8")
        text = text.replace("PLATFORMS", "\n".join(_line(name, pythons) for name in platforms))
        (new / "READ ME.txt").write_text(text, encoding="utf-8", newline="\r\n")  # as Windows' editor wants it
        if found := problems(new):
            raise PackError(f"A USB stick could not hold this: {'; '.join(found[:5])}.")
        size = write_manifest(new)
        shutil.rmtree(target, ignore_errors=True)
        new.rename(target)
    return size


def _line(platform: str, pythons: list[str]) -> str:
    return f"  {platform}, Python {', '.join(pythons)}: {PLATFORMS[platform].tried or 'gathered, not tried'}"


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and make the pack."""
    parser = argparse.ArgumentParser(prog="python -m teaching.pack", description=__doc__)
    parser.add_argument("--to", type=Path, default=ROOT / "dist" / "pack", help="the folder (default: dist/pack)")
    parser.add_argument("--platforms", nargs="+", default=list(PLATFORMS), help=f"of: {', '.join(PLATFORMS)}")
    parser.add_argument("--pythons", nargs="+", default=list(PYTHONS), help=f"of: {', '.join(PYTHONS)}")
    options = parser.parse_args(arguments)
    try:
        size = make_pack(options.to, options.platforms, options.pythons)
    except PackError as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    print(f"Written: {options.to}, {size / 1e9:.2f} GB in {len(list((options.to / 'wheels').iterdir()))} wheels")
    for platform in options.platforms:
        print(_line(platform, options.pythons))


if __name__ == "__main__":
    main()
