"""A map of a whole collection: every picture's vector projected onto a plane."""

import base64
import html
import io
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
import numpy as np

from helpers.explore.browser import MapView
from helpers.explore.pictures import thumbnail, words
from helpers.explore.session import MOST_PICTURES, SearchSession, Start
from helpers.images import DATA
from helpers.ingest import FIELDS, stored_rows
from helpers.labels import drawable, finished
from helpers.memora import InvalidRequestError, Memora, MemoraError
from helpers.plots import APART, GREY, picture_map
from helpers.quality.factors import Sharing
from helpers.search import as_matrix

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NEIGHBOURS = 5
SAME = 0.9999  # a cosine above this is that of a picture with itself
THUMB = 96  # pixels
REAL_COLORS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "gray",
               "teal", "gold", "silver")  # fmt: skip


@dataclass(frozen=True)
class CollectionMap:
    """Where each picture of a collection lies on a plane.

    Parameters
    ----------
    ids, paths, metadata : lists of int, str and dict
        The pictures' keys, their files in the folder that was ingested, and their other fields.
    vectors : numpy.ndarray, shape (n, dim), float32
        Of unit length.
    places : numpy.ndarray, shape (n, 2), float
        Between 0 and 1; the second number grows downwards, as on a screen.
    method : str
        `PCA` or `t-SNE`.
    """

    ids: list[int]
    paths: list[str]
    metadata: list[dict[str, Any]]
    vectors: np.ndarray
    places: np.ndarray
    method: str

    def place(self, vector: np.ndarray) -> np.ndarray:
        """Return where a picture lies, shape (2,): a picture of the collection at its own place.

        t-SNE has no place for other pictures: they lie at the mean of the five most similar pictures' places, weighted
        by similarity.
        """
        similarity = self.vectors @ vector
        nearest = np.argsort(-similarity)[:NEIGHBOURS]
        if similarity[nearest[0]] > SAME:
            return self.places[nearest[0]]
        weights = np.clip(similarity[nearest], 1e-6, None) ** 4
        return weights @ self.places[nearest] / weights.sum()

    def neighbours_share(self, name: str, *, without: Collection[str] = ()) -> Sharing:
        """Measure how often a picture and its five nearest on the map have the same value of a field.

        Parameters
        ----------
        name : str
            The field, such as `color`.
        without : collection of str
            Categories to leave out, such as those that come only in some surroundings.

        Returns
        -------
        Sharing
            `matched`: with a random picture of each neighbour's category in its place. A lemon lies among lemons, and
            so among yellow things: only a share above `matched` is the field's own doing.
        """
        from sklearn.neighbors import NearestNeighbors

        kept = [n for n, one in enumerate(self.metadata) if str(one.get("category", "")) not in without]
        kinds = np.unique([str(self.metadata[n].get("category", "")) for n in kept], return_inverse=True)[1]
        values = np.unique([str(self.metadata[n].get(name, "")) for n in kept], return_inverse=True)[1]
        places = self.places[kept]
        asked = min(NEIGHBOURS, len(kept) - 1)
        nearest = NearestNeighbors(n_neighbors=asked).fit(places).kneighbors(return_distance=False)
        counts = np.zeros((kinds.max() + 1, values.max() + 1), int)
        np.add.at(counts, (kinds, values), 1)
        itself = kinds[nearest] == kinds[:, None]  # a picture does not stand for its own neighbour
        like, peers = counts[kinds[nearest], values[:, None]] - itself, counts.sum(1)[kinds[nearest]] - itself
        of_value = counts.sum(0)
        return Sharing(
            share=float((values[nearest] == values[:, None]).mean()),
            chance=float((of_value * (of_value - 1)).sum() / (len(kept) * (len(kept) - 1))),
            matched=float((like / np.maximum(peers, 1)).mean()),
        )

    def common_facts(self, keys: Collection[int]) -> str:
        """Say how many pictures a group has, and which values most of them share, the least usual ones first.

        Beside each share stands that of the whole collection: what is as frequent there says nothing of the group.
        """
        group = [meta for key, meta in zip(self.ids, self.metadata, strict=True) if key in set(keys)]
        if not group:
            return ""
        shared = []
        for name in group[0]:
            value, count = Counter(str(one.get(name, "")) for one in group).most_common(1)[0]
            share = count / len(group)
            usual = sum(str(one.get(name, "")) == value for one in self.metadata) / len(self.metadata)
            if value and share > 0.5:
                shared.append((usual / share, f"{name} {value}: {share:.0%} of them, {usual:.0%} of all"))
        counted = f"{len(group)} of {len(self.ids)} pictures"
        what = "; ".join(text for _, text in sorted(shared))
        return f"{counted}. {what or 'Most of them share no value' if group[0] else 'Nothing else is known of them'}."

    def colors(self, by: str) -> tuple[list[str], list[tuple[str, str]]]:
        """Return the color of each picture by a field, and the legend: each value, in words, with its color."""
        values = [str(one.get(by, "")) for one in self.metadata]
        colors = colors_of(values)
        named = [(value.replace("_", " "), color) for value, color in sorted(colors.items()) if color != GREY]
        return [colors[value] for value in values], named + [("others", GREY)] * (GREY in colors.values())

    def figure(self, by: str, root: Path, place: Sequence[float] = ()) -> "Figure":
        """Return the map as a figure; `place` is the query's, and empty where there is none."""
        from matplotlib.lines import Line2D

        pictures, (frames, legend) = [thumbnail(root, path, THUMB) for path in self.paths], self.colors(by)
        figure = picture_map(pictures, self.places, frames, np.array(place) if len(place) else None)
        lines = [Line2D([], [], color=color, lw=5, label=drawable(value)) for value, color in legend]
        figure.legend(handles=lines, loc="outside lower center", ncols=7, fontsize=8)
        return finished(figure)

    def __str__(self) -> str:
        text = f"{len(self.ids)} pictures by {self.method}"
        if not any(one.get("category") for one in self.metadata):
            return text
        found = self.neighbours_share("category")
        shares = f"{found.share:.2f} (by chance {found.chance:.2f})"
        return f"{text}; of a picture's five nearest on the map are of its category: {shares}"


