"""The one place that decides which Memora a notebook talks to."""

import atexit
import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections import deque
from pathlib import Path

import httpx

from helpers.memora import InvalidRequestError, Memora, UnavailableError
from helpers.settings import HOSTED, ROOT, from_root, setting

COLLECTION = "reverse_image_search"  # one name in all notebooks
LOCAL_KEY, LOCAL_PROJECT = "no-secret-in-this-process", "local"
START_SECONDS = 120.0  # for a served playground, on a busy machine
LOCAL_URL = "http://local-memora.invalid"  # never resolved: requests go to the application in this process


def connect() -> Memora:
    """Return a client: of the Memora that the settings name, else of the local one in this process.

    `MEMORA_API_KEY`, `MEMORA_PROJECT_ID` and `MEMORA_URL` name a Memora to reach over HTTP: hosted, or `make serve`.
    `MEMORA_ENGINE` says where the local one stores: in a folder, or on the Milvus server at a URL. Settings are read
    from the environment, then from a `.env` file at the repository's root; a variable that is set but empty counts as
    not set. Prints one line saying which it is.

    Returns
    -------
    Memora
        The code that uses it is the same for all.

    Raises
    ------
    InvalidRequestError
        Only some of the first three are set, or `MEMORA_ENGINE` is neither a folder nor the URL of a Milvus server.
    UnavailableError
        The Milvus server does not answer.
    """
    settings = {name: value for name in HOSTED if (value := setting(name))}
    if not settings:
        home, server = memora_home(), milvus_url()
        if server:
            client = local_client(home, server)
            print(f"Memora: the local one, data on the Milvus server at {_host(server)}")
            return client
        print(f"Memora: the local one, data in {'' if home.parent == ROOT else '.../'}{home.name}")
        return local_client(home)
    if missing := [name for name in HOSTED if name not in settings]:
        raise InvalidRequestError(
            f"{' and '.join(settings)} set, but not {' and '.join(missing)}: a Memora over HTTP needs all three. "
            "Set what is missing in the environment or in .env, or unset the others to use the local Memora."
        )
    client = Memora(
        api_key=settings["MEMORA_API_KEY"],
        project_id=settings["MEMORA_PROJECT_ID"],
        base_url=settings["MEMORA_URL"],
    )
    print(f"Memora: project {client.project_id!r} at {client.base_url}")
    return client


def memora_home() -> Path:
    """Return the local Memora's folder: `MEMORA_ENGINE` where that is one, `MEMORA_HOME`, or `.memora` in the kit.

    A relative folder counts from the repository's root, so that it is the same place from every notebook.
    """
    folder = None if milvus_url() else setting("MEMORA_ENGINE")
    return from_root(folder or setting("MEMORA_HOME") or ".memora")


def milvus_url() -> str | None:
    """Return the URL that `MEMORA_ENGINE` is, if it is one."""
    if not (engine := setting("MEMORA_ENGINE")):
        return None
    from local_memora.app import ApiError, is_url  # half a second to import

    try:
        return engine if is_url(engine) else None
    except ApiError as error:
        raise InvalidRequestError(f"MEMORA_ENGINE={error.message}.") from None


def _host(url: str) -> str:
    """Return a URL without a password that may stand in it."""
    return url.rpartition("@")[2]


