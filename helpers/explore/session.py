"""A search as a person makes it: query, settings, results, the way back. No widget and no layout."""

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import numpy as np
from PIL import Image

from helpers.connect import COLLECTION
from helpers.explore.explain import Agreement, agreement
from helpers.explore.query import VARIANTS, Box, Query, RefusedError, Settings
from helpers.features import FeatureExtractor
from helpers.features.words import names_of
from helpers.images import DATA, ImageError, Source, called, load_categories, open_image, shortened
from helpers.ingest import FIELDS, describe_pictures, stored_rows
from helpers.memora import Memora, MemoraError
from helpers.search import Hit, fields_of, hits_from, request, search_many

Start = Callable[[Callable[[], None]], Any]  # runs a function without arguments, now or elsewhere
MAX_BYTES = 50 * 1024 * 1024  # of an uploaded file; a picture of 100 megapixels stays below
FILTERS = 6  # at most so many of the collection's own fields become filters
CHOICES = 60  # a field with more values than these offers too many to choose from
MOST_PICTURES = 16_384  # a larger collection is searched, but neither listed nor mapped
HISTORY = 20  # earlier queries that are kept, the newest ones
MOST = 30  # hits that are asked for
NUMBERS = ("Int8", "Int16", "Int32", "Int64", "Float", "Double")
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|[/~\\]", re.IGNORECASE)  # begins an address, or a path: not a word


