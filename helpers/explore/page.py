"""The page of `make app`: first the panel, then what takes longer: the network, the check of the folder, the map."""

import functools
import html
import threading
from collections.abc import Callable
from typing import Any, cast

import ipywidgets as widgets

from helpers.connect import COLLECTION, connect
from helpers.explore.map import map_panel
from helpers.explore.panel import Newest, search_panel
from helpers.features import FeatureExtractor, load_extractor
from helpers.features.extractors import EFFICIENTNETS, DinoV2Extractor
from helpers.features.weights import ModelUnavailableError, dinov2_on_this_machine
from helpers.images import DATA, load_folder
from helpers.ingest import ingest
from helpers.memora import Memora, MemoraError
from helpers.settings import setting

WRONG = (OSError, ValueError, MemoraError, ModelUnavailableError)  # what is told in a sentence
Pair = tuple[FeatureExtractor, str]  # a network, and the collection of its vectors
memora = functools.cache(connect)


class Later:
    """A network that is loaded when it is first used; its name and its kind are known before."""

    def __init__(self, name: str) -> None:
        self.name, self._lock = name, threading.Lock()

    @property
    def __class__(self) -> type:  # what isinstance asks
        return EFFICIENTNETS.get(self.name, DinoV2Extractor)

    @functools.cached_property
    def _network(self) -> FeatureExtractor:
        with self._lock:
            return load_extractor(self.name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)


@functools.cache
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
        memora()
        network = networks()[0][0]
    except WRONG:
        return
    threading.Thread(target=lambda: network.dim, daemon=True).start()


def page() -> widgets.Widget:
    """Return the whole page, or a sentence if Memora can't be reached."""
    try:
        widgets.register_comm_target()  # it was imported before there was a kernel
        return Page(memora(), networks())
    except WRONG as error:
        return widgets.HTML(_alert(error))


def _alert(error: Exception) -> str:
    told = getattr(error, "message", error)
    return f"<p role='alert'>{html.escape(str(told))} Put that right, then load this page again.</p>"


class Page(widgets.VBox):
    """The panel of a folder, and below it its map; the folder is checked while they are used."""

    def __init__(self, client: Memora, pairs: list[Pair]) -> None:
        self._client, self._pairs = client, pairs
        self._note, self._body = widgets.HTML(), widgets.VBox()
        self._body.add_class("memora-page")
        super().__init__([self._note, self._body])
        self._checked = threading.Event()
        ready = [pair for pair in pairs if self._count(pair[1])]
        if pairs[0] in ready:
            self._show(ready)
        threading.Thread(target=self._check, args=(ready,), daemon=True).start()

    def _count(self, collection: str) -> int:
        """Return how many pictures a collection has; 0 if there is none."""
        if not self._client.collections.has(collection_name=collection)["data"]["has"]:
            return 0
        return self._client.collections.get_stats(collection_name=collection)["data"]["rowCount"]

    def _show(self, pairs: list[Pair]) -> None:
        panel, newest = search_panel(self._client, pairs), Newest()

        def once_checked(job: Callable[[], None]) -> None:  # the first search comes before the map
            newest(lambda: (self._checked.wait(), job()))

        title = widgets.HTML("<h3>Map of the collection</h3>")
        self._body.children = [panel, title, map_panel(panel.session, start=once_checked)]

    def _check(self, ready: list[Pair]) -> None:
        """Bring the collections in line with the folder, show the panel if it waited for that, and let the map be made."""
        try:
            before = [self._count(name) for _, name in self._pairs]
            for network, collection in self._pairs:
                folder = load_folder(DATA)
                print(ingest(self._client, folder, extractor=network, collection=collection))
            changed = before != [self._count(name) for _, name in self._pairs]
            if not ready:
                self._show(self._pairs)
            self._note.value = ""
        except WRONG as error:
            self._note.value = _alert(error)
        self._checked.set()
