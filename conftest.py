"""Puts every test, and every notebook that nbval runs, into a clean state that is not the user's."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from tests.clean_state import environment

pytest_plugins = ["tests.plan"]  # which tests run where

_home = Path(tempfile.mkdtemp(prefix="memora-tests-"))
atexit.register(shutil.rmtree, _home, ignore_errors=True)
os.environ.update(environment(_home))  # before anything reads it; kernels inherit it
