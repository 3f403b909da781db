"""A folder in, rows stored, a report out. The one place that knows the fields of a picture's row.

A row is one picture: `id` from the file's content, `image_path` relative to the folder, `vector`, `extractor`, and the
folder's metadata columns.
"""

import hashlib
import itertools
import os
import sys
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helpers.connect import COLLECTION
from helpers.features import FeatureExtractor
from helpers.images import DATA, ImageError, ImageFolder, load_folder
from helpers.memora import AlreadyExistsError, InvalidRequestError, Memora
from helpers.memora.http import REQUEST_BYTES, requests_of
from helpers.memora.models import Collection, ElementTypeParams, Field, Index, IndexConfig, Schema

FIELDS = ("id", "image_path", "vector", "extractor")  # of every picture; all other fields are metadata
MAX_PATH = 256  # bytes of image_path
MAX_TEXT = 256  # bytes of a metadata column
MEMORA_TYPES = {str: "VarChar", int: "Int64", float: "Double"}


@dataclass
class IngestReport:
    """What an ingest did.

    Parameters
    ----------
    collection : str
        The collection's name.
    added, already_there, updated, replaced, removed : int
        Numbers of rows: new; unchanged; with new metadata; deleted because their files now hold other pictures, which
        are among the added; deleted because their files are gone.
    moved : list of (old path, new path)
        Files that have a new path; their vectors were kept.
    missing : list of str
        Paths of rows whose files are gone; `remove_missing=True` deletes these rows.
    duplicates : list of (path, path of the identical file)
        Files whose content is in the folder more than once; one row stands for all of them.
    refused : list of (path, reason)
        Files that can't be used.
    left_out : str
        What else is in the folder and was not listed as a picture; empty where there is nothing else.
    """

    collection: str
    added: int = 0
    already_there: int = 0
    updated: int = 0
    replaced: int = 0
    removed: int = 0
    moved: list[tuple[str, str]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    duplicates: list[tuple[str, str]] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    left_out: str = ""

    def __str__(self) -> str:
        counts = {
            "added": self.added,
            "already there": self.already_there,
            "moved": len(self.moved),
            "updated": self.updated,
            "replaced": self.replaced,
            "removed": self.removed,
            "missing": len(self.missing),
            "identical to another": len(self.duplicates),
            "refused": len(self.refused),
        }
        always = ("added", "already there", "refused")
        lines = [f"{self.collection}: " + ", ".join(f"{n} {what}" for what, n in counts.items() if n or what in always)]
        lines += [f"  refused {path}: {reason}" for path, reason in self.refused]
        lines += [f"  {path} is identical to {same}" for path, same in self.duplicates]
        lines += [f"  {old} is now {new}" for old, new in self.moved]
        lines += [f"  left out: {self.left_out}"] if self.left_out else []
        return "\n".join(lines)


def content_id(path: Path) -> int:
    """Return 53 bits of the SHA-256 of a file: the same picture has the same id everywhere.

    JavaScript keeps integers of up to 53 bits exactly. Among a million pictures the chance that any two share an id is
    about 1 in 18,000 (n^2 / 2^54).
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
    return int.from_bytes(digest[:8], "big") >> 11


def image_collection(name: str, dim: int, columns: dict[str, type]) -> Collection:
    """Describe a collection of pictures with vectors of `dim` numbers, as notebook 01 does step by step.

    `columns` has the type of each metadata column: str, int or float.

    Raises
    ------
    InvalidRequestError
        A column has the name of a field that every picture has.
    """
    if taken := columns.keys() & {*FIELDS, "distance"}:
        raise InvalidRequestError(
            f"metadata.csv has a column {taken.pop()!r}, a name that the kit itself uses: rename the column."
        )
    text = ElementTypeParams(max_length=MAX_TEXT)
    fields = [
        Field("id", "Int64", is_primary=True),
        Field("image_path", "VarChar", element_type_params=ElementTypeParams(max_length=MAX_PATH)),
        Field("vector", "FloatVector", element_type_params=ElementTypeParams(dim=dim)),
        Field("extractor", "VarChar", element_type_params=text),
    ]
    for column, kind in columns.items():
        fields.append(Field(column, MEMORA_TYPES[kind], element_type_params=text if kind is str else None))
    exact = Index("COSINE", "vector", "vector_index", IndexConfig("FLAT"))
    return Collection(name, schema=Schema(fields), indexes=[exact])


def collection_for(folder: Path) -> str:
    """Return the name of a folder's collection, one for each folder: stored paths are relative to it."""
    return COLLECTION if folder == DATA else f"my_images_{zlib.crc32(os.fsencode(folder)):08x}"


def ensure_collection(client: Memora, collection: Collection) -> None:
    """Create a collection if it does not exist; else raise InvalidRequestError if its fields are different."""
    name = collection.collection_name
    if not client.collections.has(collection_name=name)["data"]["has"]:
        try:
            client.collections.create(collection=collection)
            print(f"Created the collection {name!r}")
            return
        except AlreadyExistsError:  # another notebook has created it a moment ago
            pass
    fields = client.collections.describe(collection_name=name)["data"]["fields"]
    wanted = collection.schema.fields if collection.schema else []
    there = next((int(param["value"]) for one in fields for param in one["params"] if param["key"] == "dim"), None)
    here = next(
        (one.element_type_params.dim for one in wanted if one.element_type_params and one.data_type == "FloatVector"),
        None,
    )
    if there != here:
        raise InvalidRequestError(
            f"The collection {name!r} stores vectors of {there} numbers; this extractor gives {here}. Load the "
            f"extractor that made its vectors, use another collection name, or start over (README, 'Starting over')."
        )
    stored, ours = {f["name"]: f["type"] for f in fields}, {f.field_name: f.data_type for f in wanted}
    differ = []
    for column in stored | ours:
        is_there, is_here = stored.get(column, "none"), ours.get(column, "none")
        if is_there != is_here and (is_there, is_here) != ("Double", "Int64"):
            differ.append(f"{column} ({is_there} there, {is_here} here)")
    if differ:
        raise InvalidRequestError(
            f"The collection {name!r} has other fields than this folder's pictures: {', '.join(differ)}. A folder's "
            "fields come from its metadata.csv. Use another collection name for this folder."
        )


def ingest(
    client: Memora,
    folder: ImageFolder | str | os.PathLike = DATA,
    *,
    extractor: FeatureExtractor,
    collection: str = COLLECTION,
    batch_size: int = 64,
    remove_missing: bool = False,
    tell: Callable[[int, int], None] | None = None,
) -> IngestReport:
    """Bring a collection in line with a folder of pictures.

    A second run adds nothing. After a crash, or a Ctrl-C, the next run goes on where the first one stopped.

    Parameters
    ----------
    client : Memora
        Where the collection is.
    folder : ImageFolder or path
        The pictures; a path is listed by `load_folder`.
    extractor : FeatureExtractor
        Makes the vectors; a collection holds the vectors of one extractor.
    collection : str
        The collection's name; it is created if it does not exist.
    batch_size : int
        How many pictures are embedded and stored at once, at least 1: a crash costs no more than these.
    remove_missing : bool
        Whether to delete rows whose files are gone.
    tell : callable, optional
        Is told after each batch how many new pictures are done, and of how many; what it raises ends the ingest.

    Raises
    ------
    ValueError
        `batch_size` is less than 1.
    InvalidRequestError
        The collection does not fit the extractor or the folder.
    FileNotFoundError
        There is no picture in the folder.
    """
    from tqdm import tqdm  # with its command line: only where it is used

    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; it must be at least 1.")
    if not isinstance(folder, ImageFolder):
        folder = load_folder(folder)
    if not folder.paths:
        others = folder.left_out_summary()
        raise FileNotFoundError(
            f"There is no picture in {folder.root}: JPEG, PNG, WebP, AVIF, BMP, TIFF or GIF"
            f"{f', only {others}' if others else ''}."
        )
    ensure_collection(client, image_collection(collection, extractor.dim, folder.columns))
    report = IngestReport(collection, left_out=folder.left_out_summary())
    stored = stored_rows(client, collection, ["image_path", "extractor", *folder.columns])
    _refuse_other_extractor(stored, extractor, collection)
    files = _by_content(folder, stored, report)

    new, changed = [], []
    for key, (path, *_) in files.items():
        row = {"id": key, "image_path": path, "extractor": extractor.name, **folder.metadata.get(path, {})}
        if key not in stored:
            new.append(row)
        elif row.items() <= stored[key].items():
            report.already_there += 1
        else:
            changed.append(row)
    _update(client, extractor.dim, changed, stored, report)
    with tqdm(total=len(new), unit=" images", desc="Ingest", file=sys.stdout, disable=not new) as bar:
        for start in range(0, len(new), batch_size):
            batch = new[start : start + batch_size]
            rows = _embedded(folder, batch, extractor, files, report)
            _upsert(client, collection, rows)  # a repeated upsert adds nothing, a repeated insert fails
            report.added += len(rows)
            bar.update(len(batch))
            if tell:
                tell(start + len(batch), len(new))
    report.duplicates = [(copy, path) for path, *copies in files.values() for copy in copies]
    report.refused.sort()
    _remove(client, folder, files, stored, report, remove_missing)
    client.collections.load(collection_name=collection)  # builds indexes that waited for rows
    return report


def describe_pictures(client: Memora, collection: str) -> dict[str, Any]:
    """Return what `client.collections.describe` says of a collection of pictures.

    Raises
    ------
    InvalidRequestError
        A field that every picture has is missing.
    """
    told = client.collections.describe(collection_name=collection)["data"]
    names = [one["name"] for one in told["fields"]]
    # `extractor` may be missing in a collection that was made by hand.
    if missing := [name for name in ("id", "image_path", "vector") if name not in names]:
        raise InvalidRequestError(
            f"The collection {collection!r} holds no pictures: it has no field {missing[0]}. Ingest a folder first, "
            "into a collection of its own."
        )
    return told


def stored_rows(
    client: Memora, collection: str, fields: Sequence[str], most: int | None = None
) -> dict[int, dict[str, Any]]:
    """Return all rows of a collection of pictures, by id.

    Memora limits the rows of one answer. Ids are hashes, evenly spread between 0 and 2^53: equal slices of that range
    hold about equally many rows.

    Parameters
    ----------
    fields : sequence of str
        Which fields to fetch beside the id; `*` is all of them, the vector included.
    most : int, optional
        A collection with more rows is a ValueError.
    """
    count = client.collections.get_stats(collection_name=collection)["data"]["rowCount"]
    if most is not None and count > most:
        raise ValueError(f"The collection {collection!r} has {count:,} rows; at most {most:,} can be read here.")
    slices = 1 + count // 8_000
    bounds = [i * 2**53 // slices for i in range(slices + 1)]
    rows: dict[int, dict[str, Any]] = {}
    for low, high in itertools.pairwise(bounds):
        part = client.vectors.query(
            collection_name=collection, filter=f"id >= {low} and id < {high}", output_fields=["id", *fields]
        )
        rows |= {row["id"]: row for row in part["data"]}
    return rows


def _refuse_other_extractor(stored: dict[int, dict[str, Any]], extractor: FeatureExtractor, collection: str) -> None:
    others = {row["extractor"] for row in stored.values()} - {extractor.name}
    if others:
        raise InvalidRequestError(
            f"The collection {collection!r} holds vectors made by {', '.join(sorted(others))}; vectors of "
            f"{extractor.name} can't be compared with them. Use that extractor, or another collection name."
        )


def _by_content(folder: ImageFolder, stored: dict[int, dict[str, Any]], report: IngestReport) -> dict[int, list[str]]:
    """Return the paths of each content, the path that is stored already first; refuse what can't be stored."""
    files: dict[int, list[str]] = {}
    for path in folder.paths:
        if problem := _unstorable(path, folder.metadata.get(path, {})):
            report.refused.append((path, problem))
            continue
        try:
            files.setdefault(content_id(folder.root / path), []).append(path)
        except OSError as error:
            report.refused.append((path, f"can't be read ({error.strerror})"))
    for key in files.keys() & stored.keys():
        files[key].sort(key=lambda path: path != stored[key]["image_path"])  # so that the row keeps its path
    return files


def _unstorable(path: str, metadata: dict[str, Any]) -> str:
    """Return why a picture's fields can't be stored; an empty string where they can."""
    try:
        if len(path.encode()) > MAX_PATH:
            return f"its path has more than {MAX_PATH} bytes: use shorter folder names"
    except UnicodeEncodeError:
        return "its name is not in UTF-8: rename it"
    for column, value in metadata.items():
        if isinstance(value, str) and len(value.encode()) > MAX_TEXT:
            return f"its {column} in metadata.csv has more than {MAX_TEXT} bytes: make it shorter"
    return ""


def _embedded(
    folder: ImageFolder,
    batch: list[dict[str, Any]],
    extractor: FeatureExtractor,
    files: dict[int, list[str]],
    report: IngestReport,
) -> list[dict[str, Any]]:
    """Return the rows with their vectors; refuse a content that is not a picture under each of its paths."""
    try:
        vectors = extractor.embed(folder.root / row["image_path"] for row in batch)
        return [{**row, "vector": vector} for row, vector in zip(batch, vectors, strict=True)]
    except ImageError as error:
        if len(batch) > 1:  # find out which content it is, and keep the others
            return [row for one in batch for row in _embedded(folder, [one], extractor, files, report)]
        report.refused += [(path, error.reason) for path in files.pop(batch[0]["id"])]
        return []


def _upsert(client: Memora, collection: str, rows: list[dict[str, Any]]) -> None:
    for part in requests_of(rows):
        client.vectors.upsert(collection_name=collection, data=part)


def _update(
    client: Memora, dim: int, changed: list[dict[str, Any]], stored: dict[int, dict[str, Any]], report: IngestReport
) -> None:
    """Store new paths and metadata of known pictures, with the vectors they have."""
    step = max(1, min(1_000, REQUEST_BYTES // (16 * dim)))  # rows: a number takes at most 16 bytes in an answer
    for start in range(0, len(changed), step):
        rows = {row["id"]: row for row in changed[start : start + step]}
        known = client.vectors.get(collection_name=report.collection, id=list(rows), output_fields=["vector"])["data"]
        _upsert(client, report.collection, [{**rows[row["id"]], "vector": row["vector"]} for row in known])
    for row in changed:
        old = stored[row["id"]]["image_path"]
        if old == row["image_path"]:
            report.updated += 1
        else:
            report.moved.append((old, row["image_path"]))
    report.moved.sort()


def _remove(
    client: Memora,
    folder: ImageFolder,
    files: dict[int, list[str]],
    stored: dict[int, dict[str, Any]],
    report: IngestReport,
    remove_missing: bool,
) -> None:
    """Delete rows whose paths now lead to other pictures and, if asked, rows whose files are gone."""
    unread = {path for path, _ in report.refused}  # their rows stay: these files are damaged, not gone
    listed = set(folder.paths)
    gone = {key: row["image_path"] for key, row in stored.items() if key not in files}
    replaced = [key for key, path in gone.items() if path in listed - unread]
    missing = [key for key, path in gone.items() if path not in listed]
    report.replaced = len(replaced)
    if remove_missing:
        report.removed = len(missing)
    else:
        report.missing = sorted(gone[key] for key in missing)
    delete = sorted(replaced + missing if remove_missing else replaced)
    for start in range(0, len(delete), 1_000):
        client.vectors.delete(collection_name=report.collection, filter=f"id in {delete[start : start + 1_000]}")
