"""The plan of the tests: it names tests that exist, and a process that crashes costs the test it was in."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.settings import ROOT
from tests import plan

FAULTY = """
import os, signal
import pytest

@pytest.mark.parametrize("number", range(6))
def test_it(number):
    if number == CRASHES:
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("file", [*plan.ONLY, *plan.ALL_BUT])
def test_the_plan_names_tests_that_exist(file: str) -> None:
    """A test that was renamed would move from `make test-all` to `make test`, or back."""
    text = (ROOT / file).read_text(encoding="utf-8")
    named = [*plan.ONLY.get(file, []), *plan.ALL_BUT.get(file, [])]
    assert all(f"def {test.partition('[')[0]}(" in text for test in named)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("crashes", [2, 5])
def test_a_process_that_crashes_costs_one_test(tmp_path: Path, crashes: int) -> None:
    """One in the middle or the last: the others of its file run, and it is not tried again."""
    for name, number in (("a", crashes), ("b", -1), ("c", -1)):
        (tmp_path / f"test_{name}.py").write_text(FAULTY.replace("CRASHES", str(number)))
    words = ["-n", "2", "-p", "tests.plan", "-p", "no:cacheprovider", "-p", "no:schemathesis"]
    variables = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words], cwd=tmp_path, env=variables, capture_output=True, text=True
    )
    assert "1 failed, 17 passed" in done.stdout
    assert f"crashed while running 'test_a.py::test_it[{crashes}]'" in done.stdout
