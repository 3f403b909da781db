"""The page of `make app`: first the panel, then what takes longer: the network, the check of the folder, the map."""

import functools
import html
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl, urlencode

import anywidget
import ipywidgets as widgets
import numpy as np
import traitlets

from helpers.connect import COLLECTION, connect
from helpers.explore.browser import STYLE
from helpers.explore.map import map_panel
from helpers.explore.panel import Newest, search_panel
from helpers.explore.session import MAX_BYTES, SearchSession
from helpers.features import FeatureExtractor, load_extractor
from helpers.features.extractors import EFFICIENTNETS, DinoV2Extractor
from helpers.features.weights import ModelUnavailableError, dinov2_on_this_machine
from helpers.images import Source, load_folder
from helpers.images.folders import SUFFIXES
from helpers.ingest import IngestReport, ingest
from helpers.memora import Memora, MemoraError
from helpers.page.places import KIT, MOST_BYTES, MOST_FILES, Place, Upload, keep, kept, names, place_of
from helpers.settings import setting

HERE = Path(__file__).parent
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
        return widgets.HTML(f"<p role='alert'>{html.escape(told)}</p>")


class StoppedError(Exception):
    """Somebody has asked for something else."""


class Watched:
    """A network that says how many pictures it was given, and stops when nobody waits for them any more."""

    def __init__(self, network: FeatureExtractor, tell: Callable[[int], None], stopped: threading.Event) -> None:
        self._network, self._tell, self._stopped, self._done = network, tell, stopped, 0

    def embed(self, images: Iterable[Source]) -> np.ndarray:
        """Turn pictures into vectors, as the network does."""
        vectors = self._network.embed(images)
        if self._stopped.is_set():
            raise StoppedError
        self._done += len(vectors)
        self._tell(self._done)
        return vectors

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)


class Places(anywidget.AnyWidget):
    """Where the page searches, the way to a folder of one's own, and the page's address.

    What a person does arrives as a message `{"do": ...}`, which `Page` hears; `{"next": True}` asks for the next file.

    Attributes
    ----------
    places, place : list of [str, str], str
        The key and the name of each place; the key of the one that is searched in.
    state : dict
        What is `told`, whether that is something `wrong`; what is `busy`, and how much is `done` `of` how much.
    address : str
        What stands behind the # of the page's address.
    suffixes, most : list of str, dict
        Which files of a folder are sent, and how many at most.
    """

    _esm = HERE / "places.js"
    _css = "".join(path.read_text(encoding="utf-8") for path in (STYLE, HERE / "places.css"))
    places: traitlets.List = traitlets.List().tag(sync=True)
    place, address = (traitlets.Unicode("").tag(sync=True) for _ in range(2))
    state = traitlets.Dict().tag(sync=True)
    suffixes = traitlets.List(sorted(SUFFIXES)).tag(sync=True)
    most = traitlets.Dict({"file": MAX_BYTES, "files": MOST_FILES, "bytes": MOST_BYTES}).tag(sync=True)


