"""The commands of a class: `python -m local_memora class ...`."""

import csv
import logging
import ssl
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit

import click

from local_memora.app import open_engine
from local_memora.classroom import handout, keep, register
from local_memora.classroom.gate import Holdings
from local_memora.classroom.limits import IN_HAND, Limits
from local_memora.serve import HOST, Server, bind, run_until_stopped

PORT = 8530
CONNECTIONS = 16  # of one key
MOST_THREADS = 400
DEFAULTS = Limits()
folder_option = click.option(
    "--folder", type=click.Path(path_type=Path, file_okay=False), default=".memora-class", show_default=True,
    help="The data folder of the class.",
)  # fmt: skip


@click.group("class")
def commands() -> None:
    """One Memora for a class: a key and a project for each student, shared pictures, a page for the teacher."""


@commands.command()
@click.argument("name")
@click.option("--students", type=click.IntRange(1, register.MOST), default=30, show_default=True)
@click.option("--url", help="What students write into MEMORA_URL (default: this machine's address, port 8530).")
@click.option(
    "--handout", "file", type=click.Path(path_type=Path, dir_okay=False), default="handout.html", show_default=True,
    help="Where the slips go, with all keys: print it, then delete it.",
)  # fmt: skip
@folder_option
def new(name: str, students: int, url: str | None, file: Path, folder: Path) -> None:
    """Make a class, and write its hand-out: a page of slips to print and cut."""
    url = (url or f"http://{handout.this_address()}:{PORT}").rstrip("/")
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise click.UsageError(f"--url is {url!r}: it must start with http:// or https:// and name a host")
    try:
        file.touch(mode=0o600, exist_ok=False)  # before the class: without its slips nobody would know its keys
    except FileExistsError:
        raise click.UsageError(f"{file} is there already: name another --handout, or delete it") from None
    try:
        keys = register.found(folder, name, url, students)
        file.write_text(handout.page(name, url, keys), encoding="utf-8")
    except BaseException:
        file.unlink()
        raise
    click.echo(f"The class {name!r} has {students} students; the data: {folder}")
    click.echo(f"Their slips: {file}. Print the page, then delete it: it holds every key, and nothing else does.")
    click.echo(f"The teacher's key, for {url}/class (it is shown only now): {keys[register.TEACHER]}")


@commands.command("list")
@folder_option
def show(folder: Path) -> None:
    """Show who is in the class, and what they have."""
    for line in _rows(folder):
        click.echo("{:<12} key {:<8} {:>3} collections {:>9,} rows".format(*line))


@commands.command()
@click.argument("file", type=click.File("w", encoding="utf-8", lazy=False))
@folder_option
def export(file: TextIO, folder: Path) -> None:
    """Write what `list` shows into a CSV file."""
    writer = csv.writer(file)
    writer.writerow(["student", "key", "collections", "rows"])
    writer.writerows(_rows(folder))


def _rows(folder: Path) -> list[tuple[str, str, int, int]]:
    book, engine = register.Book(folder).read(), open_engine(folder)
    held = [(seat, Holdings(engine, seat.name, DEFAULTS)) for seat in book.students]
    shared = Holdings(engine, register.SHARED, DEFAULTS)
    rows = [(seat.name, "valid" if seat.digest else "revoked", each.collections(), each.rows()) for seat, each in held]
    return [*rows, (register.SHARED, "none", shared.collections(), shared.rows())]


@commands.command()
@click.argument("student")
@folder_option
def revoke(student: str, folder: Path) -> None:
    """Let a student's key, or the teacher's, open nothing from now on; what is stored stays."""
    register.Book(folder).revoke(student)
    click.echo(f"The key of {student} opens nothing any more. `class reset {student}` gives a new one.")


@commands.command()
@click.argument("student")
@click.option("--empty", is_flag=True, help="Drop the student's collections, too. There is no way back.")
@folder_option
def reset(student: str, empty: bool, folder: Path) -> None:
    """Give a student, or the teacher, a new key; the old one opens nothing from now on."""
    book = register.Book(folder)
    key = book.new_key(student)
    if empty:
        click.echo(f"{keep.empty(folder, student)} collections of {student} dropped.", err=True)
    click.echo(handout.lines(book.read().url, student, key))


