"""The search panel: a SearchSession, shown; and what a person does there, done."""

import functools
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from helpers.connect import COLLECTION
from helpers.explore.browser import PanelView
from helpers.explore.explain import overlay
from helpers.explore.pictures import VIEW, aspect, figure, jpeg, thumbnail, words
from helpers.explore.session import CHOICES, MAX_BYTES, MOST, SearchSession, too_large
from helpers.features import FeatureExtractor
from helpers.images import DATA, ImageError, ImageFolder, load_folder
from helpers.memora import Memora
from helpers.plots import RIGHT, WRONG, mark
from helpers.search import Hit

EARLIER = 8  # earlier queries that are shown; Back goes further
SMALL, LARGE = 160, 400  # pixels of the longer side of pictures in strips, and of hits
QUERIES, ALL = "our queries", "all pictures"
# Lesson 4 measured them, with our pictures: where most pairs of the same kind begin, and most copies.
MARKS = {"efficientnet-lite0": [["same kind", 0.41], ["copy", 0.86]]}
CALL = "For a picture, `vector` is `extractor.embed([picture])[0]` (lesson 4); here, `panel.session.vector`."


class Newest:
    """Runs functions in a thread of its own, always the newest; functions that came in between are left out."""

    def __init__(self) -> None:
        self._job: Callable[[], None] | None = None
        self._given = threading.Condition()
        threading.Thread(target=self._run, daemon=True).start()

    def __call__(self, job: Callable[[], None]) -> None:
        """Run this function next, instead of one that waits."""
        with self._given:
            self._job = job
            self._given.notify()

    def _run(self) -> None:
        while True:
            with self._given:
                self._given.wait_for(lambda: self._job is not None)
                job, self._job = self._job, None
            assert job is not None
            try:
                job()
            except Exception:  # the next function must still be run
                traceback.print_exc()


def in_a_thread(job: Callable[[], None]) -> None:
    """Run a function in a thread of its own, so that nothing waits for a slow server of pictures."""
    threading.Thread(target=job, daemon=True).start()


def search_panel(
    client: Memora,
    extractor: FeatureExtractor | Sequence[tuple[FeatureExtractor, str]],
    *,
    collection: str = COLLECTION,
    root: Path = DATA,
    starters: ImageFolder | None = None,
    for_page: bool = False,
) -> "SearchPanel":
    """Return the panel: drop, paste, type or choose a query, crop it, filter, look at the hits, go on from one of them.

    Parameters
    ----------
    client, extractor, collection, root
        As for `SearchSession`.
    starters : ImageFolder, optional
        Pictures to begin with; by default the kit's queries for the kit's pictures, else the collection's own pictures.
    for_page : bool
        Fold away the call, for people who do not read code.

    Returns
    -------
    SearchPanel
        It is shown as the last line of a cell; its `session` is the search behind it.
    """
    session = SearchSession(
        client, extractor, collection=collection, root=root, start=Newest(), start_opening=in_a_thread
    )
    ours = session.root.resolve() == DATA.resolve()
    starters = starters or (load_folder(DATA, part="queries") if ours else None)
    return SearchPanel(session, starters, for_page=for_page)


