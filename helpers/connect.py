"""The one place that decides which Memora a notebook talks to."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import httpx
from dotenv import dotenv_values

from helpers.memora import InvalidRequestError, Memora

ROOT = Path(__file__).resolve().parent.parent
HOSTED = ("MEMORA_API_KEY", "MEMORA_PROJECT_ID", "MEMORA_URL")
COLLECTION = "reverse_image_search"  # one name in all notebooks
LOCAL_KEY, LOCAL_PROJECT = "no-secret-in-this-process", "local"
LOCAL_URL = "http://local-memora.invalid"  # never resolved: requests go to the application in this process


def connect() -> Memora:
    """Return a client: hosted Memora where the settings name one, else the local Memora.

    `MEMORA_API_KEY`, `MEMORA_PROJECT_ID` and `MEMORA_URL` are read from the environment, then from a `.env` file at
    the repository's root; a variable that is set but empty counts as not set. Prints one line saying which it is.

    Returns
    -------
    Memora
        A client for either; the code that uses it is the same.

    Raises
    ------
    InvalidRequestError
        Only some of the three are set.
    """
    settings = {name: value for name in HOSTED if (value := setting(name))}
    if not settings:
        home = memora_home()
        print(f"Memora: the local one, data in {'' if home.parent == ROOT else '.../'}{home.name}")
        return local_client(home)
    if missing := [name for name in HOSTED if name not in settings]:
        raise InvalidRequestError(
            f"{' and '.join(settings)} set, but not {' and '.join(missing)}: hosted Memora needs all three. "
            "Set what is missing in the environment or in .env, or unset the others to use the local Memora."
        )
    client = Memora(
        api_key=settings["MEMORA_API_KEY"],
        project_id=settings["MEMORA_PROJECT_ID"],
        base_url=settings["MEMORA_URL"],
    )
    print(f"Memora: project {client.project_id!r} at {settings['MEMORA_URL']}")
    return client


def setting(name: str) -> str | None:
    """Return a setting from the environment, else from `.env`; set but empty is None."""
    return (os.environ[name] if name in os.environ else dotenv_values(ROOT / ".env").get(name)) or None


def memora_home() -> Path:
    """Return where the local Memora keeps its data: `MEMORA_HOME`, or `.memora` at the repository's root.

    A relative `MEMORA_HOME` counts from that root too, so that it is the same place from every notebook.
    """
    return ROOT / Path(setting("MEMORA_HOME") or ".memora").expanduser()


def local_client(home: Path) -> Memora:
    """Return a client of a local Memora inside this process: no port, no background process.

    Parameters
    ----------
    home : Path
        Where its data lies; made where it is missing.
    """
    from helpers.local_memora import create_app  # the engine takes a second to import

    app = create_app(home, api_key=LOCAL_KEY, projects=(LOCAL_PROJECT,))
    transport = httpx.WSGITransport(app=app)
    return Memora(api_key=LOCAL_KEY, project_id=LOCAL_PROJECT, base_url=LOCAL_URL, transport=transport)


def playground() -> Memora:
    """Return a client of a new, empty local Memora in a temporary folder: the place to try and to drop things."""
    home = Path(tempfile.mkdtemp(prefix="memora-playground-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    print("Memora: a playground, empty, gone when this kernel stops; your real collections are not in it")
    return local_client(home)
