"""The application of a class: the contract behind the class's gate, and the teacher's page."""

import ipaddress
import re
import socket
import time
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Any

from flask import Flask, Response, request

from local_memora.app import application, json_object, open_engine
from local_memora.classroom.gate import PAGES, ClassGate
from local_memora.classroom.limits import Limits
from local_memora.classroom.pack import serve_pack
from local_memora.classroom.register import SHARED, Book
from local_memora.classroom.reports import Report, Reports
from local_memora.contract.errors import ApiError
from local_memora.contract.schema import parse
from local_memora.verbs.service import Service

AT_ONCE = 8  # calls worked on at the same time, of all keys
COUNT_SECONDS = 5.0  # so long a count of rows is shown before it is made again
HERE = Path(__file__).parent
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def create_class(
    folder: Path, limits: Limits, names: Collection[str] = (), pack: Path | None = None
) -> tuple[Flask, ClassGate]:
    """Build the application of the class in a folder.

    Parameters
    ----------
    folder : Path
        Where `class new` has made it.
    limits : Limits
        What each key may take.
    names : collection of str
        Host names that clients may use beside this machine's own and its addresses, such as a reverse proxy's.
    pack : Path, optional
        A pack, to be served at /pack to everybody.

    Returns
    -------
    flask.Flask, ClassGate
        The application, and the gate that knows its keys.

    Raises
    ------
    ApiError
        404 where there is no class in the folder, or no pack.
    """
    book, reports = Book(folder), Reports(folder)
    service = Service(folder, open_engine(folder), AT_ONCE)
    gate = ClassGate(book, service.engine, limits)
    app = application(service, gate)
    known = {name.lower() for name in ("localhost", socket.gethostname(), f"{socket.gethostname()}.local", *names)}
    counts = _Counts(gate)

    @app.before_request
    def only_as_this_host() -> None:
        """Refuse other names: a page elsewhere whose name leads here would speak to us with a visitor's rights."""
        if not _is_ours(request.headers.get("Host", ""), known):
            raise ApiError(421, "this server does not have the name in the Host header: start it with --name NAME")

    @app.after_request
    def secured(response: Response) -> Response:
        response.headers.update(HEADERS)
        return response

    for path, page in PAGES.items():
        app.add_url_rule(path, path, partial(_file, *page))
    if pack:
        gate.open = {*gate.open, *serve_pack(app, pack)}

    @app.get("/class/state")
    def state() -> dict[str, Any]:
        if not gate.trusts(request.headers.get("Api-Key", "")):
            raise ApiError(403, "this page is for the teacher: it needs the teacher's key")
        register, watch = book.read(), gate.watch
        students = [
            {"name": seat.name, "revoked": not seat.digest, "exercises": reports.of(seat.name)}
            | counts.of(seat.name)
            | watch.student(seat.name)
            for seat in register.students
        ]
        about = {"class": register.name, "students": students, "shared": counts.of(SHARED)}
        return {**about, "mistakes": watch.mistakes(), "load": watch.load()}

    @app.post("/class/exercise")
    def exercise() -> dict[str, Any]:
        with gate.call(request.headers.get("Api-Key", ""), "class/exercise") as admit:
            report = parse(Report, json_object())
            admit(report, 0)
            reports.note(report)
        return {"message": "noted"}

    return app, gate


class _Counts:
    """Collections and rows of projects; several pages that ask do not count more often."""

    def __init__(self, gate: ClassGate) -> None:
        self._gate = gate
        self._kept: dict[str, tuple[float, dict[str, int]]] = {}

    def of(self, project: str) -> dict[str, int]:
        when, found = self._kept.get(project, (-COUNT_SECONDS, {}))
        if time.monotonic() - when >= COUNT_SECONDS:
            holdings = self._gate.holdings(project)
            found = {"collections": holdings.collections(), "rows": holdings.rows()}
            self._kept[project] = time.monotonic(), found
        return found


def _file(name: str, kind: str) -> Response:
    return Response((HERE / name).read_bytes(), content_type=f"{kind}; charset=utf-8")


def _is_ours(host: str, names: Collection[str]) -> bool:
    """Return whether a Host header has a name of ours, or an address: nobody else can give an address a meaning."""
    match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:\s]+)(:\d{1,5})?", host)
    if not match:
        return False
    name = match[1].strip("[]").lower()
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name in names
    return True
