"""The gate of a class: each key opens its own project, and the shared one for reading, within limits."""

import threading
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from local_memora.app import Admit
from local_memora.classroom.limits import READS, Limits, Share, is_heavy
from local_memora.classroom.register import SHARED, TEACHER, Book, Seat
from local_memora.classroom.watch import Watch
from local_memora.contract import bodies
from local_memora.contract.errors import ApiError
from local_memora.engines import Engine

PAGES = {  # they hold nothing of the class
    "/class": ("page.html", "text/html"),
    "/class/page.js": ("page.js", "text/javascript"),
    "/class/page.css": ("page.css", "text/css"),
}
LOADS = {"collections/load", "partitions/load"}  # they change no row, and lessons that only search call them


class Holdings:
    """What a project holds: measured when it is first asked for and near a limit, estimated in between."""

    def __init__(self, engine: Engine, project: str, limits: Limits) -> None:
        self._engine, self._project, self._limits = engine, project, limits
        self._guard = threading.Lock()
        self._rows, self._bytes, self._measured = 0, 0, False

    def collections(self) -> int:
        """Return how many collections there are."""
        return len(self._engine.names(self._project))

    def rows(self) -> int:
        """Count the rows."""
        return sum(map(self._count, self._engine.names(self._project)))

    def _count(self, name: str) -> int:
        """Count a collection's rows: 0 where it was dropped in this moment, or is damaged; calls about it say so."""
        collection = None
        try:
            collection = self._engine.find(self._project, name)
            return self._engine.count(collection, None, None) if collection else 0
        except Exception as error:
            if collection:
                self._engine.fault(collection, error)
            return 0

    def refuse_another(self) -> None:
        """Refuse with 413 one more collection than a project may have."""
        if self.collections() >= self._limits.collections:
            most = f"this key may have {self._limits.collections} collections, and has them"
            raise ApiError(413, f"{most}: drop one first (collections/drop)")

    def refuse_beyond(self, rows: int, size: int) -> None:
        """Refuse with 413 more rows, or bytes, than a project may hold; else count them as stored."""
        most_rows, most_bytes = self._limits.rows, self._limits.megabytes * 1_000_000
        with self._guard:
            if not self._measured or self._rows + rows > most_rows or self._bytes + size > most_bytes:
                self._rows, self._bytes, self._measured = self.rows(), self._engine.size(self._project), True
            if self._rows + rows > most_rows:
                asked = f"{self._rows:,} rows are stored with this key, and {rows:,} more"
                raise ApiError(413, f"{asked} would pass its limit of {most_rows:,}: delete rows, or drop a collection")
            if self._bytes + size > most_bytes:
                asked = f"{self._bytes / 1e6:,.0f} MB are stored with this key, and {size / 1e6:,.1f} more"
                advice = "drop a collection that is not needed"
                raise ApiError(413, f"{asked} would pass its limit of {self._limits.megabytes:,} MB: {advice}")
            self._rows, self._bytes = self._rows + rows, self._bytes + size


class ClassGate:
    """Who may do what in a class.

    Parameters
    ----------
    book : Book
        Who is in it.
    engine : Engine
        Who stores, and can say how much.
    limits : Limits
        Of each key.
    """

    open: Collection[str] = ("/health", *PAGES)

    def __init__(self, book: Book, engine: Engine, limits: Limits) -> None:
        self.book, self.limits, self.watch = book, limits, Watch()
        self.engine = engine
        self._shares: dict[str, Share] = {}
        self._holdings: dict[str, Holdings] = {}

    def knows(self, key: str) -> bool:
        """Return whether a key opens anything."""
        return self.book.read().holder(key) is not None

    def trusts(self, key: str) -> bool:
        """Return whether a key is the teacher's."""
        seat = self.book.read().holder(key)
        return seat is not None and seat.name == TEACHER

    def holdings(self, project: str) -> Holdings:
        """Return what a project holds."""
        return self._holdings.setdefault(project, Holdings(self.engine, project, self.limits))

    @contextmanager
    def call(self, key: str, path: str) -> Iterator[Admit]:
        """Surround one call: its key's turn, its limits, and what the teacher sees of it."""
        seat = self.book.read().holder(key)
        if seat is None:  # revoked since the application looked
            raise ApiError(401, "this key was revoked")
        begun = time.monotonic()
        try:
            with ExitStack() as held:
                held.enter_context(self._shares.setdefault(seat.name, Share(self.limits.requests)).turn())
                yield partial(self._admit, seat, path, held)
        except Exception as error:
            self.watch.failed(seat.name, path, error)
            raise
        self.watch.done(seat.name, path, time.monotonic() - begun)

    def _admit(self, seat: Seat, path: str, held: ExitStack, body: bodies.Body, size: int) -> None:
        own = "" if seat.name == TEACHER else seat.name
        if body.project_id == SHARED:
            if path not in READS | LOADS:
                use = f"; use your own, {own!r}" if own else ""
                raise ApiError(403, f"the project {SHARED!r} is for reading, and {path} would change it{use}")
        elif body.project_id != own:
            opens = f"{own!r}, and {SHARED!r} for reading" if own else f"{SHARED!r}, for reading"
            raise ApiError(403, f"this key does not open the project {body.project_id!r}; it opens {opens}")
        if isinstance(body, bodies.Create):
            self.holdings(own).refuse_another()
        if isinstance(body, bodies.Store):
            self.holdings(own).refuse_beyond(len(body.data), size)
        if is_heavy(body):
            held.enter_context(self._shares[seat.name].heavy())
