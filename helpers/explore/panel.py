"""The search panel: widgets around a SearchSession."""

import functools
import html
import re
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ipywidgets as widgets
from PIL import Image

from helpers.connect import COLLECTION
from helpers.explore.browser import STYLE, Call, Chips, Cropper, Gallery, Line, Slider
from helpers.explore.explain import overlay
from helpers.explore.pictures import VIEW, figure, jpeg, side_by_side, thumbnail, words
from helpers.explore.session import CHOICES, MAX_BYTES, SearchSession, too_large
from helpers.features import FeatureExtractor
from helpers.images import DATA, ImageError, ImageFolder, load_folder, shortened
from helpers.memora import Memora
from helpers.plots import RIGHT, WRONG, mark
from helpers.search import Hit

EARLIER = 8  # earlier queries that are shown; Back goes further
THUMB = 160  # pixels of a thumbnail's longer side
QUERIES, ALL = "queries (not stored)", "the collection"


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
) -> "SearchPanel":
    """Return the panel: choose or upload a picture, crop it, filter, look at the hits, search by one of them.

    Parameters
    ----------
    client, extractor, collection, root
        As for `SearchSession`.
    starters : ImageFolder, optional
        Pictures to begin with; the kit's queries by default.

    Returns
    -------
    SearchPanel
        It is shown as the last line of a cell; its `session` is the search behind it.
    """
    session = SearchSession(
        client, extractor, collection=collection, root=root, start=Newest(), start_opening=in_a_thread
    )
    return SearchPanel(session, starters or load_folder(DATA, part="queries"))


