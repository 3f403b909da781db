"""Settings: the environment first, then the file `.env` at the kit's root. No other room reads either."""

import os
from pathlib import Path

from dotenv import dotenv_values

ROOT = Path(__file__).resolve().parent.parent  # of the kit
DATA = ROOT / "data"  # the kit's own pictures
HOSTED = ("MEMORA_API_KEY", "MEMORA_PROJECT_ID", "MEMORA_URL")  # a Memora over HTTP needs all three


def setting(name: str) -> str | None:
    """Return a setting from the environment, else from `.env`.

    Parameters
    ----------
    name : str
        Such as `MEMORA_HOME`.

    Returns
    -------
    str or None
        None where it is set nowhere, or set but empty; an empty variable also hides the line in `.env`.
    """
    value = environment(name) if name in os.environ else dotenv_values(ROOT / ".env").get(name)
    return value or None


def environment(name: str) -> str | None:
    """Return a variable of the environment alone; set but empty is None."""
    return os.environ.get(name) or None


def from_root(folder: str | os.PathLike) -> Path:
    """Return a folder that a setting names: relative ones count from the kit's root, the same place for every program.

    Raises
    ------
    RuntimeError
        It starts with `~name`, and there is no such user.
    """
    return ROOT / Path(folder).expanduser()
