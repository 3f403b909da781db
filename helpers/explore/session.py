"""A search as a person makes it: query, settings, results, the way back. No widget and no layout."""

import math
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
from helpers.explore.query import VARIANTS, Box, Query, RefusedError, Search, Settings
from helpers.features import FeatureExtractor
from helpers.features.words import names_of
from helpers.images import DATA, ImageError, Source, called, load_categories, open_image, shortened
from helpers.ingest import FIELDS, describe_pictures, stored_rows
from helpers.memora import Memora, MemoraError
from helpers.search import Hit, fields_of, hits_from, request, search_many

Start = Callable[[Callable[[], None]], Any]  # runs a function without arguments, now or elsewhere
MAX_BYTES = 50 * 1024 * 1024  # of an uploaded file; a picture of 100 megapixels stays below
TOO_LARGE = f"larger than {MAX_BYTES >> 20} MB: save it smaller"
FILTERS = 6  # at most so many of the collection's own fields become filters
CHOICES = 60  # a field with more values than these offers too many to choose from
MOST_PICTURES = 16_384  # a larger collection is searched, but neither listed nor mapped
HISTORY = 20  # earlier queries that are kept, the newest ones
MOST = 30  # hits that are asked for
NUMBERS = ("Int8", "Int16", "Int32", "Int64", "Float", "Double")
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|[/~\\]", re.IGNORECASE)  # begins an address, or a path: not a word
# What a text calls a setting, what `Settings` calls it, and how it is read.
IN_TEXT: list[tuple[str, str, Callable[[str], Any]]] = [
    ("limit", "limit", int), ("least", "least_similarity", float), ("metric", "metric", str),
    ("beside", "beside", str), ("network", "extractor", str),
]  # fmt: skip


