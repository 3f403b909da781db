"""Checks of lesson 3: rows, keys, filters."""

from helpers.check.answers import NotYet, exercise
from helpers.images import load_folder
from helpers.memora import Memora, MemoraError


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
