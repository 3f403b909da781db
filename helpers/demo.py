"""The main job in one screen: `python -m helpers.demo`, or `make demo`."""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from helpers.connect import COLLECTION, ROOT, connect
from helpers.features import load_extractor
from helpers.images import DATA, ImageFolder, load_folder
from helpers.ingest import ingest
from helpers.plots import show_many
from helpers.search import search_many

T = TypeVar("T")


def main(arguments: list[str] | None = None) -> None:
    """Ingest a folder, search it with some pictures, print the hits, and draw them."""
    parser = argparse.ArgumentParser(prog="python -m helpers.demo", description=__doc__)
    parser.add_argument("--images", type=Path, default=DATA, help="a folder of pictures (default: the kit's own)")
    parser.add_argument("--queries", type=Path, nargs="*", help="pictures to search with (default: data/queries)")
    parser.add_argument("--collection", help=f"its name (default: {COLLECTION}; my_images for your own folder)")
    parser.add_argument("--limit", type=int, default=5, help="hits for each query (default: 5)")
    parser.add_argument("--picture", type=Path, default=ROOT / "demo.png", help="where to draw the hits")
    options = parser.parse_args(arguments)
    collection = options.collection or (COLLECTION if options.images == DATA else "my_images")

    times: dict[str, float] = {}

    def timed(stage: str, work: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        start = time.perf_counter()
        result = work(*args, **kwargs)
        times[stage] = time.perf_counter() - start
        return result

    client = timed("connect", connect)
    extractor = timed("load the network", load_extractor)
    report = timed("ingest", ingest, client, options.images, extractor=extractor, collection=collection)
    print(report)

    queries = _queries(options.queries)
    files = [queries.root / path for path in queries.paths]
    categories = [str(queries.metadata.get(path, {}).get("category", "")) for path in queries.paths]
    found = timed("search", search_many, client, files, extractor=extractor, collection=collection, limit=options.limit)
    for path, category, hits in zip(queries.paths, categories, found, strict=True):
        print(f"\n{path}" + (f"  ({category})" if category else ""))
        for hit in hits:
            mark = " " if not category or not hit.category else "✓" if hit.category == category else "✗"
            print(f"  {mark} {hit}")

    print()
    pairs = list(zip(files, categories, strict=True))
    figure = timed("draw", show_many, pairs, found, root=options.images.expanduser(), blocks=min(4, len(pairs)))
    figure.savefig(options.picture)
    print(f"Drawn: {options.picture}")
    print("Took: " + ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in times.items()))


def _queries(paths: list[Path] | None) -> ImageFolder:
    if paths:
        return ImageFolder(Path(), [str(path.expanduser()) for path in paths])
    return load_folder(DATA, part="queries")


if __name__ == "__main__":
    main()
