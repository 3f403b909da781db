"""The page of `make app`: first the panel, then what takes longer: the network, the check of the folder, the map."""

import functools
import html
import re
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl, urlencode

import anywidget
import ipywidgets as widgets
import traitlets

from helpers.connect import COLLECTION, LOCAL_URL, connect
from helpers.explore.browser import STYLE
from helpers.explore.map import map_panel
from helpers.explore.panel import Newest, search_panel
from helpers.explore.session import MAX_BYTES, SearchSession
from helpers.features import FeatureExtractor, load_extractor
from helpers.features.weights import ModelUnavailableError, dinov2_on_this_machine
from helpers.images import load_folder
from helpers.images.folders import SUFFIXES
from helpers.ingest import IngestReport, ingest
from helpers.memora import Memora, MemoraError
from helpers.page.places import KIT, MOST_BYTES, MOST_FILES, Place, Upload, forget, keep, kept, names, place_of
from helpers.settings import setting

HERE = Path(__file__).parent
WRONG = (OSError, ValueError, MemoraError, ModelUnavailableError)  # what is told in a sentence
Pair = tuple[FeatureExtractor, str]  # a network, and the collection of its vectors
_ready: list[tuple[Memora, list[FeatureExtractor]]] = []  # what `warm_up` has done ahead


class Later:
    """A network that is loaded when it is first used; its name is known before."""

    def __init__(self, name: str) -> None:
        self.name, self._lock = name, threading.Lock()

    @functools.cached_property
    def _network(self) -> FeatureExtractor:
        with self._lock:  # two threads load it once
            return load_extractor(self.name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)


def networks() -> list[FeatureExtractor]:
    """Return the networks on this machine, the usual one first."""
    found = ["dinov2-small"] if dinov2_on_this_machine() else []
    found += ["efficientnet-lite0", "efficientnet-lite2"]
    usual = load_extractor() if setting("MEMORA_EXTRACTOR") else cast(FeatureExtractor, Later(found[0]))
    return [usual, *(cast(FeatureExtractor, Later(name)) for name in found if name != usual.name)]


def warm_up() -> None:
    """Do ahead what every visit needs; what goes wrong goes wrong again in `page`, which tells it."""
    try:
        _ready.append((connect(), networks()))
    except WRONG:
        return
    usual = _ready[0][1][0]
    threading.Thread(target=lambda: usual.dim, daemon=True).start()


def page() -> widgets.Widget:
    """Return the whole page, or a sentence if Memora can't be reached."""
    try:
        widgets.register_comm_target()  # it was imported before there was a kernel
        return Page(*(_ready[0] if _ready else (connect(), networks())))
    except WRONG as error:
        told = html.escape(f"{_sentence(error)} Put that right, then load this page again.")
        return widgets.HTML(f"<h1>Memora image search</h1><p role='alert'>{told}</p>")


def _sentence(error: Exception) -> str:
    return getattr(error, "message", str(error))


class StoppedError(Exception):
    """Somebody has asked for something else."""


class Places(anywidget.AnyWidget):
    """Where the page searches, the way to a folder of one's own, and the page's address (what stands behind its #).

    What a person does arrives as a message `{"do": ...}`, which `Page` hears; `{"next": True}` asks for the next file.
    `places` are pairs of a key and a name; `state` is what `Page._tell` tells; `asks` names the networks that wait to
    be asked for; `suffixes` and `most` say which files of a folder are sent, and how many.
    """

    _esm = HERE / "places.js"
    _css = "".join(path.read_text(encoding="utf-8") for path in (STYLE, HERE / "places.css"))
    places: traitlets.List = traitlets.List().tag(sync=True)
    place, address, asks = (traitlets.Unicode("").tag(sync=True) for _ in range(3))
    state = traitlets.Dict().tag(sync=True)
    suffixes = traitlets.List(sorted(SUFFIXES)).tag(sync=True)
    most = traitlets.Dict({"file": MAX_BYTES, "files": MOST_FILES, "bytes": MOST_BYTES}).tag(sync=True)


