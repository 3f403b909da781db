"""The page of `make app`: first the panel, then what takes longer: the network, the check of the folder, the map."""

import functools
import html
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

import ipywidgets as widgets
import numpy as np

from helpers.connect import COLLECTION, connect
from helpers.explore.map import map_panel
from helpers.explore.panel import Newest, search_panel
from helpers.features import FeatureExtractor, load_extractor
from helpers.features.extractors import EFFICIENTNETS, DinoV2Extractor
from helpers.features.weights import ModelUnavailableError, dinov2_on_this_machine
from helpers.images import DATA, Source, load_folder
from helpers.ingest import ingest
from helpers.memora import Memora, MemoraError
from helpers.settings import setting

WRONG = (OSError, ValueError, MemoraError, ModelUnavailableError)  # what is told in a sentence
Pair = tuple[FeatureExtractor, str]  # a network, and the collection of its vectors
_ready: list[tuple[Memora, list[Pair]]] = []  # what `warm_up` has done ahead


class Later:
    """A network that is loaded when it is first used; its name and its kind are known before."""

    def __init__(self, name: str) -> None:
        self.name, self._lock = name, threading.Lock()

    @property  # type: ignore[misc]
    def __class__(self) -> type:  # what isinstance asks for
        return EFFICIENTNETS.get(self.name, DinoV2Extractor)

    @functools.cached_property
    def _network(self) -> FeatureExtractor:
        with self._lock:
            return load_extractor(self.name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)


def networks() -> list[Pair]:
    """Return the networks on this machine, each with its collection's name; the usual network first."""
    names = ["dinov2-small"] if dinov2_on_this_machine() else []
    names.append("efficientnet-lite0")
    usual = load_extractor() if setting("MEMORA_EXTRACTOR") else cast(FeatureExtractor, Later(names[0]))
    others = [cast(FeatureExtractor, Later(name)) for name in names if name != usual.name]
    return [(usual, COLLECTION), *((one, f"{COLLECTION}_{one.name.replace('-', '_')}") for one in others)]


def warm_up() -> None:
    """Do ahead what every visit needs; what goes wrong goes wrong again in `page`, which tells it."""
    try:
        _ready.append((connect(), networks()))
    except WRONG:
        return
    network = _ready[0][1][0][0]
    threading.Thread(target=lambda: network.dim, daemon=True).start()


def page() -> widgets.Widget:
    """Return the whole page, or a sentence if Memora can't be reached."""
    try:
        widgets.register_comm_target()  # it was imported before there was a kernel
        client, pairs = _ready[0] if _ready else (connect(), networks())
        return Page(client, pairs)
    except WRONG as error:
        told = f"{getattr(error, 'message', error)} Put that right, then load this page again."
        return widgets.HTML(_told(told, "alert"))


class StoppedError(Exception):
    """Somebody has asked for something else."""


class Watched:
    """A network that says how many pictures it was given, and stops when nobody waits for them any more."""

    def __init__(self, network: FeatureExtractor, tell: Callable[[int], None], stopped: threading.Event) -> None:
        self._network, self._tell, self._stopped, self._done = network, tell, stopped, 0

    def embed(self, images: Iterable[Source]) -> np.ndarray:
        """Turn pictures into vectors, as the network does."""
        if self._stopped.is_set():
            raise StoppedError
        vectors = self._network.embed(images)
        self._done += len(vectors)
        self._tell(self._done)
        return vectors

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)


class Page(widgets.VBox):
    """The panel of a folder, and below it its map; the folder is read, or checked, while they are used."""

    def __init__(self, client: Memora, pairs: list[Pair]) -> None:
        self._client, self._pairs = client, pairs
        self._note, self._body = widgets.HTML(), widgets.VBox()
        super().__init__([self._note, self._body])
        self.add_class("memora")
        self._search_in(DATA, pairs)

    def _search_in(self, root: Path, pairs: list[Pair]) -> None:
        """Show the panel of a folder, at once if its pictures are stored; then bring what is stored in line with it."""
        there = [pair for pair in pairs if self._count(pair[1])]
        checked, stopped = threading.Event(), threading.Event()
        if pairs[0] in there:
            self._show(root, there, checked)

        def work() -> None:
            try:
                changed = [self._ingest(root, pair, stopped) for pair in pairs]
                if not there:
                    self._show(root, pairs, checked)
                told = "The folder has changed: load the page again to see all of it." if any(changed) and there else ""
                self._note.value = _told(told)
            except WRONG as error:
                self._note.value = _told(f"{getattr(error, 'message', error)}", "alert")
            except StoppedError:
                return
            checked.set()

        threading.Thread(target=work, daemon=True).start()

    def _count(self, collection: str) -> int:
        """Return how many pictures a collection has; 0 if there is none."""
        if not self._client.collections.has(collection_name=collection)["data"]["has"]:
            return 0
        return self._client.collections.get_stats(collection_name=collection)["data"]["rowCount"]

    def _ingest(self, root: Path, pair: Pair, stopped: threading.Event) -> bool:
        """Bring a collection in line with a folder, and say how far it is; return whether pictures came or went."""
        network, collection = pair
        folder, before = load_folder(root), self._count(collection)
        new = len(folder.paths) - before

        def tell(done: int) -> None:
            self._note.value = _told(f"{network.name} looks at the pictures of {root.name}: {done} of {new} ...")

        watched = cast(FeatureExtractor, Watched(network, tell, stopped))
        print(ingest(self._client, folder, extractor=watched, collection=collection, batch_size=16))
        return self._count(collection) != before

    def _show(self, root: Path, pairs: list[Pair], checked: threading.Event) -> None:
        panel, newest = search_panel(self._client, pairs, root=root, for_page=True), Newest()

        def after(job: Callable[[], None]) -> None:  # the first search comes before the map
            newest(lambda: job() if checked.wait() else None)

        title = widgets.HTML("<h3>Map of the collection</h3>")
        self._body.children = [panel, title, map_panel(panel.session, start=after)]


def _told(text: str, role: str = "status") -> str:
    return f"<p role='{role}'>{html.escape(text)}</p>" if text else ""