@commands.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@folder_option
def backup(file: Path, folder: Path) -> None:
    """Write the whole class into a zip file; the server may be running."""
    try:
        count = keep.back_up(folder, file)
    except FileExistsError:
        raise click.UsageError(f"{file} is there already: name another file") from None
    click.echo(f"{count} collections, and who is in the class, are in {file}. The keys stay valid.")


@commands.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@folder_option
def restore(file: Path, folder: Path) -> None:
    """Unpack a back-up into a new folder."""
    keep.restore(folder, file)
    click.echo(f"The class is in {folder} again: `class serve --folder {folder}` serves it, with the same keys.")


@commands.command()
@folder_option
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="0 picks a free one.")
@click.option("--on-network", is_flag=True, help="Listen to the whole network, not to this machine alone.")
@click.option("--certificate", type=click.Path(exists=True, dir_okay=False), help="Serve HTTPS: a PEM file.")
@click.option("--certificate-key", type=click.Path(exists=True, dir_okay=False), help="Its private key, a PEM file.")
@click.option("--name", "names", multiple=True, help="A host name that clients use, such as a proxy's; repeatable.")
@click.option(
    "--pack", type=click.Path(path_type=Path, file_okay=False), help="Serve the pack of `make pack`, at /pack, to all."
)
@click.option("--collections", type=click.IntRange(1), default=DEFAULTS.collections, show_default=True, help="A key.")
@click.option("--rows", type=click.IntRange(1), default=DEFAULTS.rows, show_default=True, help="A key.")
@click.option("--megabytes", type=click.IntRange(1), default=DEFAULTS.megabytes, show_default=True, help="A key.")
@click.option("--requests", type=click.IntRange(1), default=DEFAULTS.requests, show_default=True, help="A key, second.")
def serve(
    folder: Path, port: int, on_network: bool, certificate: str | None, certificate_key: str | None,
    names: tuple[str, ...], pack: Path | None, collections: int, rows: int, megabytes: int, requests: int,
) -> None:  # fmt: skip
    """Serve the class until Ctrl-C."""
    from local_memora.classroom.app import create_class  # LanceDB takes a second to import

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    tls = _tls(certificate, certificate_key)
    said = register.Book(folder).read()
    limits = Limits(collections, rows, megabytes, requests)
    listener = bind(port, "0.0.0.0" if on_network else HOST)
    application, gate = create_class(folder, limits, [*names, urlsplit(said.url).hostname or ""], pack)
    threads = min(MOST_THREADS, len(said.seats) * IN_HAND)
    server = Server(application, listener, threads, gate.knows, share=CONNECTIONS, tls=tls)
    url = f"http{'s' if tls else ''}://{handout.this_address() if on_network else HOST}:{server.port}"
    click.echo(_meaning(on_network, tls is not None, url), err=True)
    if said.url != url:
        click.echo(f"The hand-out says {said.url}: that must lead here.", err=True)
    if not Holdings(gate.engine, register.SHARED, limits).collections():
        click.echo(f"The project 'shared' is empty: python -m teaching.shared {folder} fills it.", err=True)
    if pack:
        click.echo(f"Who has nothing installed opens {url}/pack: it needs no key.", err=True)
    click.echo(f"The class {said.name!r} is served; the teacher's page: {url}/class. Ctrl-C stops it.", err=True)
    run_until_stopped(server, f"MEMORA_URL={url}")


def _tls(certificate: str | None, key: str | None) -> ssl.SSLContext | None:
    if certificate is None:
        if key is not None:
            raise click.UsageError("--certificate-key is given without --certificate: give both")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise click.UsageError(f"the certificate {certificate} can't be used ({error})") from None
    return context


def _meaning(on_network: bool, encrypted: bool, url: str) -> str:
    """Say who can reach the server, and what they could read."""
    if not on_network:
        return "Only this machine reaches it. --on-network lets the class in."
    if encrypted:
        return (
            f"Every device on this network can reach {url}; what travels is encrypted, a key is needed to do anything."
        )
    return (
        f"Every device on this network can reach {url}, and who listens on the network can read keys and vectors: "
        "use it on a network of your own, add --certificate and --certificate-key, or put a reverse proxy with HTTPS "
        "in front (docs/teaching/class-server.md)."
    )
