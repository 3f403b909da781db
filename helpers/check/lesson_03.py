"""Checks of lesson 3: keys, filters, batches."""

import contextlib
import io
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from helpers.check.answers import NotYet, call, exercise, whole
from helpers.connect import local_client
from helpers.features import FeatureExtractor
from helpers.images import load_folder, open_image
from helpers.ingest import ingest
from helpers.memora import Memora, MemoraError

HINTS = {
    "added": "which of the five files has content that is not stored yet?",
    "moved": "whose content is known, under another path?",
    "missing": "which row's content is in no file any more, and was not replaced?",
}


@exercise
def second_ingest(extractor: FeatureExtractor, **predicted: Any) -> str:
    """What an ingest reports after a folder has changed, predicted as added, moved and missing; here it is done."""
    if predicted.keys() != HINTS.keys():
        raise NotYet(f"give these three numbers: {', '.join(HINTS)}.")
    numbers = {name: whole(value) for name, value in predicted.items()}
    kit = load_folder()
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home,
        local_client(Path(home, "memora")) as client,
        contextlib.redirect_stdout(io.StringIO()),
    ):
        folder = Path(home, "pictures")
        folder.mkdir()
        for number, path in enumerate(kit.paths[:5]):
            shutil.copy(kit.root / path, folder / f"{number}.jpg")
        ingest(client, folder, extractor=extractor, collection="five")
        (folder / "0.jpg").rename(folder / "renamed.jpg")
        shutil.copy(folder / "1.jpg", folder / "copied.jpg")
        open_image(folder / "2.jpg").rotate(180).save(folder / "2.jpg")
        (folder / "3.jpg").unlink()
        report = ingest(client, folder, extractor=extractor, collection="five")
    happened = {"added": report.added, "moved": len(report.moved), "missing": len(report.missing)}
    for name, number in happened.items():
        if numbers[name] != number:
            raise NotYet(f"{name} is not {numbers[name]}: {HINTS[name]}")
    return "the edited picture is new, the renamed one is known, and the deleted one is reported as missing."


@exercise
def filter_finds(client: Memora, collection: str, condition: str) -> str:
    """A filter for red things that do not lie on grass, seen from more than 20 degrees above."""
    if not isinstance(condition, str):
        raise NotYet(f"a filter is text in quotes; this is {condition!r}.")
    if not condition.strip():
        raise NotYet('write the condition between the quotes, such as category == "mug".')
    try:
        rows = client.vectors.query(collection_name=collection, filter=condition, output_fields=["image_path"])["data"]
    except MemoraError as error:
        raise NotYet(f"Memora does not understand it: {error.message}") from None
    found = {row["image_path"] for row in rows}
    metadata = load_folder().metadata
    wanted = {
        path
        for path, about in metadata.items()
        if about["color"] == "red" and about["background"] != "grass" and float(about["elevation"]) > 20
    }
    for path in sorted(found - wanted):
        about = metadata.get(path, {"color": "not", "background": "our data", "elevation": "unknown"})
        raise NotYet(
            f"{len(found - wanted)} pictures too many, such as {path}: {about['color']}, on {about['background']}, "
            f"elevation {about['elevation']}."
        )
    for path in sorted(wanted - found):
        raise NotYet(f"{len(wanted - found)} pictures are missing, such as {path}. Is a condition too narrow?")
    return f"{len(found)} pictures."


@exercise
def batches(function: Callable[[list[Any], int], list[list[Any]]]) -> str:
    """Rows in lists of at most so many, every row once."""
    for count, size in ((10, 5), (10, 4), (3, 5), (5, 1), (0, 4)):
        rows = list(range(count))
        answer = call(function, rows.copy(), size)
        try:
            parts = [list(part) for part in answer]
        except TypeError:
            raise NotYet(f"a list of lists is wanted; this is a {type(answer).__name__} of other things.") from None
        told = f"for {count} rows and size {size}"
        flat = [row for part in parts for row in part]
        if [] in parts:
            raise NotYet(f"{told} there is an empty batch: a call without a row is refused.")
        if any(len(part) > size for part in parts):
            raise NotYet(f"{told} a batch has {max(map(len, parts))} rows.")
        if len(flat) < count:
            raise NotYet(f"{told} {count - len(flat)} rows are lost: is the last batch, which may be shorter, there?")
        if flat != rows:
            raise NotYet(f"{told} the rows come as {flat}: each once, in their order, is wanted.")
        if len(parts) != -(-count // size):
            raise NotYet(f"{told} there are {len(parts)} batches; {-(-count // size)} are enough.")
    return "every row once, in batches."
