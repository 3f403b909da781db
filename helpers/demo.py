"""The main job in one screen: `python -m helpers.demo`, or `make demo`."""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from helpers.connect import COLLECTION, connect
from helpers.features.extractors import load_extractor
from helpers.features.weights import ModelUnavailableError
from helpers.images import DATA, Source, load_folder, open_image, shortened
from helpers.ingest import collection_for, ingest
from helpers.memora import MemoraError
from helpers.plots import mark, show_many
from helpers.search import search_many
from helpers.settings import ROOT

SMALL = 512  # pixels of a picture's shorter side: more than any network looks at
T = TypeVar("T")


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and run the demo; what can't be done is told in a sentence."""
    parser = argparse.ArgumentParser(prog="python -m helpers.demo", description=__doc__)
    parser.add_argument("--images", type=Path, default=DATA, help="a folder of pictures (default: the kit's own)")
    parser.add_argument("--queries", nargs="+", help="files or addresses of pictures to search with (default: our own)")
    parser.add_argument("--collection", help=f"its name (default: {COLLECTION}; for your own folder, one made for it)")
    parser.add_argument("--limit", type=int, default=5, help="hits for each query (default: 5)")
    parser.add_argument("--picture", type=Path, default=ROOT / "demo.png", help="where to draw the hits")
    options = parser.parse_args(arguments)
    try:
        demo(**vars(options))
    except (OSError, ValueError, MemoraError, ModelUnavailableError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")


def demo(images: Path, queries: list[str] | None, collection: str | None, limit: int, picture: Path) -> None:
    """Ingest a folder, search it with some pictures, print the hits, and draw them."""
    times: dict[str, float] = {}

    def timed(stage: str, work: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        start = time.perf_counter()
        result = work(*args, **kwargs)
        times[stage] = time.perf_counter() - start
        return result

    images = images.expanduser().resolve()
    collection = collection or collection_for(images)
    names, sources, categories = zip(*_queries(queries), strict=True)  # first: a wrong name is told before the work

    client = timed("connect", connect)
    extractor = timed("load the network", load_extractor)
    print(timed("ingest", ingest, client, images, extractor=extractor, collection=collection))

    found = timed("search", search_many, client, sources, extractor=extractor, collection=collection, limit=limit)
    for name, category, hits in zip(names, categories, found, strict=True):
        print(f"\n{name}" + (f"  ({category})" if category else ""))
        for hit in hits:
            print(f"  {mark(hit, category).sign or ' '} {hit}")

    print()
    pairs = list(zip(sources, categories, strict=True))
    figure = timed("draw", show_many, pairs, found, root=images, blocks=min(4, len(pairs)))
    quick: dict[str, Any] = {"pil_kwargs": {"compress_level": 1}}  # a sixth larger in a third of the time
    figure.savefig(picture, **(quick if picture.suffix.lower() == ".png" else {}))
    print(f"Drawn: {picture}")
    print("Took: " + ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in times.items()))


def _queries(given: list[str] | None) -> list[tuple[str, Source, str]]:
    """Return name, picture and, where it is known, category of what to search with.

    Pictures are held as paths, and opened when they are needed: in full they would be 36 MB each. Those that were
    fetched are held as small copies, so that they are fetched once.
    """
    if given:
        return [(shortened(name), _checked(name), "") for name in given]
    folder = load_folder(DATA, part="queries")
    return [(path, folder.root / path, str(folder.metadata[path]["category"])) for path in folder.paths]


def _checked(name: str) -> Source:
    picture = open_image(name, SMALL)
    if not name.strip().lower().startswith(("http:", "https:", "data:")):
        return name
    picture.thumbnail((2 * SMALL, 2 * SMALL))
    return picture


if __name__ == "__main__":
    main()
