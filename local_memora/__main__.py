"""Serve the local Memora to programs on this machine: `python -m local_memora`, or `make serve`."""

import argparse
import logging
import re
import secrets
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

from pydantic import TypeAdapter, ValidationError

from helpers import settings
from local_memora import create_app
from local_memora.app import is_url
from local_memora.contract.bodies import ProjectId
from local_memora.contract.errors import ApiError, without_password
from local_memora.serve import DRAIN_SECONDS, HOST, Server, bind
from local_memora.verbs.service import WAITING

DEFAULT_PORT = 8530


class CannotServeError(Exception):
    """What stands in the way, in a sentence; `status` is the exit status."""

    def __init__(self, message: str, status: int = 2) -> None:
        super().__init__(message)
        self.status = status


class Parser(argparse.ArgumentParser):
    """Tells a wrong option in one line, without the usage above it."""

    def error(self, message: str) -> NoReturn:
        """Exit with status 2."""
        self.exit(2, f"{self.prog}: {message}\n")


def main(arguments: list[str] | None = None) -> int:
    """Read the options, serve until a signal comes, and return the exit status."""
    parser = Parser(prog="python -m local_memora", description=__doc__, allow_abbrev=False)
    parser.add_argument("--port", type=port, default=DEFAULT_PORT, help=f"default: {DEFAULT_PORT}; 0 picks a free one")
    parser.add_argument("--key", help="what clients must send (default: MEMORA_API_KEY, else a new one every time)")
    parser.add_argument(
        "--project", action="append", help="what the key opens; may be repeated (default: MEMORA_PROJECT_ID, or local)"
    )
    parser.add_argument(
        "--engine",
        help="a folder for the data, or the URL of a Milvus server (default: MEMORA_ENGINE, MEMORA_HOME, or .memora)",
    )
    parser.add_argument("--threads", type=threads, default=8, help="requests worked on at the same time (default: 8)")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        left = serve(options.port, key(options.key), projects(options.project), engine(options.engine), options.threads)
    except CannotServeError as error:
        parser.exit(error.status, f"{parser.prog}: {error}\n")
    except KeyboardInterrupt:  # before it listens
        return 130
    if left:
        print(f"Stopped after {DRAIN_SECONDS} s with {left} requests unanswered.", file=sys.stderr)
    return 1 if left else 0


def serve(port: int, key: str, projects: list[str], engine: str | Path, threads: int) -> int:
    """Serve, print what a client needs, and return how many requests were left unanswered at the end."""
    try:
        listener = bind(port)  # before the engine: the same command, given twice, is told so at once
    except OSError as error:
        raise _port_error(port, error) from None
    application = build(engine, key, projects, threads)
    try:
        server = Server(application, listener, threads + WAITING)
    except OSError as error:
        raise _port_error(port, error) from None

    def stop(number: int, frame: Any) -> None:
        # A second Ctrl-C ends it at once. A second SIGTERM does not: make passes on one that its children got too.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        server.stop()

    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):  # the last one is Ctrl-Break on Windows, where SIGTERM never comes
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), stop)

    print(
        f"Serving {' and '.join(map(repr, projects))} to programs on this machine; "
        f"the data: {without_password(str(engine))}\n"
        "Put these three lines into .env, or export them. Ctrl-C stops it, after the requests in progress.",
        file=sys.stderr,
    )
    print(
        f"MEMORA_URL={server.url}\nMEMORA_PROJECT_ID={projects[0]}\nMEMORA_API_KEY={_quoted(key)}",
        flush=True,
    )
    return server.run()


def build(engine: str | Path, key: str, projects: list[str], at_once: int) -> Any:
    """Return the application on a folder or, as a string, on the URL of a Milvus server."""
    more: dict[str, Any] = {}
    if isinstance(engine, str):  # writers still take turns, in the folder where a notebook's own Memora has its locks
        more = {"token": settings.setting("MEMORA_ENGINE_TOKEN"), "home": _from_root(settings.setting("MEMORA_HOME"))}
    try:
        return create_app(engine, api_key=key, projects=projects, at_once=at_once, **more)
    except ApiError as error:
        raise CannotServeError(without_password(error.message), 1) from None
    except Exception as error:  # engines raise whatever their libraries raise
        reason = getattr(error, "strerror", None) or error
        message = f"the data at {engine} can't be opened ({reason}): name another --engine"
        raise CannotServeError(without_password(message), 1) from None


def _port_error(port: int, error: OSError) -> CannotServeError:
    reason = error.strerror or error
    return CannotServeError(
        f"port {port} of {HOST} can't be opened ({reason}): choose another with --port, 0 picks a free one", 1
    )


def _quoted(key: str) -> str:
    """Return a key as both a shell and python-dotenv read it back."""
    return key if re.fullmatch(r"[\w@%+=:,./-]+", key, flags=re.ASCII) else f"'{key}'"


# Options -------------------------------------------------------------------------------------------------------


def port(text: str) -> int:
    """Read --port."""
    if not re.fullmatch(r"[0-9]{1,5}", text, flags=re.ASCII) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: give a number from 1 to 65535, or 0 for a free one")
    return int(text)


def threads(text: str) -> int:
    """Read --threads."""
    if not re.fullmatch(r"[0-9]{1,3}", text, flags=re.ASCII) or not 1 <= int(text) <= 256:
        raise argparse.ArgumentTypeError(f"{text!r} threads are not possible: give a number from 1 to 256")
    return int(text)


def key(given: str | None) -> str:
    """Return the key: the option, the environment's, or a random one. No message ever holds it.

    Not the one in .env, which may be that of hosted Memora.
    """
    chosen = given if given is not None else settings.environment("MEMORA_API_KEY") or secrets.token_hex(16)
    if not re.fullmatch(r"[!-~]+", chosen):
        raise CannotServeError("the API key is empty, or holds a space, line break or letter that no key may have")
    if re.search(r"['\\$]", chosen):
        raise CannotServeError("the API key holds ', \\ or $, which no .env file gives back: choose one without")
    return chosen


def projects(given: list[str] | None) -> list[str]:
    """Return the projects that the key opens, each once."""
    chosen = given or [settings.environment("MEMORA_PROJECT_ID") or "local"]
    try:
        return list(dict.fromkeys(TypeAdapter(list[ProjectId]).validate_python(chosen)))
    except ValidationError as error:
        raise CannotServeError(str(error.errors()[0]["ctx"]["error"])) from None


def engine(given: str | None) -> str | Path:
    """Return where the data lie: a URL as a string, else a folder.

    An option counts from the working folder, like any command's; a setting, from the environment or `.env`, from the
    repository's root, so that it is the place that a notebook with the same setting uses.
    """
    if given == "":
        raise CannotServeError("--engine is empty: name a folder, or leave it out")
    chosen = given or settings.setting("MEMORA_ENGINE") or settings.setting("MEMORA_HOME") or ".memora"
    try:
        if is_url(chosen):
            return chosen
    except ApiError as error:
        raise CannotServeError(error.message) from None
    return Path.cwd() / _expanded(given) if given else _from_root(chosen)


def _from_root(folder: str | None) -> Path:
    return settings.ROOT / _expanded(folder or ".memora")


def _expanded(folder: str) -> Path:
    try:
        return Path(folder).expanduser()
    except RuntimeError as error:  # ~nobody
        raise CannotServeError(f"the folder {folder!r} can't be found ({error})") from None


if __name__ == "__main__":
    sys.exit(main())
