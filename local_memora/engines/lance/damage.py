"""Why a store can't be used, as far as its files show, and what helps."""

import errno
import os
import re
import tempfile
from pathlib import Path
from typing import Any, cast

import lancedb
import numpy as np

from local_memora.contract.errors import ApiError, unwritable
from local_memora.engines import Collection
from local_memora.engines.lance import beside
from local_memora.engines.lance.search import DISTANCE

FILES = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EIO}  # a file is not as it was
REMEDY = "put the data folder back from a copy, or drop the collection and ingest it again; other collections go on"


def found_in(db: lancedb.DBConnection, folder: Path, collection: Collection) -> str:
    """Read all that is stored of a collection, and return what is wrong with it; an empty text means nothing is."""
    if not beside.holds_versions(beside.table(folder, collection.id)):
        return f"the rows of the collection {collection.name!r} are missing: {REMEDY}"
    try:
        rows = db.open_table(f"c{collection.id}")
        for _ in rows.search().to_batches():
            pass
    except Exception as error:
        return "" if _passes(error) else f"the rows of the collection {collection.name!r} are damaged: {REMEDY}"
    for index in collection.indexes:
        try:
            ones = np.ones(collection.schema.by_name[index.field_name].dim, np.float32)
            search = cast(Any, rows.search(ones, vector_column_name=index.field_name)).limit(1)
            search.distance_type(DISTANCE[index.metric_type]).nprobes(index.params.nlist or 1).to_arrow()
        except Exception as error:
            if not _passes(error):
                what = f"the index {index.index_name!r} of the collection {collection.name!r} is damaged"
                return f"{what}: drop it and create it again; no row is lost"
    return ""


def _passes(error: Exception) -> bool:
    """Return whether an error says nothing of the files: no rights, no room, too many of them open."""
    code = re.search(r"\(os error (\d+)\)", str(error))
    return unwritable(error) is not None or (code is not None and int(code[1]) not in FILES)


def refuse_without_links(folder: Path) -> None:
    """Refuse a file system that has no hard links: LanceDB makes a version appear by one, all of it or nothing.

    Raises
    ------
    ApiError
        507 where there are none.
    OSError
        The folder can't be written in, for whatever reason.
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix=".links-") as inside:
        file = Path(inside, "file")
        file.touch()
        try:
            file.with_name("link").hardlink_to(file)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            why = f"the file system of the data folder has no hard links ({os.strerror(error.errno or 0)})"
            advice = "set MEMORA_HOME, or --engine, to a folder on this machine's own disk"
            raise ApiError(507, f"{why}, which the embedded engine needs: {advice}") from None