class SearchPanel(PanelView):
    """A session as a browser shows it, drawn again whenever it changes; `starters` are pictures to begin with."""

    def __init__(self, session: SearchSession, starters: ImageFolder | None = None, *, for_page: bool = False) -> None:
        super().__init__()
        self.session, self._starters = session, starters
        self._drawing = threading.RLock()
        self._detailed: Hit | None = None
        self._drawn_network: FeatureExtractor | None = None
        self._drawn_query: Any = None
        self._view: tuple[Any, bytes] = (None, b"")  # the picture that is shown, and its JPEG
        self._moves = 0  # how many moves of ranges were heard of
        self._failed = 0  # how often something was refused: then the browser draws the query anew
        self._stored = {name: Counter(hit.metadata[name] for hit in session.pictures) for name in session.choices}
        ours = session.root.resolve() == DATA.resolve()
        self.about = {
            "name": "Memora image search" if ours else session.root.resolve().name,
            "count": f"{len(session.pictures):,} pictures" if session.pictures else "",
            "page": for_page,
            "most_bytes": MAX_BYTES,
            "most_hits": MOST,
            "formats": f"JPEG, PNG, WebP, AVIF, BMP, TIFF or GIF, up to {MAX_BYTES >> 20} MB",
            "call": CALL,
            "colors": {"--right": RIGHT.color, "--wrong": WRONG.color},
        }
        self._marks = MARKS if ours else {}
        shelves = session.choices.get("category", [])
        self._shelves = [*([QUERIES] if starters else []), *([ALL] if session.pictures else []), *shelves]
        self._fill_shelf(self._shelves[0] if self._shelves else "")
        self.on_msg(lambda _, told, buffers: self.do(told, buffers))
        session.watch(self._refresh)
        self._refresh()

    def __repr__(self) -> str:  # shown where widgets can't be
        return f"<Search panel: {self.session.message}>"

    # what a person does

    def do(self, told: dict[str, Any], buffers: Sequence[Any] = ()) -> None:
        """Do what a person did in the browser: `told["do"]` names it, the rest says with what."""
        session = self.session
        acts: dict[str, Callable[[], None]] = {
            "find": lambda: session.find(told["text"]),
            "file": lambda: self._take(told["name"], told["size"], buffers),
            "shelf": lambda: self._fill_shelf(told["value"]),
            "start": lambda: self._start_with(told["key"]),
            "crop": lambda: self._crop(told["box"]),
            "side": lambda: self._side(told["i"], told["value"]),
            "more": lambda: self._on(told["key"], session.more_like),
            "details": lambda: self._on(told["key"], self._show_details),
            "why": lambda: self._on(told["key"], self._explain),
            "close": self._close,
            "back": session.back,
            "back_to": lambda: session.back(int(told["key"])),
            "again": session.search,
            "clear": session.clear_filters,
            "allow": lambda: session.allow(told["field"], *told["values"]),
            "between": lambda: self._between(told["field"], told["low"], told["high"], told["n"]),
            "remove": lambda: self._remove(told["field"], told["value"]),
            "set": lambda: session.change(
                **{told["field"]: told["value"] or ("" if told["field"] == "beside" else None)}
            ),
        }
        acts[told["do"]]()

    def _between(self, field: str, low: float, high: float, number: int) -> None:
        self._moves = number  # the browser keeps what it has moved since
        self.session.between(field, low, high)

    def _take(self, name: str, size: int, buffers: Sequence[Any]) -> None:
        """Search by a file; a file that is too large comes without its bytes."""
        if size > MAX_BYTES:
            self.session.refuse(name, too_large())
        else:
            self.session.ask(bytes(buffers[0]), name)

    def _fill_shelf(self, value: str) -> None:
        """Show the pictures to begin with, or the collection's pictures of one category."""
        if value == QUERIES and self._starters:
            folder = self._starters
            root, shown = folder.root, [(path, path, folder.metadata.get(path, {})) for path in folder.paths]
        else:
            hits = [hit for hit in self.session.pictures if value in (ALL, hit.category)][:CHOICES]
            root, shown = self.session.root, [(str(hit.id), hit.path, hit.metadata) for hit in hits]
        items = [
            {
                "key": key,
                "alt": words(path, meta),
                "caption": _caption(path, meta),
                "picture": thumbnail(root, path, SMALL),
            }
            for key, path, meta in shown
        ]
        with self._drawing:
            self.shelf = {"value": value, "options": self._shelves, "items": items}

    def _start_with(self, key: str) -> None:
        if self.shelf["value"] != QUERIES or self._starters is None:
            self.session.more_like_id(int(key))
            return
        category = str(self._starters.metadata.get(key, {}).get("category", ""))
        self.session.ask(self._starters.root / key, Path(key).name, category)

    def _crop(self, box: Sequence[float] | None) -> None:
        query = self.session.query
        if query and box:
            width, height = query.picture.size
            left, top, right, bottom = (round(s * of) for s, of in zip(box, (width, height) * 2, strict=True))
            self.session.crop((left, top, right, bottom))
        else:
            self.session.crop(None)

    def _side(self, number: int, value: int) -> None:
        """Move one side of the box to a pixel: left, top, right or bottom."""
        if query := self.session.query:
            box = list(query.box or (0, 0, *query.picture.size))
            box[number] = value
            self.session.crop((box[0], box[1], box[2], box[3]))

    def _remove(self, field: str, value: str) -> None:
        """Take one filter away."""
        settings = self.session.settings
        if field == "least_similarity":
            self.session.change(least_similarity=None)
        elif field in settings.ranges:
            self.session.between(field, *self.session.spans[field])
        else:
            self.session.allow(field, *(one for one in settings.allowed.get(field, ()) if one != value))

    def _on(self, key: str, act: Callable[[Hit], Any]) -> None:
        """Do something with a hit that is shown; nothing if it has gone meanwhile."""
        both = [*self.session.hits, *self.session.beside]
        if hit := next((one for one in both if str(one.id) == key), None):
            act(hit)

    # one hit

    # Each change of what the browser sees holds the lock: else one made while another thread draws could be lost.

    def _close(self) -> None:
        with self._drawing:
            self._detailed, self.detail = None, {}

    def _show_details(self, hit: Hit, why: str = "", agreed: list[dict[str, Any]] | None = None) -> None:
        query = self.session.query
        if query is None:
            return
        said = f"hit {hit.rank}: {words(hit.path, hit.metadata)}"
        detail = {
            "key": str(hit.id),
            "title": f"Hit {hit.rank}: {_caption(hit.path, hit.metadata)}",
            "pair": agreed
            or [figure(lambda: query.part, "the query"), figure(lambda: self.session.picture(hit), said)],
            "can_why": not query.words,  # why compares two pictures
            "why": why,
            "agreed": bool(agreed),
            "rows": {"distance": f"{hit.distance:.4f}", "file": hit.path, "id": str(hit.id), **hit.metadata},
        }
        with self._drawing:
            self._detailed, self.detail = hit, detail

    def _explain(self, hit: Hit) -> None:
        query = self.session.query
        if query is None or query.words:
            self._show_details(hit, "Two pictures are compared: search by a picture first.")
            return
        self._show_details(hit, "Looking ...")
        try:
            found = self.session.why(hit)
            drawn = {
                "query": overlay(query.part, found.query, found.query_box),
                "hit": overlay(self.session.picture(hit), found.hit, found.hit_box),
            }
        except ImageError as error:
            self._show_details(hit, str(error))
            return
        pair = [
            figure(functools.partial(Image.fromarray, one), f"the {name}, bright where it agrees")
            for name, one in drawn.items()
        ]
        self._show_details(hit, str(found), pair)

    # drawing

    def _refresh(self) -> None:
        with self._drawing, self.hold_sync():  # the browser gets all of it at once
            self._draw()

    def _draw(self) -> None:
        session = self.session
        query, busy = session.query, session.state in ("opening", "searching")
        if query is not self._drawn_query or (
            not busy and self._detailed and self._detailed not in [*session.hits, *session.beside]
        ):
            self._close()
        if query is not self._drawn_query:
            self._drawn_query = query
            self.earlier = [
                {"key": str(steps), "alt": f"back to {one.name}", "caption": one.name, "picture": jpeg(one.part, SMALL)}
                for steps, one in enumerate(session.history[: -EARLIER - 1 : -1], start=1)
            ]
        self._failed += session.state == "failed"
        self.query = self._query()
        if session.extractor is not self._drawn_network:
            self._drawn_network, self.words = session.extractor, session.words
        if not busy:
            self.wall = {"columns": self._columns(), "marks": self._marks.get(session.extractor.name, [])}
        self.facets, self.settings, self.call = self._facets(), self._settings(), session.call
        # after a refused file the hits of the query before are still there: nothing to try again
        again = session.state == "failed" and query is not None and not session.hits
        self.status = {"state": session.state, "message": session.message, "busy": busy, "again": again,
                       "clear": session.state == "nothing found"}  # fmt: skip

    def _query(self) -> dict[str, Any]:
        query = self.session.query
        if query is None:
            return {}
        if query.picture is not self._view[0]:
            self._view = query.picture, jpeg(query.picture, VIEW)
        width, height = query.picture.size
        box = query.box or (0, 0, width, height)
        share = (box[2] - box[0]) * (box[3] - box[1]) / (width * height)
        part = f"The {query.where}: {share:.0%} of the picture" if query.box else "Drag a corner to search by a part."
        return {
            "n": f"{id(query.picture)} {self._failed}",
            "name": query.name,
            "alt": f"the query: {query.name}",
            "picture": b"" if query.words else self._view[1],  # words have no part to drag a box on
            "words": ", ".join(query.words),
            "said": "" if query.words else part,
            "size": [width, height],
            "sides": list(box),
            "box": [side / of for side, of in zip(box, (width, height) * 2, strict=True)] if query.box else [],
        }

    def _columns(self) -> list[dict[str, Any]]:
        """Return the hits, and beside them those of what the search is compared with."""
        session, how = self.session, self.session.settings.beside
        if how not in session.comparisons or session.query is None:
            return [{"title": "", "note": "", "items": [self._item(hit) for hit in session.hits]}]
        both = {hit.path for hit in session.hits} & {hit.path for hit in session.beside}
        kind = how.partition(" ")[0]
        itself = f"its {session.query.where}" if session.query.box else "the picture itself"
        named = {"network": session.extractor.name, "metric": session.settings.metric or session.metrics[0],
                 "all": "with filters"}  # fmt: skip
        metric = how.removeprefix("metric ") if kind == "metric" else None
        columns = []
        for title, hits, by in (
            (named.get(kind, itself), session.hits, None),
            (session.comparisons[how], session.beside, metric),
        ):
            items = [self._item(hit, both, by) for hit in hits]
            right = sum(item["mark"] == "right" for item in items)
            known = f"{right} of {len(items)} right, " if session.query.category else ""
            columns.append({"title": title, "note": f"{known}{len(both)} in both", "items": items})
        return columns

    def _item(self, hit: Hit, both: Sequence[str] | set[str] = (), metric: str | None = None) -> dict[str, Any]:
        name, _, sign = mark(hit, self.session.query.category if self.session.query else "")
        picture = thumbnail(self.session.root, hit.path, LARGE)
        return {
            "key": str(hit.id),
            "rank": hit.rank,
            "alt": words(hit.path, hit.metadata),
            "title": hit.path,
            "caption": _caption(hit.path, hit.metadata),
            "value": f"{hit.distance:.2f}",
            "similarity": self.session.similarity(hit, metric),
            "mark": name,
            "sign": sign,
            "both": hit.path in both,
            "picture": picture,
            "aspect": aspect(picture),
        }

    def _facets(self) -> dict[str, Any]:
        """Return the filters: each value with how many of the hits and of the collection have it."""
        session, now = self.session, self.session.settings
        groups = []
        for field, values in session.choices.items():
            found, on = Counter(hit.metadata.get(field) for hit in session.hits), now.allowed.get(field, ())
            rows = [{"value": value, "found": found[value], "stored": self._stored[field][value], "on": value in on}
                    for value in values]  # fmt: skip
            if len(rows) > 12:  # too many to look through: those of the results come first
                rows.sort(key=lambda row: (not row["on"], -found[str(row["value"])]))
            groups.append({"field": field, "values": rows})
        spans = []
        for field, (low, high) in session.spans.items():
            start, end = now.ranges.get(field, (low, high))
            spans.append(
                {"field": field, "low": low, "high": high, "from": start, "to": end, "whole": isinstance(low, int)}
            )
        shown = [{"field": field, "value": value, "name": f"{field}: {value}".replace("_", " ")}
                 for field, values in now.allowed.items() for value in values]  # fmt: skip
        shown += [{"field": field, "value": "", "name": f"{field}: {low:g} to {high:g}"}
                  for field, (low, high) in now.ranges.items()]  # fmt: skip
        if now.least_similarity is not None:
            shown.append(
                {"field": "least_similarity", "value": "", "name": f"similarity from {now.least_similarity:g}"}
            )
        return {"groups": groups, "spans": spans, "on": shown, "moves": self._moves}

    def _settings(self) -> dict[str, Any]:
        session, now = self.session, self.session.settings
        return {
            "limit": now.limit,
            "least_similarity": now.least_similarity or 0,
            "networks": list(session.extractors),
            "extractor": session.extractor.name,
            "metrics": session.metrics,
            "metric": now.metric or session.metrics[0],
            "comparisons": session.comparisons,
            "beside": now.beside,
        }


def _caption(path: str, metadata: dict[str, Any]) -> str:
    """Return what a picture is called: its category, or its file's name."""
    return str(metadata.get("category") or "").replace("_", " ") or Path(path).name
