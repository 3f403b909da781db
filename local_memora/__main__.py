"""Serve the local Memora to programs on this machine: `python -m local_memora`, or `make serve`."""

import logging
import re
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import click
from pydantic import TypeAdapter, ValidationError

from helpers import settings
from local_memora import create_app
from local_memora.app import OneKey, is_url
from local_memora.classroom.command import commands as classroom
from local_memora.contract.bodies import ProjectId
from local_memora.contract.errors import ApiError, without_password
from local_memora.serve import Server, bind, run_until_stopped
from local_memora.verbs.service import WAITING

PROGRAM = "python -m local_memora"


def main(arguments: list[str]) -> int:
    """Run a command, `serve` where none is named, and return the exit status."""
    named = bool(arguments) and (arguments[0] == "--help" or not arguments[0].startswith("-"))
    try:
        status = commands.main(arguments if named else ["serve", *arguments], PROGRAM, standalone_mode=False)
    except click.ClickException as error:  # in one line, without the usage above it
        click.echo(f"{PROGRAM}: {error.format_message()}", err=True)
        return error.exit_code
    except (ApiError, OSError) as error:  # the second, for example, where a file can't be written
        click.echo(f"{PROGRAM}: {without_password(str(error))}", err=True)
        return 1
    except click.Abort:  # Ctrl-C before it listens
        return 130
    return int(status or 0)


@click.group()
def commands() -> None:
    """The local Memora. Without a command it serves: `serve --help` lists the options."""


# Options -------------------------------------------------------------------------------------------------------


def projects(given: Sequence[str]) -> list[str]:
    """Return the projects that the key opens, each once."""
    chosen = given or [settings.environment("MEMORA_PROJECT_ID") or "local"]
    try:
        return list(dict.fromkeys(TypeAdapter(list[ProjectId]).validate_python(chosen)))
    except ValidationError as error:
        raise click.UsageError(str(error.errors()[0]["ctx"]["error"])) from None


def engine(given: str | None) -> str | Path:
    """Return where the data lies: a URL as a string, else a folder.

    An option counts from the working folder, as with any command; a setting, from the environment or `.env`, from the
    repository's root, so that a notebook with the same setting uses the same place.
    """
    if given == "":
        raise click.UsageError("--engine is empty: name a folder, or leave it out")
    chosen = given or settings.setting("MEMORA_ENGINE") or settings.setting("MEMORA_HOME") or ".memora"
    try:
        if is_url(chosen):
            return chosen
        return Path.cwd() / Path(given).expanduser() if given else settings.from_root(chosen)
    except ApiError as error:
        raise click.UsageError(error.message) from None
    except RuntimeError as error:  # ~nobody
        raise click.UsageError(f"the folder {chosen!r} can't be found ({error})") from None


def key(given: str | None, file: TextIO | None = None) -> str:
    """Return the key: an option's, the environment's, or a random one. No message ever holds it.

    Not the one in .env, which may be that of hosted Memora.
    """
    if given is not None and file:
        raise click.UsageError("--key and --key-file are both given: leave one out")
    chosen = file.read().strip() if file else given
    if chosen is None:
        chosen = settings.environment("MEMORA_API_KEY") or secrets.token_hex(16)
    if not re.fullmatch(r"[!-~]+", chosen):
        raise click.UsageError("the API key is empty, or holds a space, line break or letter that no key may have")
    if re.search(r"['\\$]", chosen):
        raise click.UsageError("the API key holds ', \\ or $, which a .env file can't hold: choose one without")
    if given is not None:
        click.echo("Other users of this machine can read --key: use --key-file or set MEMORA_API_KEY.", err=True)
    return chosen


engine_option = click.option(
    "--engine",
    callback=lambda context, option, given: engine(given),
    help="A folder for the data, or the URL of a Milvus server (default: MEMORA_ENGINE, MEMORA_HOME, or .memora).",
)


# Serving -------------------------------------------------------------------------------------------------------


@commands.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8530, show_default=True, help="0 picks a free one.")
@click.option("--key", "given_key", help="What clients must send (default: MEMORA_API_KEY, else a new one every time).")
@click.option("--key-file", type=click.File(errors="replace"), help="A file with the key; other users can read --key.")
@click.option(
    "--project", "projects", multiple=True, callback=lambda context, option, given: projects(given),
    help="What the key opens; may be repeated (default: MEMORA_PROJECT_ID, or local).",
)  # fmt: skip
@engine_option
@click.option(
    "--threads", type=click.IntRange(1, 256), default=8, show_default=True, help="Requests worked on at once."
)
@click.option("--with-stdin", is_flag=True, help="Stop when standard input ends, so with the program that holds it.")
def serve(
    port: int, given_key: str | None, key_file: TextIO | None, projects: list[str], engine: str | Path, threads: int,
    with_stdin: bool,
) -> None:  # fmt: skip
    """Serve until a signal comes; print what a client needs."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    secret = key(given_key, key_file)
    listener = bind(port)  # before the engine: the same command, given twice, is told so at once
    application = build(engine, secret, projects, threads)
    server = Server(application, listener, threads + WAITING, OneKey(secret, None).knows)
    click.echo(
        f"Serving {' and '.join(map(repr, projects))} to programs on this machine; "
        f"the data: {without_password(str(engine))}\n"
        "Put these three lines into .env, or export them. Ctrl-C stops it, after the requests in progress.",
        err=True,
    )
    lines = f"MEMORA_URL={server.url}\nMEMORA_PROJECT_ID={projects[0]}\nMEMORA_API_KEY={_quoted(secret)}"
    run_until_stopped(server, lines, with_stdin=with_stdin)


def build(engine: str | Path, key: str, projects: list[str], at_once: int) -> Any:
    """Return the application on a folder or, as a string, on the URL of a Milvus server."""
    more: dict[str, Any] = {}
    if isinstance(engine, str):  # writers still take turns, in the folder where a notebook's own Memora has its locks
        home = settings.from_root(settings.setting("MEMORA_HOME") or ".memora")
        more = {"token": settings.setting("MEMORA_ENGINE_TOKEN"), "home": home}
    try:
        return create_app(engine, api_key=key, projects=projects, at_once=at_once, **more)
    except ApiError:
        raise
    except Exception as error:  # engines raise whatever their libraries raise
        reason = getattr(error, "strerror", None) or error
        message = f"the data at {engine} can't be opened ({reason}): name another --engine"
        raise click.ClickException(without_password(message)) from None


def _quoted(key: str) -> str:
    """Return a key as both a shell and python-dotenv read it back."""
    return key if re.fullmatch(r"[\w@%+=:,./-]+", key, flags=re.ASCII) else f"'{key}'"


# Repairing -----------------------------------------------------------------------------------------------------


@commands.command()
@engine_option
def repair(engine: str | Path) -> None:
    """Make the catalogue of a data folder fit its tables again. Stop other programs that use the folder first."""
    if isinstance(engine, str):
        raise click.UsageError("a Milvus server keeps its own catalogue: repair is for a data folder")
    from local_memora.engines.lance.repair import repair as rebuild  # LanceDB takes a second to import

    click.echo("\n".join(rebuild(engine)))


# A class -------------------------------------------------------------------------------------------------------

commands.add_command(classroom)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