class SearchSession:
    """One person's search.

    `state` is one of `nothing chosen`, `opening`, `searching`, `found`, `nothing found`, `failed`; `message` says the
    same in a sentence. Every change starts a new search; `searches` has the last one that ended, and the one that it
    was compared with. In background threads the newest request wins: the answer to an older one is ignored.

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
    start : callable
        Runs a search, which is a function without arguments; by default at once, in the same thread.
    start_opening : callable
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
        start: Start = lambda work: work(),
        start_opening: Start = lambda work: work(),
    ) -> None:
        pairs = list(extractor) if isinstance(extractor, Sequence) else [(extractor, collection)]
        self.client, self.root = client, Path(root)
        self.extractors = {made_by.name: made_by for made_by, _ in pairs}
        self._collections = {made_by.name: name for made_by, name in pairs}
        self._fields = {name: fields_of(client, name) for _, name in pairs}
        self._kinds = load_categories(self.root) if (self.root / "categories.csv").is_file() else {}
        self.query: Query | None = None
        self.settings = self._usual = Settings(extractor=pairs[0][0].name)
        self.searches: list[Search] = []
        self.history: list[Query] = []
        self._look_at_collection()
        self._start, self._start_opening = start, start_opening
        self._watchers: list[Callable[[], None]] = []
        self._asked: tuple[Query | None, Settings] = (None, self.settings)  # the newest search
        self._turn = 0  # choice of a query
        self._outcome = "nothing chosen", "Choose a picture to search with."  # how the newest search stands
        self._above: tuple[str, str] | None = None  # shown instead: a picture is being opened, or was refused
        self.state, self.message = self._outcome
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
    def metric(self) -> str:
        """The metric in use."""
        return self.settings.metric or self.metrics[0]

    @property
    def hits(self) -> list[Hit]:
        """What was found."""
        return self.searches[0].hits if self.searches else []

    @property
    def beside(self) -> list[Hit]:
        """What was found by what the search is compared with."""
        return self.searches[1].hits if self.searches[1:] else []

    @property
    def vector(self) -> np.ndarray | None:
        """The vector of the last search, shape (dim,), float32; None if there is none."""
        return self.searches[0].query.vectors.get(self.searches[0].extractor.name) if self.searches else None

    @property
    def words(self) -> list[str]:
        """The names that the network in use can search by; empty if it was not trained with names."""
        return names_of(self.extractor)

    def offer(self, extractor: FeatureExtractor, collection: str) -> None:
        """Let one more network search, or be compared with, from now on; `collection` has its vectors."""
        with self._lock:
            self._fields[collection] = fields_of(self.client, collection)
            self._collections[extractor.name] = collection
            self.extractors = {**self.extractors, extractor.name: extractor}
            self._show()

    def _look_at_collection(self) -> None:
        """Note what can be chosen: pictures, values of texts, spans of numbers, and metrics to search by."""
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
        values = {name: sorted({row[name] for row in rows} - {None}) for name in (*texts, *numbers)}
        self.spans = {name: (values[name][0], values[name][-1]) for name in numbers if len(values[name]) > 1}
        choices = [(name, values[name]) for name in texts if 1 < len(values[name]) <= CHOICES]
        self.choices: dict[str, list[str]] = dict(choices[:FILTERS])  # of each text
        index = next((one for one in told["indexes"] if one["fieldName"] == "vector"), None)
        self.metrics = [index["metricType"]] if index else ["COSINE", "IP", "L2"]

    def picture(self, hit: Hit) -> Image.Image:
        """Return a hit's picture. Raises ImageError if its file is gone."""
        return picture_of(self.root, hit.path)

    # what a person does

    def ask(self, source: Source, name: str = "", category: str = "") -> None:
        """Search by a picture: a path, a URL, bytes, a PIL image or an array."""
        self._choose(name or called(source), lambda: self._opened(source, name, category))

    def _opened(self, source: Source, name: str = "", category: str = "") -> Query:
        shown = name or called(source)
        try:
            if isinstance(source, bytes) and len(source) > MAX_BYTES:
                raise ImageError(shown, TOO_LARGE)
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
        self._choose(shortened(text), lambda: Query.of_words(text, self.extractor, self._kinds))

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
        self._choose("that picture", lambda: self._with_key(key))

    def _with_key(self, key: int) -> Query:
        name = self.collection
        rows = self.client.vectors.get(collection_name=name, id=key, output_fields=self._fields[name])["data"]
        if not rows:
            raise RefusedError(f"No picture with the key {key} is in {name!r} any more.")
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
            if self._outcome[0] != "failed" and self._asked[1] == self.settings:  # it runs, or has ended well
                self._above = None
                self._show()
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
            self._tell("nothing chosen", "Choose a picture first, then a part of it.")
            return
        try:
            self._search_by(self.query.cut(box))
        except RefusedError as error:
            self._show_above("failed", str(error))

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
        found = {f"network {name}": name for name in self.extractors if name != self.extractor.name}
        found |= {f"metric {name}": f"the metric {name}" for name in self.metrics if name != self.metric}
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

    def found_by(self, hit: Hit) -> Search:
        """Return the search that found a hit: one of `hits` or of `beside`."""
        return next(one for one in self.searches if any(found is hit for found in one.hits))

    def why(self, hit: Hit) -> Agreement:
        """Compare a hit place by place with what it was found by, with that search's network."""
        search = self.found_by(hit)
        if search.query.words:
            raise ValueError("Two pictures are compared: search by a picture first.")
        return agreement(search.extractor, search.query.part, self.picture(hit))

    def similarity(self, hit: Hit) -> float:
        """Return how similar a hit is to what it was found by, as a cosine, by whatever metric it was found."""
        metric = self.found_by(hit).options["metric"] or self.metrics[0]
        return 1 - hit.distance / 2 if metric == "L2" else hit.distance

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

    def _options(self, **others: Any) -> dict[str, Any]:
        """Return the settings as `search_many` takes them, but for others."""
        options = {"limit": self.settings.limit, "filter": self.filter, "metric": self.settings.metric, **others}
        least = self.settings.least_similarity
        if least is not None:
            # A radius leaves out what is just as similar; a little less lets it pass. L2 of unit vectors is 2 - 2 cos.
            by_l2 = (options["metric"] or self.metrics[0]) == "L2"
            options["radius"] = round(2 - 2 * least + 2e-6 if by_l2 else least - 1e-6, 6)
        return options

    @property
    def call(self) -> str:
        """The call as one would write it in a notebook; for a picture `vector` is what `extractor.embed` returns."""
        arguments = request(self._fields[self.collection], self.collection, **self._options())
        lines = [f"    {name}={value!r}," for name, value in arguments.items()]
        words = ", ".join(map(repr, self.query.words)) if self.query else ""
        first = [f"vector = load_words(extractor).embed({words})"] if words else []
        return "\n".join([*first, "client.vectors.search(", "    data=vector,", *lines, ")"])

    def _searches(self, query: Query) -> list[Search]:
        """Return what to search for: the query as it is, and beside it what it is compared with."""
        how, this = self.settings.beside, Search(query, self.extractor, self._options())
        if how not in self.comparisons:
            return [this]
        other = replace(this, title=self.comparisons[how], hits=[])
        kind, _, name = how.partition(" ")
        if kind == "network":
            this.title, other.extractor = self.extractor.name, self.extractors[name]
        elif kind == "metric":
            this.title, other.options = self.metric, self._options(metric=name)
        elif how == "all":
            this.title, other.options = "with filters", self._options(filter=None)
        else:
            this.title = f"its {query.where}" if query.box else "the picture itself"
            other.query = query.variant(how)
        return [this, other]

    def _make(self, search: Search) -> None:
        """Make a search; one that fails says why."""
        made_by, name = search.extractor, self._collections[search.extractor.name]
        try:
            vectors = search.query.vector(made_by)[None]
            search.hits = search_many(self.client, vectors, extractor=made_by, collection=name, **search.options)[0]
        except Exception as error:
            search.problem = _sentence(error)

    def search(self) -> None:
        """Search, or search again after a failure."""
        with self._lock:
            self._asked = asked = self.query, self.settings
            if self._above and self._above[0] != "opening":
                self._above = None
        if self.query is None:
            self._tell("nothing chosen", "Choose a picture to search with.")
            return
        searches = self._searches(self.query)
        self._tell("searching", f"Searching by {self.query.name} ...")

        def work() -> None:
            for search in searches:
                self._make(search)
                if searches[0].problem:  # what it is compared with says nothing by itself
                    break
            with self._lock:
                if asked is self._asked:  # else something else was asked for meanwhile, and this answer is ignored
                    self.searches = searches
                    self._tell(*self._summary(searches[0]))

        self._start(work)

    def _summary(self, search: Search) -> tuple[str, str]:
        query, hits = search.query, search.hits
        if search.problem:
            return "failed", search.problem
        if hits:
            right = sum(hit.category == query.category for hit in hits)
            known = f", {right} of the category {query.category!r}".replace("_", " ") if query.category else ""
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
        query, now = self.query, self.settings
        pairs: list[tuple[str, Any]] = []
        if query:
            pairs.append((query.source[0], query.source[1]) if query.source else ("upload", query.name))
            if query.box:
                pairs.append(("part", ",".join(f"{share:.4g}" for share in query.shares)))
            if query.source[:1] in (("file",), ("url",)) and query.category:
                pairs.append(("is", query.category))
        pairs += [(f"only.{name}", value) for name, values in now.allowed.items() for value in values]
        pairs += [(f"between.{name}", f"{low:g},{high:g}") for name, (low, high) in now.ranges.items()]
        for name, field, _ in IN_TEXT:
            if getattr(now, field) != getattr(self._usual, field):
                pairs.append((name, getattr(now, field)))
        return urlencode(pairs)

    def restore(self, text: str) -> None:
        """Take the query and the settings from what `as_text` has returned, and search.

        A text that does not fit this collection is refused in `message`, and nothing changes. An upload can't be
        restored: the message says so.
        """
        pairs = parse_qsl(text.lstrip("?#"))
        said = dict(pairs)
        category = said.get("is", "")
        try:
            settings = self._settings_of(pairs)
            part = [float(side) for side in said["part"].split(",")] if "part" in said else []
            if len(part) not in (0, 4) or not all(0 <= side <= 1 for side in part):
                raise ValueError(f"no part {said['part']!r}")
            key = int(said.get("id", 0))
        except ValueError as error:
            self.refuse("This address", f"it does not fit this collection ({error})")
            return
        self.settings = settings
        openers: dict[str, Callable[[str], Query]] = {
            "id": lambda _: self._with_key(key),
            "words": lambda words: Query.of_words(words, self.extractor, self._kinds),
            "url": lambda url: self._opened(url, category=category),
            "file": lambda path: replace(self._like(Hit(0, 1.0, 0, path, {"category": category})),
                                         name=Path(path).name, source=("file", path)),
        }  # fmt: skip
        how = next((name for name in openers if name in said), "")

        def opened() -> Query:
            query = openers[how](said[how])
            return query.cut(query.pixels(part)) if part else query

        if how:
            self._choose(said[how], opened)
        elif "upload" in said:
            lost = f"{said['upload']} was on your machine only, and an address can't bring it back"
            self._show_above(self.state, f"{lost}: choose it again. The settings are back.")
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
                if field not in self.spans or not math.isfinite(low + high):
                    raise ValueError(f"no {field} from {low} to {high}")
                ranges[field] = (low, high)
        besides = ["all", *VARIANTS, *(f"network {one}" for one in self.extractors)]
        fits: dict[str, Callable[[Any], bool]] = {
            "limit": range(1, MOST + 1).__contains__,
            "least": math.isfinite,
            "metric": self.metrics.__contains__,
            "network": self.extractors.__contains__,
            "beside": [*besides, *(f"metric {one}" for one in self.metrics)].__contains__,
        }
        plain = {field: read(said[name]) for name, field, read in IN_TEXT if name in said}
        for name, field, _ in IN_TEXT:
            if name in said and not fits[name](plain[field]):
                raise ValueError(f"no {name} {said[name]!r}")
        return replace(self._usual, allowed=allowed, ranges=ranges, **plain)

    # who watches

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call a function after every change of `state`."""
        self._watchers.append(watcher)

    def _tell(self, state: str, message: str) -> None:
        """Note how the search stands, and show it unless something else is shown instead."""
        self._outcome = state, message
        self._show()

    def _show_above(self, state: str, message: str) -> None:
        """Show what a running search must not replace: that a picture is being opened, or was refused."""
        self._above = state, message
        self._show()

    def _show(self) -> None:
        self.state, self.message = self._above or self._outcome
        for watcher in self._watchers:
            watcher()

    def __str__(self) -> str:
        return "\n".join([self.message, *(str(hit) for hit in self.hits)])


def picture_of(root: Path, path: str, min_side: int | None = None) -> Image.Image:
    """Open a picture of the collection. Raises ImageError if its file is gone, or lies outside the folder."""
    try:
        file = Hit(0, 0.0, 0, path).file(root)
    except ValueError as error:
        raise ImageError(path, str(error)) from None
    return open_image(file, min_side)


def _refusal(name: str, reason: str) -> str:
    return f"{name} can't be used: {reason}{'' if reason.endswith('?') else '.'}"


def _sentence(error: Exception) -> str:
    """Return what went wrong as a sentence to show: nobody would see a traceback of another thread."""
    if isinstance(error, RefusedError | ImageError | MemoraError):
        return str(error)
    return f"Something went wrong that should not ({type(error).__name__}: {error})."


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
