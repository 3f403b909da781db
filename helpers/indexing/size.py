"""How large a collection and its index become: calculated, for what is not here to be measured."""

from dataclasses import dataclass

FLOAT32, ROW_ID, LINK = 4, 8, 4  # bytes


@dataclass(frozen=True)
class Size:
    """How large a collection and its index are, in bytes.

    Parameters
    ----------
    vectors : int
        The vectors alone.
    links : int
        What the index adds beside the vectors: centers and row ids, or links.
    memory : int
        All of it in memory, once for each replica: a Milvus server, or an index of FAISS.
    disk : int
        Vectors and other fields once, and the index's own copy of the vectors where it has one.
    """

    vectors: int
    links: int
    memory: int
    disk: int

    def __str__(self) -> str:
        gb = {name: getattr(self, name) / 1e9 for name in ("vectors", "links", "memory", "disk")}
        return (
            f"vectors {gb['vectors']:.3f} GB, what the index adds {gb['links']:.3f} GB, "
            f"memory {gb['memory']:.3f} GB, disk {gb['disk']:.3f} GB"
        )


def size(
    count: int,
    dim: int,
    index_type: str = "FLAT",
    *,
    nlist: int | None = None,
    m: int = 16,
    replicas: int = 1,
    row_bytes: int = 0,
) -> Size:
    """Calculate how large a collection becomes; an estimate, without what an engine needs for itself.

    - A vector of float32 has 4 `dim` bytes.
    - IVF_FLAT: `nlist` centers, 4 `dim` bytes each, and for each vector its row id, 8 bytes (as FAISS stores inverted
      lists, https://github.com/facebookresearch/faiss/wiki/Faiss-indexes).
    - HNSW: a row id as well, and room for 2 `m` links of 4 bytes in layer 0; a vector lies in 1 / (`m` - 1) layers
      above that on average, with room for `m` links in each (Malkov and Yashunin, TPAMI 2020, sections 4.1 and 4.2.3,
      https://arxiv.org/abs/1603.09320).
    - A replica is one more copy in memory, not in storage (https://milvus.io/docs/replica.md).
    - FLAT has no copy of the vectors beside the rows; IVF_FLAT and HNSW have, and so need them twice on disk
      (measured here with the embedded engine, `tests/indexing/test_size.py`).

    Parameters
    ----------
    count, dim : int
        How many vectors, and how many numbers each has.
    index_type : {"FLAT", "IVF_FLAT", "HNSW"}
        As in an IndexConfig.
    nlist : int, optional
        IVF_FLAT: by default 4 sqrt(count).
    m : int
        HNSW: at least 2.
    replicas : int
        How many copies are kept in memory.
    row_bytes : int
        What the other fields of a row take.

    Raises
    ------
    ValueError
        A number is too small, or the index is another one.
    """
    given = [("count", count, 1), ("dim", dim, 1), ("nlist", nlist, 1), ("m", m, 2), ("replicas", replicas, 1)]
    for name, value, least in [*given, ("row_bytes", row_bytes, 0)]:
        if value is not None and value < least:
            raise ValueError(f"{name} is {value}; at least {least} is needed")
    vectors, rows = FLOAT32 * count * dim, row_bytes * count
    if index_type == "FLAT":
        return Size(vectors, 0, replicas * (vectors + rows), vectors + rows)
    if index_type == "IVF_FLAT":
        links = ROW_ID * count + FLOAT32 * dim * (nlist or round(4 * count**0.5))
    elif index_type == "HNSW":
        links = ROW_ID * count + round(LINK * count * (2 * m + m / (m - 1)))
    else:
        raise ValueError(f"the index is {index_type!r}; allowed: FLAT, IVF_FLAT, HNSW")
    return Size(vectors, links, replicas * (vectors + rows + links), 2 * vectors + rows + links)
