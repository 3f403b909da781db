"""What a Lance table needs now and then: indexes built, files merged, old versions removed."""

import logging
import re
import time
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import lancedb
import numpy as np
from lancedb.index import HnswFlat, IvfFlat

from local_memora.contract.schema import IndexSpec
from local_memora.engines import Collection
from local_memora.engines.lance import beside
from local_memora.engines.lance.catalogue import Catalogue
from local_memora.engines.lance.search import DISTANCE

AUTO_BUILD_ROWS = 1_000  # after a write: below that, looking at every row is as fast as an index
TIDY_EVERY = 50  # versions; each write makes one, and hundreds of small files make every search slow:
MANY = 150  # so many are merged, fewer only if they hold a quarter of the largest file's rows: all is written anew then
LOOK_EVERY = 10  # versions: so often old ones are looked at,
OLD_BYTES = 8 << 20  # and removed if they take more room than this, and than the rows themselves
KEEP_OLD = timedelta(seconds=5)  # after a write: longer than most readers in other processes need a version
KEEP_NONE = timedelta(milliseconds=1)  # a reader whose version is gone reads again (Service.read); LanceDB warns of 0
log = logging.getLogger(__name__)
_merged_at: dict[str, float] = {}  # where a table lies: when this process merged it; what was merged stays for KEEP_OLD


def after_write(table: lancedb.table.Table, collection: Collection, catalogue: Catalogue) -> None:
    """Merge files and build indexes where it is time; a failure here does not undo the write."""
    try:
        version = table.version
        merge = (version % TIDY_EVERY == 0 and _new_are_many(table)) or (
            version % LOOK_EVERY == 0 and not _just_merged(table) and _old_are_large(table)
        )
        if merge:
            _merge_files(table, KEEP_OLD)
        for index in collection.indexes:
            _build_if_due(table, collection, index, catalogue, at_least=1 if merge else AUTO_BUILD_ROWS)
    except Exception:
        log.exception("tidying c%d failed; a later write, or loading the collection, tries again", collection.id)


def make_ready(table: lancedb.table.Table, collection: Collection, catalogue: Catalogue) -> None:
    """Merge files and remove old versions, if there are any, then build every index that can be built."""
    stats = cast(dict[str, Any], table.stats())
    if stats["fragment_stats"]["num_small_fragments"] > 1 or _old_are_large(table):
        _merge_files(table, KEEP_NONE)
    for index in collection.indexes:
        _build_if_due(table, collection, index, catalogue, at_least=1)


def drop_orphans(table: lancedb.table.Table, collection: Collection) -> None:
    """Drop the indexes that the catalogue does not have: what a broken-off call has left would be searched."""
    defined = {(index.index_name, index.field_name) for index in collection.indexes}
    for built in table.list_indices():
        if (built.name, built.columns[0]) not in defined:
            table.drop_index(built.name)


def indexed_rows(table: lancedb.table.Table, index: IndexSpec) -> int:
    """Return how many rows are in a built index; 0 where it is not built."""
    stats = table.index_stats(index.index_name)
    return stats.num_indexed_rows if stats else 0


def _merge_files(table: lancedb.table.Table, keep: timedelta) -> None:
    """Make few files of many, and remove old versions. Indexes are dropped first, for what is due to be built next.

    optimize() would merge them too, into a form that is searched three times as slowly: with LanceDB 0.40 and
    100,000 rows 18 ms instead of 5. It takes as long as to build them anew.
    """
    for built in table.list_indices():
        table.drop_index(built.name)
    table.optimize(cleanup_older_than=keep)
    _merged_at[cast(Any, table).uri] = time.monotonic()


def _new_are_many(table: lancedb.table.Table) -> bool:
    stats = cast(dict[str, Any], table.stats())
    files, largest = stats["fragment_stats"], stats["fragment_stats"]["lengths"]["max"]
    large = max(1, files["num_fragments"] - files["num_small_fragments"])
    return files["num_fragments"] - large >= MANY or 4 * (stats["num_rows"] - large * largest) >= largest


def _just_merged(table: lancedb.table.Table) -> bool:
    """Return whether files that were merged are still kept: to merge again would only add to them."""
    return time.monotonic() - _merged_at.get(cast(Any, table).uri, -np.inf) < 2 * KEEP_OLD.total_seconds()


def _old_are_large(table: lancedb.table.Table) -> bool:
    live: int = cast(dict[str, Any], table.stats())["total_bytes"]
    return beside.size(Path(cast(Any, table).uri)) - live > max(live, OLD_BYTES)


def _build_if_due(
    table: lancedb.table.Table, collection: Collection, index: IndexSpec, catalogue: Catalogue, *, at_least: int
) -> None:
    """Build what waits for rows: when there are enough, and again when the rows have doubled since.

    Vectors of which too few differ can't be divided into the lists asked for. Then the index goes on waiting, and says
    why; after writes it is tried again only when the rows have doubled.
    """
    params = index.params
    if params.index_type == "FLAT":
        return  # to look at every row needs no preparation
    total, indexed = table.count_rows(), indexed_rows(table, index)
    if total < (params.nlist or 1) or total - indexed < max(at_least, indexed if at_least > 1 else 1):
        return
    failed_at, _ = catalogue.failure(collection, index)
    if at_least > 1 and total < 2 * failed_at:
        return
    try:
        table.create_index(index.field_name, config=_config(index), name=index.index_name, replace=True)
    except RuntimeError as error:
        groups = re.search(r"could only form (\d+) non-empty clusters", str(error))
        if not groups:
            raise
        why = f"too few of the {total:,} vectors differ: they fill {groups[1]} lists, not {params.nlist}"
        advice = "Searches are exact until more differ; a smaller nlist would do now"
        catalogue.set_failure(collection, index, total, f"{why}. {advice}.")
    else:
        if failed_at:
            catalogue.set_failure(collection, index, 0, "")


def _config(index: IndexSpec) -> IvfFlat | HnswFlat:
    params, distance = index.params, DISTANCE[index.metric_type]
    if params.index_type == "IVF_FLAT":
        return IvfFlat(distance_type=distance, num_partitions=params.nlist)
    assert params.m and params.ef_construction  # the contract has filled them in
    return HnswFlat(distance_type=distance, num_partitions=1, m=params.m, ef_construction=params.ef_construction)