class Page(widgets.VBox):
    """The panel of a folder, and below it its map; the folder is read, or checked, while they are used."""

    def __init__(self, client: Memora, pairs: list[Pair]) -> None:
        self._client, self._pairs = client, pairs
        self._stopped, self._upload, self._left_out = threading.Event(), cast(Upload | None, None), 0
        self._session: SearchSession | None = None
        self._places = Places(places=names(kept()))
        self._places.on_msg(lambda _, said, buffers: self._hear(said, buffers))
        self._body = widgets.VBox()
        super().__init__([self._places, self._body])
        self.add_class("memora")
        self._asked = ""  # the address of the page when it was opened
        self._search_in(KIT)

    # what a person does

    def _hear(self, said: dict[str, Any], buffers: Sequence[memoryview]) -> None:
        do = said["do"]
        try:
            if do == "open":
                self._search_in(place_of(said["path"]))
            elif do == "choose":
                self._search_in(kept()[said["key"]])
            elif do == "address":
                self._go_to(said["text"])
            elif do == "refuse":
                raise ValueError(said["text"])
            elif do == "stop":
                self._stop()
            else:
                self._receive(do, said, buffers)
        except (*WRONG, KeyError) as error:
            gone = "This folder is not there any more." if isinstance(error, KeyError) else str(error)
            self._forget_upload()
            self._places.state = {"told": gone, "wrong": True}

    def _receive(self, do: str, said: dict[str, Any], buffers: Sequence[memoryview]) -> None:
        """Take the next file of a folder that a browser sends."""
        if do == "begin":
            self._forget_upload()
            self._upload, self._left_out = Upload(said["name"], said["count"]), said["large"]
        elif self._upload is None:
            return  # it was stopped
        elif do == "file":
            self._upload.add(said["path"], buffers[0])
        else:
            upload, self._upload = self._upload, None
            self._search_in(place_of(str(upload.root)), upload)
            return
        what = f"Copying {self._upload.root.name}: {self._upload.done} of {self._upload.count} files"
        self._places.state = {"busy": what, "done": self._upload.done, "of": self._upload.count}
        self._places.send({"next": True})

    def _stop(self) -> None:
        """Give up what is being done; what is stored already makes the next try shorter."""
        self._stopped.set()
        self._forget_upload()
        self._places.state = {"told": "Stopped. Load the page again, or choose the folder again, to go on."}

    def _forget_upload(self) -> None:
        if self._upload:
            self._upload.remove()
        self._upload = None

    def _go_to(self, address: str) -> None:
        """Search for what the page's address says, where it says."""
        place = kept().get(dict(parse_qsl(address)).get("in", ""))
        self._asked = address
        if place is None:
            self._places.state = {"told": "The folder of this address is not on this computer.", "wrong": True}
        elif place.key != self._places.place:
            self._search_in(place)
        else:
            self._restore()

    def _restore(self) -> None:
        if self._session:  # else the panel will do it when it is there
            asked, self._asked = self._asked, ""
            if asked and asked != self._places.address:
                self._session.restore(asked)

    # what the page does

    def _search_in(self, place: Place, upload: Upload | None = None) -> None:
        """Show the panel of a folder, at once if its pictures are stored; then bring what is stored in line with it."""
        self._stopped.set()
        checked, stopped = threading.Event(), threading.Event()
        self._stopped = stopped
        usual = self._pairs[0][0]
        name = f"{place.key}_{usual.name}".replace("-", "_").replace(".", "_")
        pairs = [(usual, name)] if place.key else self._pairs
        there = [pair for pair in pairs if self._count(pair[1])] if place.key in kept() else []
        if pairs[0] in there:
            self._show(place, there, checked)

        def work() -> None:
            try:
                reports = [self._ingest(place, pair, stopped) for pair in pairs]
                keep(place)
                if pairs[0] not in there:
                    self._show(place, pairs, checked)
                self._places.state = {"told": self._news(reports, bool(there) and place == KIT)}
            except StoppedError:
                return
            except WRONG as error:
                self._places.state = {"told": getattr(error, "message", str(error)), "wrong": True}
                if upload:
                    upload.remove()
            checked.set()

        threading.Thread(target=work, daemon=True).start()

    def _count(self, collection: str) -> int:
        """Return how many pictures a collection has; 0 if there is none."""
        if not self._client.collections.has(collection_name=collection)["data"]["has"]:
            return 0
        return self._client.collections.get_stats(collection_name=collection)["data"]["rowCount"]

    def _ingest(self, place: Place, pair: Pair, stopped: threading.Event) -> IngestReport:
        """Bring a collection in line with a folder, and say how far it is."""
        network, collection = pair
        folder, before = load_folder(place.root), self._count(collection)
        new = max(1, len(folder.paths) - before)

        def tell(done: int) -> None:
            told = f"Looking at the pictures of {place.root.name}: {done} of {new}"
            self._places.state = {"busy": told, "done": done, "of": new}

        watched = cast(FeatureExtractor, Watched(network, tell, stopped))
        options: dict[str, Any] = {"batch_size": 16, "remove_missing": bool(place.key)}
        report = ingest(self._client, folder, extractor=watched, collection=collection, **options)
        print(report)
        return report

    def _news(self, reports: list[IngestReport], shown: bool) -> str:
        """Return what a person wants to know of a folder that was read: what can't be searched, and what is new."""
        report, left_out, self._left_out = reports[0], self._left_out, 0
        lines = [f"{path} can't be used: {reason}" for path, reason in report.refused[:3]]
        lines += [f"{len(report.refused) - 3} more files can't be used."] if len(report.refused) > 3 else []
        lines += [f"{left_out} files of more than {MAX_BYTES >> 20} MB were left out."] if left_out else []
        lines += ["The folder has changed: load the page again to see all of it."] if shown and report.added else []
        return "\n".join(lines)

    def _show(self, place: Place, pairs: list[Pair], checked: threading.Event) -> None:
        panel, newest = search_panel(self._client, pairs, root=place.root, for_page=True), Newest()
        session = panel.session

        def after(job: Callable[[], None]) -> None:  # the first search comes before the map
            newest(lambda: job() if checked.wait() else None)

        where = urlencode({"in": place.key}) if place.key else ""

        def follow() -> None:
            if session is self._session and session.state in ("found", "nothing found"):
                self._places.address = "&".join(text for text in (where, session.as_text()) if text)

        session.watch(follow)
        self._session, self._places.place, self._places.address = session, place.key, where
        self._places.places = names(kept() | {place.key: place})
        title = widgets.HTML("<h3>Map of the collection</h3>")
        self._body.children = [panel, title, map_panel(session, start=after)]
        self._restore()