class Visit:
    """One look at a folder, and what is waited for meanwhile."""

    def __init__(self, place: Place) -> None:
        self.place, self.stopped, self.asks = place, False, ""  # networks that are asked for, not let look unasked
        self.checked, self.searched = threading.Event(), threading.Event()

    def stop(self) -> None:
        """Let what waits go on, to its end."""
        self.stopped = True
        self.searched.set()

    def go_on(self) -> None:
        """Raise StoppedError if nobody waits for this any more."""
        if self.stopped:
            raise StoppedError


class Page(widgets.VBox):
    """The panel of a folder, and below it its map; the folder is read, or checked, while they are used."""

    def __init__(self, client: Memora, networks: list[FeatureExtractor]) -> None:
        self._client, self._networks = client, networks
        self._upload, self._left_out = cast(Upload | None, None), 0
        self._visit, self._work, self._telling = Visit(KIT), Newest(), threading.Lock()
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
        acts: dict[str, Callable[..., None]] = {
            "open": lambda path: self._search_in(place_of(path)),
            "choose": lambda key: self._search_in(kept()[key]),
            "forget": lambda key: self._forget(kept()[key]),
            "address": self._go_to,
            "stop": self._stop,
            "compare": self._visit.searched.set,
        }
        do = said["do"]
        try:
            if do in acts:
                acts[do](**{name: value for name, value in said.items() if name != "do"})
            else:
                self._receive(do, said, buffers)
        except (*WRONG, KeyError) as error:
            gone = "This folder is not there any more." if isinstance(error, KeyError) else _sentence(error)
            self._forget_upload()
            self._tell(gone, wrong=True)

    def _tell(self, told: str, visit: Visit | None = None, **more: Any) -> None:
        """Show a sentence; with it that it is `wrong`, or what is `busy`, how much is `done`, and `of` how much.

        News of a visit that was stopped is ignored.
        """
        with self._telling:  # what tells that it was stopped comes after all that it told
            if not (visit and visit.stopped):
                self._places.state = {"told": told, **more}

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
        self._tell("", busy=what, done=self._upload.done, of=self._upload.count)
        self._places.send({"next": True})

    def _stop(self) -> None:
        """Give up what is being done; what is stored already makes the next try shorter."""
        self._visit.stop()
        self._visit.checked.set()  # the map shows what is there
        self._forget_upload()
        self._tell("Stopped. Load the page again, or choose the folder again, to go on.")

    def _forget_upload(self) -> None:
        if self._upload:
            self._upload.remove()
        self._upload = None

    def _forget(self, place: Place) -> None:
        """Remove a folder's collections and the page's own copies of its files; then search in the kit's pictures."""
        self._visit.stop()

        def work() -> None:  # after what is being stored
            try:
                for one in self._client.collections.list()["data"]:
                    if place.key and one.startswith(f"{place.key}_"):
                        self._client.collections.drop(collection_name=one)
                forget(place)
                self._search_in(KIT, told=f"{place.root.name} is forgotten.")
            except WRONG as error:
                self._tell(f"{place.root.name} could not be forgotten: {_sentence(error)}", wrong=True)

        self._work(work)

    def _go_to(self, text: str) -> None:
        """Search for what the page's address says, where it says."""
        place = kept().get(dict(parse_qsl(text)).get("in", ""))
        self._asked = text
        if place is None:
            self._tell("The folder of this address is not on this computer.", wrong=True)
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

    def _search_in(self, place: Place, upload: Upload | None = None, told: str = "") -> None:
        """Show the panel of a folder, at once if its pictures are stored; then bring what is stored in line with it.

        The other networks follow after the first search: until then the processor is needed for it. In a Memora
        elsewhere a collection for one is made only when somebody asks for it.
        """
        self._visit.stop()
        visit = self._visit = Visit(place)
        usual, *others = pairs = self._pairs(place)
        stored = [self._count(name) for _, name in pairs]
        there = [pair for pair, count in zip(pairs, stored, strict=True) if count >= max(1, stored[0])]
        if self._client.base_url != LOCAL_URL:
            visit.asks = " and ".join(one.name for (one, _), count in zip(others, stored[1:], strict=True) if not count)
        shown = usual in there and place.key in kept()
        if shown:
            self._show(visit, there)
        self._tell(told, visit, **({} if shown else {"busy": f"Looking at {place.called}"}))

        def work() -> None:
            try:
                report = self._ingest(visit, usual, told)
                keep(place)
                if not shown:
                    self._show(visit, [usual])
                news = "\n".join([told, *self._news(report, shown and place == KIT)]).strip()
                self._tell(news, visit)
                visit.checked.set()
                self._places.asks = visit.asks
                visit.searched.wait()
                self._places.asks = ""
                self._tell("\n".join([news, *self._offer(visit, others, news)]).strip(), visit)
            except StoppedError:
                return
            except WRONG as error:
                self._tell(_sentence(error), visit, wrong=True)
                visit.checked.set()
                if upload:
                    upload.remove()

        self._work(work)

    def _offer(self, visit: Visit, others: list[Pair], news: str) -> list[str]:
        """Let the panel compare with other networks; return what is to be said of that."""
        lines = []
        for network, collection in others:
            try:
                visit.go_on()
                self._ingest(visit, (network, collection), news)
                if self._session and network.name not in self._session.extractors:
                    self._session.offer(network, collection)
                    lines += [f"Compare with: {network.name} has seen the pictures, too."]
            except WRONG as error:  # the search goes on without
                lines += [f"{network.name} can't be compared with: {_sentence(error)}"]
        return lines

    def _pairs(self, place: Place) -> list[Pair]:
        """Return each network with the collection of a folder's vectors; the usual network first."""
        named = [(one, f"{place.key or COLLECTION}_{one.name}") for one in self._networks]
        pairs = [(one, re.sub(r"\W", "_", name, flags=re.ASCII)) for one, name in named]
        return pairs if place.key else [(self._networks[0], COLLECTION), *pairs[1:]]

    def _count(self, collection: str) -> int:
        """Return how many pictures a collection has; 0 if there is none."""
        if not self._client.collections.has(collection_name=collection)["data"]["has"]:
            return 0
        return self._client.collections.get_stats(collection_name=collection)["data"]["rowCount"]

    def _ingest(self, visit: Visit, pair: Pair, told: str) -> IngestReport:
        """Bring a collection in line with a folder, and say how far it is."""
        (network, collection), place = pair, visit.place
        who = "Looking" if network is self._networks[0] else f"To compare: {network.name} is looking"

        def tell(done: int, of: int) -> None:
            visit.go_on()
            self._tell(told, visit, busy=f"{who} at {place.called}: {done} of {of}", done=done, of=of)

        options: dict[str, Any] = {"batch_size": 16, "remove_missing": bool(place.key), "tell": tell}
        report = ingest(self._client, load_folder(place.root), extractor=network, collection=collection, **options)
        print(report)
        visit.go_on()
        return report

    def _news(self, report: IngestReport, shown: bool) -> list[str]:
        """Return what a person wants to know of a folder that was read: what can't be searched, and what is new."""
        left_out, self._left_out = self._left_out, 0
        lines = [f"{path} can't be used: {reason}" for path, reason in report.refused[:3]]
        lines += [f"{len(report.refused) - 3} more files can't be used."] if len(report.refused) > 3 else []
        lines += [f"{left_out} files of more than {MAX_BYTES >> 20} MB were left out."] if left_out else []
        lines += ["The folder has changed: load the page again to see all of it."] if shown and report.added else []
        return lines

    def _show(self, visit: Visit, pairs: list[Pair]) -> None:
        place = visit.place
        panel, newest = search_panel(self._client, pairs, root=place.root, for_page=True), Newest()
        session = panel.session

        def after(job: Callable[[], None]) -> None:  # the first search comes before the map
            newest(lambda: job() if visit.checked.wait() else None)

        where = urlencode({"in": place.key}) if place.key else ""

        def follow() -> None:
            if session is self._session and session.state in ("found", "nothing found"):
                if not visit.asks:
                    visit.searched.set()
                self._places.address = "&".join(text for text in (where, session.as_text()) if text)

        session.watch(follow)
        self._session, self._places.place, self._places.address = session, place.key, where
        self._places.places = names(kept() | {place.key: place})
        below = widgets.VBox([widgets.HTML("<h2>Map of the collection</h2>"), map_panel(session, start=after)])
        below.add_class("memora-below")
        self._body.children = [panel, below]
        self._restore()
