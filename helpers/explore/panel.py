"""The search panel: a SearchSession, shown; and what a person does there, done."""

import functools
import queue
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from helpers.connect import COLLECTION
from helpers.explore.browser import PanelView
from helpers.explore.explain import overlay
from helpers.explore.pictures import VIEW, aspect, figure, jpeg, said, thumbnail, words
from helpers.explore.query import Query, Search
from helpers.explore.session import CHOICES, MAX_BYTES, MOST, TOO_LARGE, SearchSession
from helpers.features import FeatureExtractor
from helpers.images import DATA, ImageFolder, load_folder
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
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        threading.Thread(target=self._run, daemon=True).start()

    def __call__(self, job: Callable[[], None]) -> None:
        """Run this function next, instead of those that wait."""
        self._jobs.put(job)

    def _run(self) -> None:
        while True:
            job = self._jobs.get()
            while not self._jobs.empty():  # no other thread takes from it
                job = self._jobs.get()
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
        self._drawn_query: Query | None = None
        self._view: tuple[Any, bytes] = (None, b"")  # the picture that is shown, and its JPEG
        self._failed = 0  # how often something was refused: then the browser draws the query anew
        self._stored = {name: Counter(hit.metadata[name] for hit in session.pictures) for name in session.choices}
        ours = session.root.resolve() == DATA.resolve()
        self._marks = MARKS if ours else {}
        self.about = {
            "name": "Memora image search" if ours else session.root.resolve().name,
            "count": f"{len(session.pictures):,} pictures" if session.pictures else "",
            "page": for_page,
            "most_bytes": MAX_BYTES,
            "most_hits": MOST,
            "formats": f"JPEG, PNG, WebP, AVIF, BMP, TIFF or GIF, up to {MAX_BYTES >> 20} MB",
            "call": CALL,
            "colors": {"--right": RIGHT.color, "--wrong": WRONG.color},
            "spans": [{"field": field, "low": low, "high": high, "step": 1 if isinstance(low, int) else "any"}
                      for field, (low, high) in session.spans.items()],
        }  # fmt: skip
        self._shelves = [QUERIES] if starters else []
        self._shelves += [*([ALL] if session.pictures else []), *session.choices.get("category", [])]
        self._fill_shelf(self._shelves[0] if self._shelves else "")
        self.on_msg(lambda _, told, buffers: self.do(told, buffers))
        session.watch(self._refresh)
        self._refresh()

    def __repr__(self) -> str:  # shown where widgets can't be
        return f"<Search panel: {self.session.message}>"

    # what a person does

    def do(self, told: dict[str, Any], buffers: Sequence[Any] = ()) -> None:
        """Do what a person did in the browser: `told["do"]` names it, the rest says with what."""
        session, do = self.session, told["do"]
        acts: dict[str, Callable[..., Any]] = {
            "find": session.find,
            "file": lambda name, size: self._take(name, size, buffers),
            "shelf": self._fill_shelf,
            "start": self._start_with,
            "crop": self._crop,
            "side": self._side,
            "more": functools.partial(self._on, lambda _, hit: session.more_like(hit)),
            "details": functools.partial(self._on, self._show_details),
            "why": functools.partial(self._on, self._explain),
            "close": self._close,
            "back": session.back,
            "again": session.search,
            "clear": session.clear_filters,
            "allow": lambda field, values: session.allow(field, *values),
            "between": session.between,
            "change": session.change,
        }
        acts[do](**{name: value for name, value in told.items() if name != "do"})

    def _take(self, name: str, size: int, buffers: Sequence[Any]) -> None:
        """Search by a file; a file that is too large comes without its bytes."""
        if size > MAX_BYTES:
            self.session.refuse(name, TOO_LARGE)
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
            {"key": key, "alt": words(path, meta), "caption": _caption(path, meta),
             "picture": thumbnail(root, path, SMALL)}
            for key, path, meta in shown
        ]  # fmt: skip
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
        self.session.crop(query.pixels(box) if query and box else None)

    def _side(self, i: int, value: int) -> None:
        """Move one side of the box to a pixel: left, top, right or bottom."""
        if query := self.session.query:
            left, top, right, bottom = (value if n == i else side for n, side in enumerate(query.sides))
            self.session.crop((left, top, right, bottom))

    def _on(self, act: Callable[[Search, Hit], None], key: str, column: int = 0) -> None:
        """Do something with a hit that is shown in a column; nothing if it has gone meanwhile."""
        for search in self.session.searches[column : column + 1]:
            for hit in [one for one in search.hits if str(one.id) == key]:
                act(search, hit)

    # one hit

    # Each change of what the browser sees holds the lock: else one made while another thread draws could be lost.

    def _close(self) -> None:
        with self._drawing:
            self._detailed, self.detail = None, {}

    def _show_details(self, search: Search, hit: Hit, why: str = "", agreed: Sequence[dict[str, Any]] = ()) -> None:
        session, named = self.session, f"hit {hit.rank}: {words(hit.path, hit.metadata)}"
        known = {name: said(value) if name in session.choices else value for name, value in hit.metadata.items()}
        detail = {
            "key": str(hit.id),
            "column": int(search is not session.searches[0]),
            "title": f"Hit {hit.rank}: {_caption(hit.path, hit.metadata)}",
            "pair": agreed
            or [figure(lambda: search.query.part, "the query"), figure(lambda: session.picture(hit), named)],
            "can_why": not search.query.words,  # why compares two pictures
            "why": why,
            "agreed": bool(agreed),
            "rows": {"distance": f"{hit.distance:.4f}", "file": hit.path, "id": str(hit.id), **known},
        }
        with self._drawing:
            self._detailed, self.detail = hit, detail

    def _explain(self, search: Search, hit: Hit) -> None:
        """Show why a hit was found: both pictures, dark where they do not agree."""
        self._show_details(search, hit, "" if search.query.words else "Looking ...")
        try:
            found = self.session.why(hit)
            drawn = {
                "query": overlay(search.query.part, found.query, found.query_box),
                "hit": overlay(self.session.picture(hit), found.hit, found.hit_box),
            }
        except ValueError as error:  # words; or a file that is gone
            self._show_details(search, hit, str(error))
        else:
            pair = [{"picture": jpeg(picture, VIEW), "words": f"the {name}, bright where it agrees"}
                    for name, picture in drawn.items()]  # fmt: skip
            self._show_details(search, hit, str(found), pair)

    # drawing

    def _refresh(self) -> None:
        with self._drawing, self.hold_sync():  # the browser gets all of it at once
            session, query, status = self.session, self.session.query, self.session.state
            busy = status in ("opening", "searching")
            shown = [hit for search in session.searches for hit in search.hits]
            if query is not self._drawn_query or not (busy or self._detailed in shown):
                self._close()
            if query is not self._drawn_query:
                self._drawn_query = query
                self.earlier = [
                    {"key": steps, "alt": f"back to {one.name}", "caption": one.name, "picture": jpeg(one.part, SMALL)}
                    for steps, one in enumerate(session.history[: -EARLIER - 1 : -1], start=1)
                ]
            self._failed += status == "failed"
            self.query, self.words = self._query(), session.words
            if not busy:
                self.wall = {"columns": self._columns(), "marks": self._marks.get(session.extractor.name, [])}
            self.facets, self.call = self._facets(), session.call
            self.settings = asdict(session.settings) | {
                "extractor": session.extractor.name,
                "networks": list(session.extractors),
                "metric": session.metric,
                "metrics": session.metrics,
                "comparisons": session.comparisons,
            }
            # after a refused file the hits of the query before are still there: nothing to try again
            again = status == "failed" and query is not None and not session.hits
            self.status = {"state": status, "message": session.message, "busy": busy, "again": again}

    def _query(self) -> dict[str, Any]:
        query = self.session.query
        if query is None:
            return {}
        if query.picture is not self._view[0]:
            self._view = query.picture, jpeg(query.picture, VIEW)
        told = "Drag a corner to search by a part."
        if query.shares:
            left, top, right, bottom = query.shares
            told = f"The {query.where}: {(right - left) * (bottom - top):.0%} of the picture"
        return {
            "n": f"{id(query.picture)} {self._failed}",
            "name": query.name,
            "picture": b"" if query.words else self._view[1],  # words have no part to drag a box on
            "words": ", ".join(query.words),
            "said": "" if query.words else told,
            "size": query.picture.size,
            "sides": query.sides,
            "box": query.shares,
        }

    def _columns(self) -> list[dict[str, Any]]:
        """Return the hits, and beside them those of what the search is compared with."""
        searches, category = self.session.searches, self.session.query.category if self.session.query else ""
        paths = [{hit.path for hit in search.hits} for search in searches]
        both = paths[0] & paths[1] if len(paths) > 1 else set()
        columns = []
        for search in searches:
            items = [self._item(hit, search, both) for hit in search.hits]
            notes = [f"{sum(item['mark'] == RIGHT.name for item in items)} of {len(items)} right"] if category else []
            notes += [f"{len(both)} in both"]
            columns.append({"title": search.title, "note": ", ".join(notes), "items": items, "problem": search.problem})
        return columns

    def _item(self, hit: Hit, search: Search, both: Collection[str]) -> dict[str, Any]:
        marked, picture = mark(hit, search.query.category), thumbnail(self.session.root, hit.path, LARGE)
        return {
            "key": str(hit.id),
            "rank": hit.rank,
            "alt": words(hit.path, hit.metadata),
            "title": hit.path,
            "caption": _caption(hit.path, hit.metadata),
            "value": f"{hit.distance:.2f}",
            "similarity": self.session.similarity(hit),
            "mark": marked.name,
            "sign": marked.sign,
            "both": hit.path in both,
            "picture": picture,
            "aspect": aspect(picture),
        }

    def _facets(self) -> dict[str, Any]:
        """Return the filters: each value with how many of the hits and of the collection have it; and those in use."""
        session, now = self.session, self.session.settings
        groups: list[dict[str, Any]] = []
        on: list[tuple[str, dict[str, Any]]] = []
        for field, values in session.choices.items():
            found, chosen = Counter(hit.metadata.get(field) for hit in session.hits), now.allowed.get(field, ())
            rows = [{"value": value, "found": found[value], "stored": self._stored[field][value], "on": value in chosen}
                    for value in values]  # fmt: skip
            if len(rows) > 12:  # too many to look through: those of the results come first
                rows.sort(key=lambda row: (not row["on"], -found[str(row["value"])]))
            groups.append({"field": field, "values": rows})
            for value in chosen:
                others = [one for one in chosen if one != value]
                on.append((f"{field}: {value}", {"do": "allow", "field": field, "values": others}))
        for field, (low, high) in now.ranges.items():
            least, most = session.spans[field]
            on.append((f"{field}: {low:g} to {high:g}", {"do": "between", "field": field, "low": least, "high": most}))
        if now.least_similarity is not None:
            on.append((f"similarity from {now.least_similarity:g}", {"do": "change", "least_similarity": None}))
        return {"groups": groups, "on": [{"name": said(name), "undo": undo} for name, undo in on]}


def _caption(path: str, metadata: dict[str, Any]) -> str:
    """Return what a picture is called: its category, or its file's name."""
    return said(metadata.get("category") or "") or Path(path).name