class SearchPanel(widgets.VBox):
    """Widgets around a session, drawn again whenever it changes; `starters` are pictures to begin with."""

    def __init__(self, session: SearchSession, starters: ImageFolder) -> None:
        self.session, self._starters = session, starters
        self._drawing = threading.RLock()
        self._own = threading.local()  # `quiet` while this thread sets widgets: they must not react
        self._make_query()
        self._make_controls()
        self._make_results()
        colors = f".memora {{ --right: {RIGHT.color}; --wrong: {WRONG.color}; }}"
        style = widgets.HTML(f"<style>{colors}\n{STYLE.read_text(encoding='utf-8')}</style>")
        super().__init__([style, self._status, self._layout()])
        self.add_class("memora")
        self.add_class("memora-panel")
        session.watch(self._refresh)
        self._refresh()

    def __repr__(self) -> str:  # shown where widgets can't be
        return f"<Search panel: {self.session.message}>"

    # the query

    def _make_query(self) -> None:
        self._gallery = _gallery("pictures to begin with; arrow keys go from one to the next", "memora-starters")
        self._gallery.observe(self._start_with, "chosen")
        shelves = self.session.choices.get("category", [ALL] if self.session.pictures else [])
        self._shelf = widgets.Dropdown(description="From", options=[QUERIES, *shelves])
        self._shelf.observe(self._fill_gallery, "value")
        self._fill_gallery()
        self._earlier = _gallery("earlier queries, the last one first", "memora-earlier")
        self._earlier.observe(lambda told: self._go_back(int(told["new"]["key"])), "chosen")
        told = _help("Earlier queries, the last one first: a click goes back.")
        self._earlier_box = widgets.VBox([told, self._earlier], layout={"display": "none"})
        self._words = Line(label="Words", button="Find", placeholder="coffee mug")
        self._words.observe(lambda told: self._ask_words(told["new"]["text"]), "asked")
        self._words_help = _help("")
        self._address = Line(label="Address", button="Fetch", placeholder="https://...")
        self._address.observe(lambda told: self._fetch(told["new"]["text"].strip()), "asked")
        self._view = Cropper(most_bytes=MAX_BYTES)
        self._view.observe(self._dragged, "box")
        self._view.observe(self._uploaded, "file")
        self._view.observe(self._lost, "lost")
        self._sides = []
        for name in ("Left", "Top", "Right", "Bottom"):
            side = widgets.BoundedIntText(description=name, min=0, max=0, layout={"width": "150px"})
            side.observe(self._typed, "value")
            self._sides.append(side)
        self._whole = _button("Whole picture", lambda: self.session.crop(None))

    def _fill_gallery(self, _: Any = None) -> None:
        """Show the pictures to begin with, or the collection's pictures of one category."""
        if self._shelf.value == QUERIES:
            folder = self._starters
            root, shown = folder.root, [(path, path, folder.metadata.get(path, {})) for path in folder.paths]
        else:
            hits = [hit for hit in self.session.pictures if self._shelf.value in (ALL, hit.category)][:CHOICES]
            root, shown = self.session.root, [(str(hit.id), hit.path, hit.metadata) for hit in hits]
        self._gallery.pictures = [thumbnail(root, path, THUMB) for _, path, _ in shown]
        self._gallery.items = [
            {"key": key, "alt": words(path, meta), "caption": str(meta.get("category", "")).replace("_", " ")}
            for key, path, meta in shown
        ]

    def _start_with(self, change: Any) -> None:
        path = change["new"]["key"]
        if self._shelf.value != QUERIES:
            self.session.more_like_id(int(path))
            return
        category = str(self._starters.metadata.get(path, {}).get("category", ""))
        self.session.ask(self._starters.root / path, Path(path).name, category)

    def _uploaded(self, change: Any) -> None:
        file = change["new"]
        if file["size"] > MAX_BYTES:
            self.session.refuse(file["name"], too_large())
        else:
            self.session.ask(bytes(file["content"]), file["name"])

    def _lost(self, change: Any) -> None:
        if self.session.query is None:
            lost = f"{change['new']} and all settings are lost"
            self.session.note(f"The page was loaded again: {lost}. Choose a picture.")

    def _ask_words(self, text: str) -> None:
        if text.strip():
            self.session.ask_words(text.strip())

    def _fetch(self, address: str) -> None:
        if address.lower().startswith(("http://", "https://", "data:")):
            self.session.ask(address)
        elif address:
            self.session.refuse(shortened(address), "an address begins with http:// or https://; upload a file instead")

    def _dragged(self, change: Any) -> None:
        if self.session.query and change["new"] and not self._quiet:
            width, height = self.session.query.picture.size
            left, top, right, bottom = change["new"]
            self.session.crop((round(left * width), round(top * height), round(right * width), round(bottom * height)))

    def _typed(self, change: Any) -> None:
        query = self.session.query
        if query and not self._quiet:
            box = list(query.box or (0, 0, *query.picture.size))  # not from the other fields, which may be changing
            box[self._sides.index(change["owner"])] = change["new"]
            self.session.crop((box[0], box[1], box[2], box[3]))

    # the controls

    def _make_controls(self) -> None:
        session = self.session
        self._limit = Slider(description="Results", value=session.settings.limit, min=1, max=30)
        self._least = Slider(description="Similarity", step=0.05)
        self._network, self._metric = (
            widgets.Dropdown(description=name, options=values, disabled=len(values) < 2)
            for name, values in (("Network", list(session.extractors)), ("Metric", session.metrics))
        )
        count = {name: Counter(hit.metadata[name] for hit in session.pictures) for name in session.choices}
        self._filters = {
            name: Chips(label=name.capitalize(), values=[[value, count[name][value]] for value in values])
            for name, values in session.choices.items()
        }
        self._clear = _button("Clear filters", session.clear_filters)
        self._listen(self._limit, lambda value: session.change(limit=round(value)))
        self._listen(self._least, lambda value: session.change(least_similarity=value or None))
        self._listen(self._network, lambda value: session.change(extractor=value))
        self._listen(self._metric, lambda value: session.change(metric=value))
        for name, control in self._filters.items():
            self._listen(control, functools.partial(lambda field, values: session.allow(field, *values), name))

    def _listen(self, control: Any, change: Callable[[Any], None]) -> None:
        control.observe(lambda told: None if self._quiet else change(told["new"]), "value")

    # the results

    def _make_results(self) -> None:
        self._status = widgets.HTML()
        self._status.add_class("memora-status")
        self._again = _button("Try again", lambda: self._anew(self.session.search))
        self._clear_here = _button("Clear filters", lambda: self._anew(self.session.clear_filters))
        self._back = _button("Back", self._go_back)
        self._hits = _gallery("the pictures most like it", "memora-hits", details=True)
        self._hits.observe(self._chosen, "chosen")
        self._details = widgets.VBox()
        self._call = Call()
        self._call.add_class("memora-call")

    # A button that disappears gives the keyboard's focus to what comes next.

    def _anew(self, search: Callable[[], None]) -> None:
        search()
        self._hits.focus_on()

    def _go_back(self, steps: int = 1) -> None:
        self.session.back(steps)
        if not self.session.history:
            self._hits.focus_on()

    def _close(self, hit: Hit) -> None:
        self._details.children = ()
        self._hits.focus_on(str(hit.id), "details")

    def _chosen(self, change: Any) -> None:
        hit = next((one for one in self.session.hits if str(one.id) == change["new"]["key"]), None)
        if hit is None:
            return
        if change["new"]["what"] == "details":
            self._show_details(hit)
        else:
            self.session.more_like(hit)

    def _show_details(self, hit: Hit) -> None:
        query = self.session.query
        if query is None:
            return
        answer, self._detailed = widgets.HTML(), hit
        buttons = [_button("Close", lambda: self._close(hit))]
        if not query.words:  # why compares two pictures
            buttons.insert(0, _button("Why this one?", lambda: self._explain(hit, answer)))
        rows = {"rank": hit.rank, "distance": f"{hit.distance:.4f}", "file": hit.path, "id": hit.id, **hit.metadata}
        cells = "".join(
            f"<tr><th>{html.escape(str(k))}</th><td>{html.escape(str(v))}</td></tr>" for k, v in rows.items()
        )
        shown = side_by_side(
            figure(lambda: query.part, "the query"),
            figure(lambda: self.session.picture(hit), f"hit {hit.rank}: {words(hit.path, hit.metadata)}"),
        )
        self._details.children = [
            widgets.HTML(f"<h4>Hit {hit.rank}</h4>{shown}"),
            widgets.HBox(buttons),
            answer,
            widgets.HTML(f"<table class='memora-table'>{cells}</table>"),
        ]
        buttons[0].focus()  # also brings the details into view

    def _explain(self, hit: Hit, answer: widgets.HTML) -> None:
        answer.value = "<p role='status'>Looking ...</p>"
        try:
            found, query = self.session.why(hit), self.session.query
            assert query is not None
            drawn = [
                overlay(query.part, found.query, found.query_box),
                overlay(self.session.picture(hit), found.hit, found.hit_box),
            ]
        except ImageError as error:
            answer.value = f"<p role='status'>{html.escape(str(error))}</p>"
            return
        figures = [
            figure(functools.partial(Image.fromarray, one), f"the {name}, bright where it agrees")
            for one, name in zip(drawn, ("query", "hit"), strict=True)
        ]
        shown = side_by_side(*figures)
        answer.value = f"<p role='status' class='memora-why'>{html.escape(str(found))}</p>{shown}"

    # drawing

    def _refresh(self) -> None:
        with self._drawing:
            self._own.quiet = True
            try:
                self._draw()
            finally:
                self._own.quiet = False

    @property
    def _quiet(self) -> bool:
        return getattr(self._own, "quiet", False)

    def _draw(self) -> None:
        session = self.session
        query = session.query
        busy = session.state in ("opening", "searching")
        if query is not self._drawn_query or (not busy and self._detailed not in session.hits):
            self._details.children = ()
        if query is not self._drawn_query:
            self._draw_earlier()
        if query is not self._drawn_query or session.state == "failed":  # a refused box goes back
            self._draw_query()
        if session.extractor is not self._drawn_network:
            self._draw_words()
        self._limit.value, self._least.value = session.settings.limit, session.settings.least_similarity or 0
        for name, control in self._filters.items():
            control.value = session.settings.allowed.get(name, ())
        self._call.code = session.call
        self._back.disabled = not session.history
        # after a refused file the hits of the query before are still there: nothing to try again
        failed = session.state == "failed" and query is not None and not session.hits
        self._again.layout.display = None if failed else "none"
        self._clear_here.layout.display = None if session.state == "nothing found" else "none"
        self._hits.outdated = busy
        if not busy:
            self._hits.pictures = [thumbnail(session.root, hit.path, THUMB) for hit in session.hits]
            self._hits.items = [self._item(hit) for hit in session.hits]
        self._view.kept = self._kept()
        # last, because it says that everything else is there
        self._status.value = (
            f"<p role='status' aria-live='polite' aria-busy='{str(busy).lower()}' data-state='{session.state}'>"
            f"{html.escape(session.message)}</p>"
        )

    def _kept(self) -> str:
        """Return what would be lost if the page were loaded again; empty before the first search."""
        if self.session.query is None:
            return ""
        earlier = len(self.session.history)
        more = f", {earlier} earlier quer{'ies' if earlier > 1 else 'y'}" if earlier else ""
        return f"the search by {self.session.query.name}{more}"

    _drawn_query: Any = None
    _drawn_network: Any = None
    _detailed: Hit | None = None

    def _draw_query(self) -> None:
        query = self._drawn_query = self.session.query
        if query is None:
            return
        width, height = query.picture.size
        self._view.alt = f"the query: {query.name}"
        self._view.picture = b"" if query.words else jpeg(query.picture, VIEW)  # words have no part to drag a box on
        self._words.value = ", ".join(query.words) or self._words.value
        self._whole.disabled = bool(query.words)
        box = query.box or (0, 0, width, height)
        for side, value, most in zip(self._sides, box, (width, height) * 2, strict=True):
            side.max, side.value, side.disabled = most, value, bool(query.words)
        left, top, right, bottom = box
        self._view.box = [left / width, top / height, right / width, bottom / height] if query.box else []

    def _draw_words(self) -> None:
        self._drawn_network = self.session.extractor
        self._words.options = self.session.words
        self._words.disabled = not self._words.options
        known = "Names that the network was trained with; commas between several. Enter searches."
        none = f"{self._drawn_network.name} was not trained with names: it can't search by words."
        self._words_help.value = none if self._words.disabled else known

    def _draw_earlier(self) -> None:
        earlier = self.session.history[: -EARLIER - 1 : -1]
        self._earlier_box.layout.display = None if earlier else "none"
        self._earlier.pictures = [jpeg(query.part, THUMB) for query in earlier]
        self._earlier.items = [
            {"key": str(steps), "alt": f"back to {query.name}", "caption": ", ".join(query.words)}
            for steps, query in enumerate(earlier, start=1)
        ]

    def _item(self, hit: Hit) -> dict[str, Any]:
        name, _, sign = mark(hit, self.session.query.category if self.session.query else "")
        caption = f"{hit.rank}. {hit.distance:.3f} {hit.category} {sign}".rstrip()
        return {"key": str(hit.id), "alt": words(hit.path, hit.metadata), "caption": caption, "mark": name}

    def _layout(self) -> widgets.Widget:
        choose = widgets.Accordion(
            [widgets.VBox([self._shelf, self._gallery])], titles=["Pick one of our pictures"], selected_index=0
        )
        choose.add_class("memora-choose")
        for wide in (self._shelf, self._network, self._metric):
            wide.layout.width = "auto"
        query = widgets.VBox(
            [
                choose,
                self._words,
                self._words_help,
                self._address,
                _help("A picture on the web; Enter fetches it."),
                self._view,
                _help(f"JPEG, PNG, WebP, AVIF, BMP, TIFF or GIF; up to {MAX_BYTES >> 20} MB."),
                widgets.HBox(self._sides, layout={"flex_flow": "row wrap"}),
                _help("The part to search by, in pixels."),
                self._whole,
                self._earlier_box,
            ]
        )
        rows = [
            (self._limit, "How many pictures to show."),
            (self._least, "Leave out what is less similar than this; 0 shows all."),
            (self._network, "What turns pictures into vectors. `make models` fetches another one."),
            (self._metric, "What near means. An index knows one metric."),
        ]
        shown = [part for control, text in rows for part in (control, _help(text))]
        only = [_help("Only these, with how many there are; none chosen: all."), *self._filters.values(), self._clear]
        controls = widgets.VBox([*shown, *(only if self._filters else [])])
        told = "For a picture, `vector` is `extractor.embed([picture])[0]` (lesson 4); here, `panel.session.vector`."
        results = widgets.VBox([widgets.HBox([self._back, self._again, self._clear_here]), self._hits, self._details,
            widgets.HTML("<h4>The call</h4>"), self._call, _help(told)])  # fmt: skip
        named = {"query": (query, "Query"), "controls": (controls, "Settings"), "results": (results, "Results")}
        for name, (box, title) in named.items():
            box.children = (widgets.HTML(f"<h3>{title}</h3>"), *box.children)
            box.add_class(f"memora-{name}")
        columns = widgets.Box([query, results, controls])
        columns.add_class("memora-columns")
        return columns


def _gallery(label: str, name: str, *, details: bool = False) -> Gallery:
    made = Gallery(label=label, details=details)
    made.add_class(name)
    return made


def _button(name: str, act: Callable[[], None]) -> widgets.Button:
    made = widgets.Button(description=name)
    made.on_click(lambda _: act())
    return made


def _help(text: str) -> widgets.HTML:
    made = widgets.HTML(re.sub("`(.+?)`", r"<code>\1</code>", html.escape(text)))
    made.add_class("memora-help")
    return made