def local_client(home: Path, engine: str | None = None, *, project: str = LOCAL_PROJECT) -> Memora:
    """Return a client of a local Memora inside this process: no port, no background process.

    Parameters
    ----------
    home : Path
        Its folder; made where it is missing.
    engine : str, optional
        The URL of a Milvus server that stores and searches, with `MEMORA_ENGINE_TOKEN` where it wants a token; by
        default the data lies in `home`.
    project : str
        Its only project; on Milvus that is a database.

    Raises
    ------
    UnavailableError
        The Milvus server does not answer, or the package for it is missing.
    InvalidRequestError
        The folder can't be made or opened, or its catalogue does not fit its tables.
    """
    from local_memora import ApiError, create_app  # the engine takes a second to import

    try:
        token = setting("MEMORA_ENGINE_TOKEN")
        app = create_app(engine or home, LOCAL_KEY, (project,), token=token, home=home)
    except ApiError as error:
        kind = InvalidRequestError if error.status == 410 else UnavailableError  # 410: the data, with what to do
        raise kind(error.message, error.status) from None
    except (OSError, sqlite3.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidRequestError(
            f"The local Memora's folder {home} can't be opened ({reason}): set MEMORA_HOME to another."
        ) from None
    transport = httpx.WSGITransport(app=app)
    return Memora(api_key=LOCAL_KEY, project_id=project, base_url=LOCAL_URL, transport=transport)


def playground(*, served: bool = False, engine: str | None = None, home: Path | None = None) -> Memora:
    """Return a client of a new, empty Memora in a temporary folder: the place to try and to drop things.

    Parameters
    ----------
    served : bool
        Whether it runs as a process of its own and is reached over HTTP, as with `make serve`; else in this process.
    engine : str, optional
        The URL of a Milvus server, such as `milvus_url()` gives: the playground is a database of its own there,
        `memora_playground_...`, which is dropped when this kernel stops (not when it is killed).
    home : Path, optional
        An empty folder to use and to leave to its owner, such as a `tempfile.TemporaryDirectory`'s.

    Raises
    ------
    UnavailableError
        The process did not start, or the Milvus server does not answer.
    """
    if home is None:
        home = Path(tempfile.mkdtemp(prefix="memora-playground-"))
        atexit.register(shutil.rmtree, home, ignore_errors=True)
    if engine:
        client = local_client(home, engine, project=f"memora_playground_{secrets.token_hex(8)}")
        atexit.register(_drop_database, engine, client.project_id)
    else:
        client = _serve(home) if served else local_client(home)
    how = ", in a process of its own" if served else f", on the Milvus server at {_host(engine)}" if engine else ""
    print(f"Memora: a playground{how}, empty, gone when this kernel stops; your real collections are not in it")
    return client


def _drop_database(engine: str, project: str) -> None:
    from pymilvus import MilvusClient

    token = setting("MEMORA_ENGINE_TOKEN") or ""
    server = MilvusClient(engine, token=token)
    if project in server.list_databases():  # it is made with the project's first collection
        inside = MilvusClient(engine, token=token, db_name=project)
        for name in inside.list_collections():
            inside.drop_collection(name)
        server.drop_database(project)


def _serve(home: Path) -> Memora:
    """Start `python -m local_memora` and wait until it has said how to reach it."""
    command = [sys.executable, "-m", "local_memora", "--port=0", f"--engine={home}", "--with-stdin"]
    server = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "MEMORA_API_KEY": "", "MEMORA_PROJECT_ID": ""},  # a key of its own
        stdin=subprocess.PIPE,  # it ends with this process, even where that is killed
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    atexit.register(_stop, server)
    said: deque[str] = deque(maxlen=20)  # lines
    settings: dict[str, str] = {}
    told = threading.Event()

    def listen() -> None:  # as long as it runs: a full pipe would stop it
        assert server.stdout is not None
        for line in server.stdout:
            said.append(line)
            name, _, value = line.strip().partition("=")
            if name in HOSTED:
                settings[name] = value
            if len(settings) == len(HOSTED):
                told.set()
        told.set()  # it has ended

    threading.Thread(target=listen, daemon=True).start()
    in_time = told.wait(START_SECONDS)
    if len(settings) < len(HOSTED):
        _stop(server)
        why = "ended before it served" if in_time else f"did not serve within {START_SECONDS:g} seconds"
        printed = "".join(said).strip() or "nothing"
        error = UnavailableError(f"The process of the served playground {why}. It printed: {printed}")
        error.next_step = ""  # what it printed is all that is known
        raise error
    return Memora(settings["MEMORA_API_KEY"], settings["MEMORA_PROJECT_ID"], settings["MEMORA_URL"])


def _stop(server: subprocess.Popen) -> None:
    server.terminate()
    try:
        server.wait(timeout=10)
    except subprocess.TimeoutExpired:
        server.kill()
