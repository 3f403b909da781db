"""A search as a person makes it: query, settings, results, the way back. No widget and no layout is in here."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from helpers.connect import COLLECTION
from helpers.explore.explain import Agreement, agreement
from helpers.features import FeatureExtractor
from helpers.images import DATA, ImageError, Source, called, open_image
from helpers.memora import InvalidRequestError, Memora, MemoraError
from helpers.search import Hit, hits_from

Box = tuple[int, int, int, int]
NEEDED = {"id", "image_path", "vector", "extractor"}  # what every collection of pictures has; the rest are its own
MAX_BYTES = 50 * 1024 * 1024  # of an uploaded file; a picture of 100 megapixels stays below
FILTERS = 6  # of the collection's own fields, at most so many become filters
CHOICES = 60  # a field with more values than these is nothing to choose from


@dataclass(frozen=True)
class Query:
    """What is searched for.

    Parameters
    ----------
    name : str
        What to call it, such as the file's name.
    picture : PIL.Image.Image
        The whole picture, RGB.
    category : str
        Where it is known: then hits are right or wrong.
    box : tuple of int, optional
        Left, top, right, bottom in pixels: only this part is searched for.
    """

    name: str
    picture: Image.Image
    category: str = ""
    box: Box | None = None

    @property
    def part(self) -> Image.Image:
        """The part that is searched for."""
        return self.picture.crop(self.box) if self.box else self.picture


@dataclass(frozen=True)
class Settings:
    """How it is searched.

    Parameters
    ----------
    limit : int
        How many hits.
    allowed : dict of str to tuple of str
        Field to the values that a hit may have; a field without values lets all pass.
    least_similarity : float, optional
        Hits that are less similar are left out.
    metric : str, optional
        COSINE, IP or L2; what the collection's index has, where it has one.
    extractor : str, optional
        The name of the network; the session's first by default.
    """

    limit: int = 10
    allowed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    least_similarity: float | None = None
    metric: str | None = None
    extractor: str | None = None


class SearchSession:
    """One person's search.

    `state` is one of `nothing chosen`, `searching`, `found`, `nothing found`, `failed`; `message` says it in a
    sentence. Every change searches anew; where `start` runs the work elsewhere, the newest request wins and older
    ones are dropped when they come back.

    Parameters
    ----------
    client : Memora
        Where to look.
    extractor : FeatureExtractor or sequence of (FeatureExtractor, str)
        The network that made the collection's vectors; or several, each with its collection's name.
    collection : str
        The collection, where there is one network.
    root : Path
        The folder that was ingested.
    start : callable, optional
        Runs a function without arguments; by default at once, in the same thread.

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
        start: Callable[[Callable[[], None]], Any] | None = None,
    ) -> None:
        pairs = list(extractor) if isinstance(extractor, Sequence) else [(extractor, collection)]
        self.client, self.root = client, Path(root)
        self.extractors = {made_by.name: made_by for made_by, _ in pairs}
        self._collections = {made_by.name: name for made_by, name in pairs}
        self.query: Query | None = None
        self.settings = Settings(extractor=pairs[0][0].name)
        self.hits: list[Hit] = []
        self.history: list[Query] = []
        self.state, self.message = "nothing chosen", "Choose a picture to search with."
        self.choices, self.metrics = self._look_at_collection()
        self._start = start or (lambda work: work())
        self._watchers: list[Callable[[], None]] = []
        self._newest = 0  # search
        self._turn = 0  # choice of a query
        self._last: np.ndarray | None = None
        self._lock = threading.RLock()
        self._vectors: dict[tuple[int, Box | None, str], tuple[Query, np.ndarray]] = {}

    # what there is

    @property
    def extractor(self) -> FeatureExtractor:
        """The network in use."""
        return self.extractors[self.settings.extractor or next(iter(self.extractors))]

    @property
    def collection(self) -> str:
        """The collection with that network's vectors."""
        return self._collections[self.extractor.name]

    def _look_at_collection(self) -> tuple[dict[str, list[str]], list[str]]:
        """Return each text field's values, and the metrics that the collection can be searched by."""
        told = self.client.collections.describe(collection_name=self.collection)["data"]
        names = {one["name"] for one in told["fields"]}
        if not names >= NEEDED:
            raise InvalidRequestError(f"The collection {self.collection!r} holds no pictures: ingest a folder first.")
        self._output = [one["name"] for one in told["fields"] if one["name"] not in ("id", "vector")]
        texts = [one["name"] for one in told["fields"] if one["type"] == "VarChar" and one["name"] not in NEEDED]
        try:
            rows = self.client.vectors.query(
                collection_name=self.collection, filter="id >= 0", output_fields=["image_path", *texts]
            )["data"]
        except InvalidRequestError:  # more rows than one query returns: too many to choose from, not to search
            rows = []
        rows.sort(key=lambda row: row["image_path"])
        self.pictures = [Hit(0, 1.0, row["id"], row["image_path"], {n: row[n] for n in texts}) for row in rows]
        values = {name: sorted({row[name] for row in rows}) for name in texts}
        choices = {name: found for name, found in values.items() if 1 < len(found) <= CHOICES}
        index = next((one for one in told["indexes"] if one["fieldName"] == "vector"), None)
        metrics = [index["metricType"]] if index else ["COSINE", "IP", "L2"]
        return dict(list(choices.items())[:FILTERS]), metrics

    def picture(self, hit: Hit) -> Image.Image:
        """Return a hit's picture. Raises ImageError where its file is gone."""
        return picture_of(self.root, hit.path)

    # what a person does

    def ask(self, source: Source, name: str = "", category: str = "") -> None:
        """Search by a picture: a path, a URL, bytes, a PIL image or an array.

        A URL may take seconds to answer. Where this runs in a thread of its own and something else is chosen
        meanwhile, the answer that comes late is dropped.
        """
        with self._lock:
            self._turn += 1
            turn = self._turn
        shown = name or called(source)
        if isinstance(source, str) and "://" in source:
            self._show("searching", f"Fetching {shown} ...")
        reason, picture = "", None
        try:
            if isinstance(source, bytes) and len(source) > MAX_BYTES:
                raise ImageError(name or "the file", f"larger than {MAX_BYTES >> 20} MB: save it smaller")
            picture = open_image(source)
        except ImageError as error:
            name, reason = name or error.name, error.reason
        with self._lock:
            if turn != self._turn:
                return
            if picture:
                self._go_to(Query(shown, picture, category))
            else:
                self.refuse(name, reason)

    def refuse(self, name: str, reason: str) -> None:
        """Tell that something can't be searched by; query and results stay."""
        self._show("failed", f"{name} can't be used: {reason}{'' if reason.endswith('?') else '.'}")

    def more_like(self, hit: Hit) -> None:
        """Search by one of the hits."""
        try:
            self._go_to(Query(hit.path, self.picture(hit), hit.category))
        except ImageError as error:
            self._show("failed", f"The picture of this hit can't be opened. {error}")

    def more_like_id(self, key: int) -> None:
        """Search by a picture of the collection, known by its key."""
        self._show("searching", "Looking for that picture ...")
        try:
            rows = self.client.vectors.get(collection_name=self.collection, id=key, output_fields=self._output)["data"]
        except MemoraError as error:
            self._show("failed", str(error))
            return
        if not rows:
            self._show("failed", f"No picture with the key {key} is in {self.collection!r} any more.")
            return
        self.more_like(hits_from([{"distance": 1.0, **rows[0]}])[0])

    def _go_to(self, query: Query) -> None:
        if self.query is not None:
            self.history.append(self.query)
        self._search_by(query)

    def _search_by(self, query: Query) -> None:
        with self._lock:
            self._turn += 1
            self.query = query
        self.search()

    def crop(self, box: Box | None) -> None:
        """Search by a part of the query only: left, top, right, bottom in pixels; None is the whole again."""
        if self.query is None:
            self._show("nothing chosen", "Choose a picture first, then a part of it.")
            return
        if box is not None:
            width, height = self.query.picture.size
            left, right = sorted((min(max(box[0], 0), width), min(max(box[2], 0), width)))
            top, bottom = sorted((min(max(box[1], 0), height), min(max(box[3], 0), height)))
            if right - left < 8 or bottom - top < 8:
                self._show(
                    "failed", f"A part must be 8 pixels wide and high at least; {right - left} x {bottom - top}."
                )
                return
            box = None if (left, top, right, bottom) == (0, 0, width, height) else (left, top, right, bottom)
        self._search_by(replace(self.query, box=box))

    def change(self, **settings: Any) -> None:
        """Change settings, named as in `Settings`, and search anew."""
        self.settings = replace(self.settings, **settings)
        if self.query is not None:
            self.search()

    def allow(self, field: str, *values: str) -> None:
        """Let only hits pass whose field has one of these values; without values, all."""
        self.change(allowed={**self.settings.allowed, field: values})

    def clear_filters(self) -> None:
        """Let all pass again."""
        self.change(allowed={}, least_similarity=None)

    def back(self, steps: int = 1) -> None:
        """Return to the query before this one, or to one still earlier."""
        if 1 <= steps <= len(self.history):
            query = self.history[-steps]
            del self.history[-steps:]
            self._search_by(query)

    def why(self, hit: Hit) -> Agreement:
        """Compare the query and a hit place by place."""
        if self.query is None:
            raise ValueError("Choose a picture first.")
        return agreement(self.extractor, self.query.part, self.picture(hit))

    # the search

    @property
    def filter(self) -> str | None:
        """The filter expression, or None where all pass."""
        parts = [
            f"{name} in [{', '.join(_quoted(value) for value in values)}]"
            for name, values in self.settings.allowed.items()
            if values
        ]
        return " and ".join(parts) or None

    @property
    def arguments(self) -> dict[str, Any]:
        """What is sent with `client.vectors.search`, beside the vector."""
        params: dict[str, Any] = {"metric_type": self.settings.metric} if self.settings.metric else {}
        if (least := self.settings.least_similarity) is not None:
            # of unit vectors the squared distance, which L2 is, is 2 - 2 cos
            params["params"] = {"radius": 2 - 2 * least if self.settings.metric == "L2" else least}
        given = {"filter": self.filter, "search_params": params or None}
        return {
            "collection_name": self.collection,
            "anns_field": "vector",
            "limit": self.settings.limit,
            "output_fields": self._output,
            **{name: value for name, value in given.items() if value},
        }

    @property
    def call(self) -> str:
        """The very call, as one would write it in a notebook; `vector` is what `extractor.embed` gives."""
        lines = [f"    {name}={value!r}," for name, value in self.arguments.items()]
        return "\n".join(["client.vectors.search(", "    data=vector,", *lines, ")"])

    def search(self) -> None:
        """Search, or search again after a failure."""
        with self._lock:
            self._newest += 1
            ticket, query, arguments, extractor = self._newest, self.query, self.arguments, self.extractor
        if query is None:
            self._show("nothing chosen", "Choose a picture to search with.")
            return
        self._show("searching", f"Searching by {query.name} ...")

        def work() -> None:
            hits: list[Hit] = []
            vector = None
            try:
                vector = self._vector(query, extractor)
                hits = hits_from(self.client.vectors.search(data=vector, **arguments)["data"], extractor)
                state, message = self._outcome(query, hits)
            except (ImageError, MemoraError) as error:
                state, message = "failed", str(error)
            except Exception as error:  # told where the person looks: a traceback in another thread is seen by nobody
                state, message = "failed", f"Something went wrong that should not ({type(error).__name__}: {error})."
            with self._lock:
                if ticket == self._newest:  # else somebody asked for something else meanwhile
                    self.hits, self._last = hits, vector
                    self._show(state, message)

        self._start(work)

    @property
    def vector(self) -> np.ndarray | None:
        """The vector that was searched by last, shape (dim,); None before the first search."""
        return self._last

    def _vector(self, query: Query, extractor: FeatureExtractor) -> np.ndarray:
        key = (id(query.picture), query.box, extractor.name)
        if key not in self._vectors:
            if len(self._vectors) > 50:
                self._vectors.clear()
            self._vectors[key] = query, extractor.embed([query.part])[0]  # with the query, so that its id stays its own
        return self._vectors[key][1]

    def _outcome(self, query: Query, hits: list[Hit]) -> tuple[str, str]:
        if hits:
            right = sum(hit.category == query.category for hit in hits)
            known = f", {right} of the category {query.category!r}" if query.category else ""
            part = ", by a part of it" if query.box else ""
            what = f"{len(hits)} picture{'s' if len(hits) > 1 else ''}"
            return "found", f"{what} most like {query.name}{part}{known}."
        if self.settings.least_similarity is not None:
            return "nothing found", f"No picture is that similar (at least {self.settings.least_similarity:.2f})."
        return "nothing found", "No picture passes this filter."

    # who watches

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call a function after every change of `state`."""
        self._watchers.append(watcher)

    def _show(self, state: str, message: str) -> None:
        self.state, self.message = state, message
        for watcher in self._watchers:
            watcher()

    def __str__(self) -> str:
        return "\n".join([self.message, *(str(hit) for hit in self.hits)])


def picture_of(root: Path, path: str, min_side: int | None = None) -> Image.Image:
    """Open a picture of the collection. Raises ImageError where its file is gone, or would lie outside the folder."""
    try:
        return open_image(Hit(0, 0.0, 0, path).file(root), min_side)
    except ImageError:
        raise
    except ValueError as error:
        raise ImageError(path, str(error)) from None


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