class SearchSession:
    """One person's search.

    `state` is one of `nothing chosen`, `opening`, `searching`, `found`, `nothing found`, `failed`; `message` says the
    same in a sentence. Every change starts a new search. In background threads the newest request wins: the answer to
    an older one is ignored.

    Parameters
    ----------
    client : Memora
        Where to look.
    extractor : FeatureExtractor or sequence of (FeatureExtractor, str)
        The network that made the collection's vectors; or several networks, each with its collection's name.
    collection : str
        The collection's name, if there is one network.
    root : Path
        The folder that was ingested.
    start : callable, optional
        Runs a search, which is a function without arguments; by default at once, in the same thread.
    start_opening : callable, optional
        Opens a picture, which may come from a slow server: a function without arguments as well; by default at once.

    Raises
    ------
    InvalidRequestError
        A collection holds no pictures.
    NotFoundError
        There is no such collection.

    Examples
    --------
    >>> session = SearchSession(client, extractor)              # doctest: +SKIP
    >>> session.ask("cat.jpg"); print(session)                  # doctest: +SKIP
    >>> session.change(limit=3); session.more_like(session.hits[1]); session.back()   # doctest: +SKIP
    """

    def __init__(
        self,
        client: Memora,
        extractor: FeatureExtractor | Sequence[tuple[FeatureExtractor, str]],
        *,
        collection: str = COLLECTION,
        root: Path = DATA,
        start: Start | None = None,
        start_opening: Start | None = None,
    ) -> None:
        pairs = list(extractor) if isinstance(extractor, Sequence) else [(extractor, collection)]
        self.client, self.root = client, Path(root)
        self.extractors = {made_by.name: made_by for made_by, _ in pairs}
        self._collections = {made_by.name: name for made_by, name in pairs}
        self._fields = {name: fields_of(client, name) for _, name in pairs}
        self._kinds = load_categories(self.root) if (self.root / "categories.csv").is_file() else {}
        self.query: Query | None = None
        self.settings = Settings(extractor=pairs[0][0].name)
        self.hits: list[Hit] = []
        self.beside: list[Hit] = []  # the hits of what the search is compared with
        self.vector: np.ndarray | None = None  # of the last search, shape (dim,)
        self.history: list[Query] = []
        self.state, self.message = "nothing chosen", "Choose a picture to search with."
        self.choices, self.metrics = self._look_at_collection()
        self._start = start or _at_once
        self._start_opening = start_opening or _at_once
        self._watchers: list[Callable[[], None]] = []
        self._newest = 0  # search
        self._searched: Settings | None = None  # what it was made with
        self._turn = 0  # choice of a query
        self._outcome = ("nothing chosen", self.message)  # how the search itself stands
        self._above: tuple[str, str] | None = None  # shown instead: a picture is being opened, or was refused
        self._lock = threading.RLock()

    # what there is

    @property
    def extractor(self) -> FeatureExtractor:
        """The network in use."""
        return self.extractors[self.settings.extractor or next(iter(self.extractors))]

    @property
    def collection(self) -> str:
        """The collection with that network's vectors."""
        return self._collections[self.extractor.name]

    @property
    def words(self) -> list[str]:
        """The names that the network in use can search by; empty if it was not trained with names."""
        return names_of(self.extractor)

    def _look_at_collection(self) -> tuple[dict[str, list[str]], list[str]]:
        """Return the values of each text field, and the metrics that the collection can be searched by."""
        told = describe_pictures(self.client, self.collection)
        own = [one for one in told["fields"] if one["name"] not in FIELDS]
        texts, numbers = ([one["name"] for one in own if one["type"] in types] for types in (("VarChar",), NUMBERS))
        try:
            found = stored_rows(self.client, self.collection, ["image_path", *texts, *numbers], most=MOST_PICTURES)
        except ValueError:  # too many to choose from, but not to search
            found = {}
        rows = sorted(found.values(), key=lambda row: row["image_path"])
        self.pictures = [Hit(0, 1.0, row["id"], row["image_path"], {n: row[n] for n in (*texts, *numbers)})
                         for row in rows]  # fmt: skip
        spans = {name: (min(known), max(known)) for name in numbers
                 if (known := [row[name] for row in rows if row[name] is not None])}  # fmt: skip
        self.spans = {name: span for name, span in spans.items() if span[0] < span[1]}  # of each field of numbers
        values = {name: sorted({row[name] for row in rows}) for name in texts}
        choices = {name: found for name, found in values.items() if 1 < len(found) <= CHOICES}
        index = next((one for one in told["indexes"] if one["fieldName"] == "vector"), None)
        metrics = [index["metricType"]] if index else ["COSINE", "IP", "L2"]
        return dict(list(choices.items())[:FILTERS]), metrics

    def picture(self, hit: Hit) -> Image.Image:
        """Return a hit's picture. Raises ImageError if its file is gone."""
        return picture_of(self.root, hit.path)

    # what a person does

    def ask(self, source: Source, name: str = "", category: str = "") -> None:
        """Search by a picture: a path, a URL, bytes, a PIL image or an array."""
        shown = name or called(source)
        self._choose(shown, lambda: self._opened(source, name, category))

    def _opened(self, source: Source, name: str = "", category: str = "") -> Query:
        shown = name or called(source)
        try:
            if isinstance(source, bytes) and len(source) > MAX_BYTES:
                raise ImageError(shown, too_large())
            return Query(shown, open_image(source), category, source=self._where_from(source))
        except ImageError as error:
            raise RefusedError(_refusal(name or error.name, error.reason)) from None

    def _where_from(self, source: Source) -> tuple[str, ...]:
        """Return where a picture can be had again, as `Query.source` says it."""
        if isinstance(source, str) and source.lower().startswith(("http://", "https://")):
            return ("url", source)
        if isinstance(source, str | Path) and Path(source).resolve().is_relative_to(self.root.resolve()):
            return ("file", Path(source).resolve().relative_to(self.root.resolve()).as_posix())
        return ()

    def find(self, text: str) -> None:
        """Search by what one line of text means: the address of a picture on the web, or words."""
        text = text.strip()
        if text.lower().startswith(("http://", "https://", "data:")):
            self.ask(text)
        elif ELSEWHERE.match(text):
            self.refuse(shortened(text), "an address begins with http:// or https://; choose a file instead")
        elif text:
            self.ask_words(text)

    def ask_words(self, text: str) -> None:
        """Search by a name that the network was trained with, or by several, separated by commas.

        A part of a name is enough if no other name contains it. The hits are right or wrong where the folder's
        categories.csv says which category has these names.
        """
        extractor = self.extractor
        self._choose(shortened(text), lambda: Query.of_words(text, extractor, self._kinds))

    def refuse(self, name: str, reason: str) -> None:
        """Say that something can't be searched by; the query and its results stay."""
        with self._lock:
            self._turn += 1  # the newest choice: a picture that is still being opened is ignored
            self._show_above("failed", _refusal(name, reason))

    def more_like(self, hit: Hit) -> None:
        """Search by one of the hits."""
        self._choose(hit.path, lambda: self._like(hit))

    def more_like_id(self, key: int) -> None:
        """Search by a picture of the collection, known by its key."""
        collection = self.collection
        self._choose("that picture", lambda: self._with_key(key, collection))

    def _with_key(self, key: int, collection: str) -> Query:
        fields = self._fields[collection]
        rows = self.client.vectors.get(collection_name=collection, id=key, output_fields=fields)["data"]
        if not rows:
            raise RefusedError(f"No picture with the key {key} is in {collection!r} any more.")
        return self._like(hits_from([{"distance": 1.0, **rows[0]}])[0])

    def _like(self, hit: Hit) -> Query:
        try:
            return Query(hit.path, self.picture(hit), hit.category, source=("id", str(hit.id)))
        except ImageError as error:
            raise RefusedError(f"The picture of this hit can't be opened. {error}") from None

    def _choose(self, name: str, opened: Callable[[], Query]) -> None:
        """Open a query and search by it, unless something else is chosen while it is opened."""
        with self._lock:
            self._turn += 1
            turn = self._turn
            self._show_above("opening", f"Opening {name} ...")

        def work() -> None:
            try:
                query, problem = opened(), ""
            except Exception as error:
                query, problem = None, _sentence(error)
            with self._lock:
                if turn != self._turn:
                    return
                if query:
                    self._go_to(query)
                else:
                    self._show_above("failed", problem)

        self._start_opening(work)

    def _go_to(self, query: Query) -> None:
        if self.query is not None and self.query.is_like(query):
            # such a search runs, or has ended well
            if self._outcome[0] != "failed" and self._searched == self.settings:
                self._above = None
                self._show(*self._outcome)
                return
        elif self.query is not None:
            self.history = [*self.history, self.query.small()][-HISTORY:]
        self._search_by(query)

    def _search_by(self, query: Query) -> None:
        with self._lock:
            self._turn += 1
            self._above, self.query = None, query
        self.search()

    def crop(self, box: Box | None) -> None:
        """Search by a part of the query: left, top, right, bottom in pixels; None means the whole picture again."""
        if self.query is None:
            self._show("nothing chosen", "Choose a picture first, then a part of it.")
            return
        if self.query.words:
            self._show_above("failed", "Words have no parts: choose a picture, then a part of it.")
            return
        if box is not None:
            width, height = self.query.picture.size
            left, right = sorted((min(max(box[0], 0), width), min(max(box[2], 0), width)))
            top, bottom = sorted((min(max(box[1], 0), height), min(max(box[3], 0), height)))
            if right - left < 8 or bottom - top < 8:
                size = f"{right - left} x {bottom - top}"
                self._show_above("failed", f"A part must be at least 8 pixels wide and high; this one is {size}.")
                return
            box = None if (left, top, right, bottom) == (0, 0, width, height) else (left, top, right, bottom)
        self._search_by(replace(self.query, box=box, vectors={}))

    def change(self, **settings: Any) -> None:
        """Change settings, named as in `Settings`, and search again."""
        self.settings = replace(self.settings, **settings)
        if self.query is not None:
            self.search()

    def allow(self, field: str, *values: str) -> None:
        """Let only hits pass whose field has one of these values; without values, let all pass."""
        self.change(allowed={**self.settings.allowed, field: values})

    def between(self, field: str, low: float, high: float) -> None:
        """Let only hits pass whose field of numbers lies between two values, both included; `spans` has its limits."""
        low, high = sorted((low, high))
        ranges = {name: span for name, span in self.settings.ranges.items() if name != field}
        span = self.spans.get(field)
        self.change(ranges=ranges if span and low <= span[0] and high >= span[1] else {**ranges, field: (low, high)})

    def clear_filters(self) -> None:
        """Let all hits pass again."""
        self.change(allowed={}, ranges={}, least_similarity=None)

    @property
    def comparisons(self) -> dict[str, str]:
        """What this search can be compared with: keys for `change(beside=...)`, and what each is called."""
        metric = self.settings.metric or self.metrics[0]
        found = {f"network {name}": name for name in self.extractors if name != self.extractor.name}
        found |= {f"metric {name}": f"the metric {name}" for name in self.metrics if name != metric}
        if self.query and not self.query.words:
            left_out = "middle" if self.query.box else "whole"
            found |= {how: said for how, said in VARIANTS.items() if how != left_out}
        return found | ({"all": "without filters"} if self.filter else {})

    def back(self, steps: int = 1) -> None:
        """Return to the query before this one, or to an earlier query."""
        if 1 <= steps <= len(self.history):
            query = self.history[-steps]
            self.history = self.history[:-steps]
            self._search_by(query)

    def why(self, hit: Hit) -> Agreement:
        """Compare the query and a hit place by place."""
        if self.query is None or self.query.words:
            raise ValueError("Two pictures are compared: search by a picture first.")
        return agreement(self.extractor, self.query.part, self.picture(hit))

    # the search

    @property
    def filter(self) -> str | None:
        """The filter expression, or None if all hits pass."""
        parts = [
            f"{name} in [{', '.join(_quoted(value) for value in values)}]"
            for name, values in self.settings.allowed.items()
            if values
        ]
        parts += [f"{name} >= {low:g} and {name} <= {high:g}" for name, (low, high) in self.settings.ranges.items()]
        return " and ".join(parts) or None

    def similarity(self, hit: Hit, metric: str | None = None) -> float:
        """Return how similar a hit is to the query, as a cosine, by whatever metric it was found."""
        return 1 - hit.distance / 2 if (metric or self.settings.metric or self.metrics[0]) == "L2" else hit.distance

    def _options(self, metric: str | None = None) -> dict[str, Any]:
        """Return the settings as `search_many` takes them; by another metric where one is given."""
        least, metric = self.settings.least_similarity, metric or self.settings.metric
        radius = None
        if least is not None:
            # A radius leaves out what is just as similar; a little less lets it pass. L2 of unit vectors is 2 - 2 cos.
            radius = round(2 - 2 * least + 2e-6 if metric == "L2" else least - 1e-6, 6)
        return {"limit": self.settings.limit, "filter": self.filter, "radius": radius, "metric": metric}

    @property
    def call(self) -> str:
        """The call as one would write it in a notebook; for a picture `vector` is what `extractor.embed` returns."""
        arguments = request(self._fields[self.collection], self.collection, **self._options())
        lines = [f"    {name}={value!r}," for name, value in arguments.items()]
        words = ", ".join(map(repr, self.query.words)) if self.query else ""
        first = [f"vector = load_words(extractor).embed({words})"] if words else []
        return "\n".join([*first, "client.vectors.search(", "    data=vector,", *lines, ")"])

    def _beside(self, query: Query) -> tuple[Query, FeatureExtractor, dict[str, Any]] | None:
        """Return what to search for as well, to compare; None for nothing."""
        how, extractor, options = self.settings.beside, self.extractor, self._options()
        if how not in self.comparisons:
            return None
        if how.startswith("network "):
            extractor = self.extractors[how.removeprefix("network ")]
        elif how.startswith("metric "):
            options = self._options(how.removeprefix("metric "))
        elif how == "all":
            options["filter"] = None
        else:
            query = query.variant(how)
        return query, extractor, options

    def _found(self, query: Query, extractor: FeatureExtractor, options: dict[str, Any]) -> list[Hit]:
        vectors, collection = query.vector(extractor)[None], self._collections[extractor.name]
        return search_many(self.client, vectors, extractor=extractor, collection=collection, **options)[0]

    def search(self) -> None:
        """Search, or search again after a failure."""
        with self._lock:
            self._newest, self._searched = self._newest + 1, self.settings
            ticket, query, options, extractor = self._newest, self.query, self._options(), self.extractor
            if self._above and self._above[0] == "failed":
                self._above = None
        if query is None:
            self._show("nothing chosen", "Choose a picture to search with.")
            return
        beside = self._beside(query)
        self._tell("searching", f"Searching by {query.name} ...")

        def work() -> None:
            hits: list[Hit] = []
            others: list[Hit] = []
            vector = None
            try:
                vector = query.vector(extractor)
                hits = self._found(query, extractor, options)
                state, message = self._summary(query, hits)
                others = self._found(*beside) if beside else []
            except Exception as error:
                state, message = "failed", _sentence(error)
            with self._lock:
                if ticket == self._newest:  # else something else was asked for meanwhile, and this answer is ignored
                    self.hits, self.beside, self.vector = hits, others, vector
                    self._tell(state, message)

        self._start(work)

    def _summary(self, query: Query, hits: list[Hit]) -> tuple[str, str]:
        if hits:
            right = sum(hit.category == query.category for hit in hits)
            known = f", {right} of the category {query.category!r}" if query.category else ""
            part = f", by its {query.where}" if query.box else ""
            what = f"{len(hits)} picture{'s' if len(hits) > 1 else ''}"
            return "found", f"{what} most like {query.name}{part}{known}."
        if self.settings.least_similarity is not None:
            return "nothing found", f"No picture is that similar (at least {self.settings.least_similarity:g})."
        return "nothing found", "No picture passes this filter."

    # as text

    def as_text(self) -> str:
        """Return the query and the settings as a short text, such as for a page's address: see `restore`.

        What was uploaded or dropped can't be told by a text: only its name is in it.
        """
        query, now, usual = self.query, self.settings, Settings()
        pairs: list[tuple[str, Any]] = []
        if query:
            pairs.append((query.source[0], query.source[1]) if query.source else ("upload", query.name))
            width, height = query.picture.size
            if query.box:
                sides = zip(query.box, (width, height) * 2, strict=True)
                pairs.append(("part", ",".join(f"{side / of:.4g}" for side, of in sides)))
            if query.source[:1] in (("file",), ("url",)) and query.category:
                pairs.append(("is", query.category))
        pairs += [(f"only.{name}", value) for name, values in now.allowed.items() for value in values]
        pairs += [(f"between.{name}", f"{low:g},{high:g}") for name, (low, high) in now.ranges.items()]
        plain = {"limit": now.limit, "least": now.least_similarity, "metric": now.metric, "beside": now.beside or None}
        plain["limit"] = None if now.limit == usual.limit else now.limit
        plain["network"] = None if now.extractor == next(iter(self.extractors)) else now.extractor
        return urlencode(pairs + [(name, value) for name, value in plain.items() if value is not None])

    def restore(self, text: str) -> None:
        """Take the query and the settings from what `as_text` has returned, and search.

        A text that does not fit this collection is refused in `message`, and nothing changes. An upload can't be
        restored: the message says so.
        """
        pairs = parse_qsl(text.lstrip("?#"))
        said = dict(pairs)
        try:
            settings = self._settings_of(pairs)
            part = [float(side) for side in said["part"].split(",")] if "part" in said else []
            key = int(said["id"]) if "id" in said else 0
            if part and not (len(part) == 4 and all(0 <= side <= 1 for side in part)):
                raise ValueError(said["part"])
        except ValueError as error:
            self.refuse("This address", f"it does not fit this collection ({error})")
            return
        self.settings = settings
        extractor, collection = self.extractor, self.collection

        def opened() -> Query:
            category = said.get("is", "")
            if "id" in said:
                query = self._with_key(key, collection)
            elif "words" in said:
                query = Query.of_words(said["words"], extractor, self._kinds)
            elif "url" in said:
                query = self._opened(said["url"], category=category)
            else:
                query = replace(self._like(Hit(0, 1.0, 0, said["file"], {"category": category})),
                                name=Path(said["file"]).name, source=("file", said["file"]))  # fmt: skip
            if not part or query.words:
                return query
            left, top, right, bottom = (round(s * of) for s, of in zip(part, query.picture.size * 2, strict=True))
            return replace(query, box=(left, top, right, bottom))

        if said.keys() & {"id", "words", "url", "file"}:
            self._choose(next(said[name] for name in ("words", "url", "file", "id") if name in said), opened)
        elif "upload" in said:
            lost = f"{said['upload']} was on your machine only, and an address can't bring it back"
            self._show(self.state, f"{lost}: choose it again. The settings are back.")
        else:
            self.search()

    def _settings_of(self, pairs: list[tuple[str, str]]) -> Settings:
        """Return the settings that a text holds. Raises ValueError for what this collection does not have."""
        said = dict(pairs)
        allowed: dict[str, tuple[str, ...]] = {}
        ranges: dict[str, tuple[float, float]] = {}
        for name, value in pairs:
            kind, _, field = name.partition(".")
            if kind == "only":
                if value not in self.choices.get(field, ()):
                    raise ValueError(f"no {field} {value!r}")
                allowed[field] = (*allowed.get(field, ()), value)
            elif kind == "between":
                low, high = (float(side) for side in value.split(","))
                if field not in self.spans:
                    raise ValueError(f"no numbers {field!r}")
                ranges[field] = (low, high)
        network, metric = said.get("network", next(iter(self.extractors))), said.get("metric")
        if network not in self.extractors or metric not in (None, *self.metrics):
            raise ValueError(f"no network {network!r} or no metric {metric!r}")
        limit, least = int(said.get("limit", Settings().limit)), said.get("least")
        if not 1 <= limit <= MOST:
            raise ValueError(f"limit={limit}")
        return Settings(
            limit, allowed, ranges, said.get("beside", ""), float(least) if least else None, metric, network
        )

    # who watches

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call a function after every change of `state`."""
        self._watchers.append(watcher)

    def note(self, message: str) -> None:
        """Show a sentence; the state stays as it is."""
        self._show(self.state, message)

    def _tell(self, state: str, message: str) -> None:
        """Note how the search stands, and show it unless something else is shown instead."""
        self._outcome = state, message
        self._show(*(self._above or self._outcome))

    def _show_above(self, state: str, message: str) -> None:
        """Show what a running search must not replace: that a picture is being opened, or was refused."""
        self._above = state, message
        self._show(state, message)

    def _show(self, state: str, message: str) -> None:
        self.state, self.message = state, message
        for watcher in self._watchers:
            watcher()

    def __str__(self) -> str:
        return "\n".join([self.message, *(str(hit) for hit in self.hits)])


def picture_of(root: Path, path: str, min_side: int | None = None) -> Image.Image:
    """Open a picture of the collection. Raises ImageError if its file is gone, or lies outside the folder."""
    try:
        return open_image(Hit(0, 0.0, 0, path).file(root), min_side)
    except ImageError:
        raise
    except ValueError as error:
        raise ImageError(path, str(error)) from None


def too_large() -> str:
    """Return why a file of more than MAX_BYTES is refused."""
    return f"larger than {MAX_BYTES >> 20} MB: save it smaller"


def _at_once(work: Callable[[], None]) -> None:
    work()


def _refusal(name: str, reason: str) -> str:
    return f"{name} can't be used: {reason}{'' if reason.endswith('?') else '.'}"


def _sentence(error: Exception) -> str:
    """Return what went wrong as a sentence to show: nobody would see a traceback of another thread."""
    if isinstance(error, RefusedError | ImageError | MemoraError):
        return str(error)
    return f"Something went wrong that should not ({type(error).__name__}: {error})."


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