def project(vectors: np.ndarray, method: str = "t-SNE") -> np.ndarray:
    """Project at least 3 vectors, shape (n, dim), onto a plane: places between 0.03 and 0.97, shape (n, 2), float64.

    PCA keeps the two directions in which the vectors differ most. t-SNE (van der Maaten and Hinton, JMLR 2008) keeps
    neighbours together, and bends the rest; it starts from 50 directions of the PCA. ValueError names what is wrong.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits  # comes with scikit-learn

    if method not in ("t-SNE", "PCA"):
        raise ValueError(f"method is {method!r}; allowed: 't-SNE', 'PCA'")
    if len(vectors) < 3:
        raise ValueError(f"{len(vectors)} pictures make no map: at least 3")
    if method == "PCA":
        places = PCA(2, random_state=0).fit_transform(vectors)
    else:
        reduced = PCA(min(50, *vectors.shape), random_state=0).fit_transform(vectors)
        perplexity = min(30, (len(vectors) - 1) / 3)
        # One thread: several wait for each other after every step, spinning; on a busy machine that took minutes.
        with threadpool_limits(1):
            places = TSNE(2, perplexity=perplexity, init="pca", random_state=0).fit_transform(reduced)
    low, high = places.min(0), places.max(0)
    return 0.03 + 0.94 * (places - low) / np.where(high > low, high - low, 1)


def map_collection(client: Memora, collection: str, method: str = "t-SNE") -> CollectionMap:
    """Read the vectors of a collection of 3 to 16,384 pictures and project them; other numbers are a ValueError."""
    rows = list(stored_rows(client, collection, ["*"], most=MOST_PICTURES).values())
    vectors = as_matrix(rows)
    metadata = [{name: value for name, value in row.items() if name not in FIELDS} for row in rows]
    places = project(vectors, method)
    return CollectionMap([r["id"] for r in rows], [r["image_path"] for r in rows], metadata, vectors, places, method)


def colors_of(values: Sequence[str]) -> dict[str, str]:
    """Give each value a CSS color: its own where nearly all are names of colors; else one of eight that are told apart.

    The most frequent values come first; grey stands for the others.
    """
    known = [value for value, _ in Counter(sorted(values)).most_common()]
    colors = [value if value in REAL_COLORS else GREY for value in known]
    if colors.count(GREY) > len(known) / 5:  # one is such a name by accident: the orange among fruits
        colors = [*APART, *[GREY] * len(known)]
    return dict(zip(known, colors, strict=False))


class MapPanel(widgets.VBox):
    """The map as a widget: click a picture to search by it; draw around some to see what they share.

    A page that can't show widgets, such as a code host's, shows a picture of it.

    Parameters
    ----------
    session : SearchSession
        What a click searches with; a search panel of the same session shows the hits.
    made : CollectionMap, optional
        By default that of the session's collection.
    start : callable, optional
        Runs a function without arguments, such as `Newest()`: then the map is made when a browser shows its frame, not
        at once, and the rest of the page can be used meanwhile.
    """

    def __init__(
        self, session: SearchSession, made: CollectionMap | None = None, *, start: Start | None = None
    ) -> None:
        self._session, self._made, self._mapped = session, made, session.collection
        self._start = start or (lambda work: work())
        self._lost = False  # Memora was away when the map was to be made
        self._view, self._legend = MapView(), widgets.HTML()
        self._by = widgets.Dropdown(description="Color by", options=list(session.choices) or ["category"])
        self._by.layout.display = None if session.choices else "none"
        self._by.observe(self._color, "value")
        self._view.observe(lambda told: session.more_like_id(int(told["new"]["key"])), "chosen")
        self._view.observe(self._describe, "group")
        session.watch(self._follow)
        super().__init__([self._by, self._view, self._legend])
        self.add_class("memora")
        if start is None:
            self._fill()
        else:
            self._view.observe(lambda _: start(self._tell), "shown")

    def _fill(self) -> None:
        session = self._session
        if self._made is None or self._mapped != session.collection:
            self._made, self._mapped = map_collection(session.client, session.collection), session.collection
        made = self._made
        self._view.pictures = [thumbnail(session.root, path, THUMB) for path in made.paths]
        self._color()
        self._view.items = [
            {"key": str(key), "alt": words(path, meta), "x": float(x), "y": float(y)}
            for key, path, meta, (x, y) in zip(made.ids, made.paths, made.metadata, made.places, strict=True)
        ]
        self._mark()
        self._view.facts = ""

    def _tell(self) -> None:
        try:
            self._legend.value = "<p role='status'>The map is being made ...</p>"
            self._fill()
            self._lost = False
        except (MemoraError, ValueError) as error:  # too many pictures, too few, Memora gone
            self._legend.value = f"<p role='status'>No map: {html.escape(str(error))}</p>"
            self._lost = not isinstance(error, InvalidRequestError | ValueError)  # such as these stay wrong

    def _describe(self, told: Any) -> None:
        if self._made:
            self._view.facts = self._made.common_facts([int(key) for key in told["new"]["keys"]])

    def _color(self, _: Any = None) -> None:
        if self._made is None:
            return
        self._view.colors, legend = self._made.colors(self._by.value)
        squares = [f"<li><span style='background:{c}'></span>{html.escape(v)}</li>" for v, c in legend]
        self._legend.value = f"<ul class='memora-legend'>{''.join(squares)}</ul>" if self._session.choices else ""

    def _mark(self) -> None:
        made, vector = self._made, self._session.vector
        another = self._mapped != self._session.collection
        if made is None or another or vector is None or len(vector) != made.vectors.shape[1]:
            self._view.query = []
        else:
            self._view.query = made.place(vector).tolist()

    def _follow(self) -> None:
        another = self._made and self._mapped != self._session.collection  # of another network: other vectors
        if self._session.state == "found" and (another or self._lost):
            self._start(self._tell)
        else:
            self._mark()

    def __repr__(self) -> str:
        return f"<Map of {str(self._made).partition(';')[0]}>" if self._made else "<Map that is not made yet>"

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data, file = super()._repr_mimebundle_(**options), io.BytesIO()
        if self._made is None:
            return data, {}
        self._made.figure(self._by.value, self._session.root, self._view.query).savefig(file, format="jpeg", dpi=80)
        data["image/jpeg"] = base64.b64encode(file.getvalue()).decode()
        return data, {"image/jpeg": {"alt": f"A map of {self._made}; the frames' colors show: {self._by.value}"}}


map_panel = MapPanel  # called as search_panel is


def show_map(
    made: CollectionMap, by: str = "category", *, query: np.ndarray | None = None, root: Path = DATA
) -> "Figure":
    """Draw the map with its thumbnails, and print what it says.

    Parameters
    ----------
    made : CollectionMap
        The map.
    by : str
        The field that the frames' colors show.
    query : numpy.ndarray, shape (dim,), optional
        A vector, such as `session.vector`, whose place is marked.
    root : Path
        The folder that was ingested.
    """
    print(made)
    place: Sequence[float] = ()
    if query is not None:
        place = made.place(query).tolist()
        around = np.argsort(((made.places - place) ** 2).sum(1))[:NEIGHBOURS]
        field = "category" if "category" in made.metadata[0] else by
        most = Counter(str(made.metadata[i].get(field, "")) for i in around).most_common(1)[0][0]
        print(f"The ring is the query: it lies among pictures of {field} {most}.")
    return made.figure(by, root, place)
