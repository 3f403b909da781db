"""Where vectors can be stored and searched: the kit's client, and what it is compared with."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from helpers.connect import local_client
from helpers.memora import Memora
from helpers.memora.models import Collection, ElementTypeParams, Field, Index, IndexConfig, Schema

NPROBE = 16  # Memora's default, and so everybody's here
BATCH = 1_000  # rows a call


class Store(Protocol):
    """A place for vectors of unit length, with whole numbers for ids."""

    def insert(self, ids: np.ndarray, vectors: np.ndarray) -> None:
        """Store a batch of rows: ids (n,), vectors (n, dim)."""

    def build(self, nlist: int | None) -> None:
        """Make IVF_FLAT with so many lists; None: nothing, each search looks at every row."""

    def search(self, vector: np.ndarray) -> list[int]:
        """Return the ids of the ten nearest."""


class NumpyStore:
    """Brute force: one product of the matrix with the query."""

    def __init__(self, home: Path, dim: int) -> None:
        self.ids, self.vectors = [], []

    def insert(self, ids: np.ndarray, vectors: np.ndarray) -> None:
        self.ids.append(ids)
        self.vectors.append(vectors)

    def build(self, nlist: int | None) -> None:
        self.matrix, self.keys = np.concatenate(self.vectors), np.concatenate(self.ids)
        self.vectors.clear()

    def search(self, vector: np.ndarray) -> list[int]:
        similarity = self.matrix @ vector
        best = np.argpartition(-similarity, 10)[:10]
        return self.keys[best[np.argsort(-similarity[best])]].tolist()


class FaissStore:
    """FAISS, in memory: IndexFlatIP or IndexIVFFlat."""

    def __init__(self, home: Path, dim: int) -> None:
        import faiss

        self.faiss, self.dim, self.vectors = faiss, dim, []
        self.index = faiss.IndexFlatIP(dim)

    def insert(self, ids: np.ndarray, vectors: np.ndarray) -> None:
        self.vectors.append(vectors)

    def build(self, nlist: int | None) -> None:
        vectors = np.concatenate(self.vectors)
        self.vectors.clear()
        if nlist:
            self.index = self.faiss.IndexIVFFlat(self.index, self.dim, nlist, self.faiss.METRIC_INNER_PRODUCT)
            self.index.nprobe = NPROBE
            self.index.train(vectors)
        self.index.add(vectors)

    def search(self, vector: np.ndarray) -> list[int]:
        return self.index.search(vector[None], 10)[1][0].tolist()


class LanceStore:
    """LanceDB by itself, set up as the local Memora sets it up."""

    def __init__(self, home: Path, dim: int) -> None:
        from datetime import timedelta

        import lancedb
        import pyarrow as pa

        self.pa, self.dim, self.nlist = pa, dim, None
        vector = pa.field("vector", pa.list_(pa.float32(), dim), nullable=False)
        self.schema = pa.schema([pa.field("id", pa.int64(), nullable=False), vector])
        database = lancedb.connect(home, read_consistency_interval=timedelta(0))
        self.table = database.create_table("vectors", schema=self.schema)

    def insert(self, ids: np.ndarray, vectors: np.ndarray) -> None:
        column = self.pa.FixedSizeListArray.from_arrays(self.pa.array(vectors.ravel()), self.dim)
        self.table.add(self.pa.table([self.pa.array(ids), column], schema=self.schema))

    def build(self, nlist: int | None) -> None:
        from lancedb.index import IvfFlat

        self.table.optimize()
        self.nlist = nlist
        if nlist:
            self.table.create_index("vector", config=IvfFlat(distance_type="cosine", num_partitions=nlist))

    def search(self, vector: np.ndarray) -> list[int]:
        search = self.table.search(vector, vector_column_name="vector").distance_type("cosine").limit(10)
        search = search.nprobes(NPROBE) if self.nlist else search.bypass_vector_index()
        return search.select(["id", "_distance"]).to_arrow()["id"].to_pylist()


class MemoraStore:
    """The kit's client; the local Memora in this process, on LanceDB or on a Milvus server."""

    def __init__(self, home: Path, dim: int, engine: str | None = None, client: Memora | None = None) -> None:
        self.client = client or local_client(home, engine)
        key = Field("id", "Int64", is_primary=True)
        vector = Field("vector", "FloatVector", element_type_params=ElementTypeParams(dim=dim))
        if self.client.collections.has(collection_name="bench")["data"]["has"]:  # a Milvus server outlives a run
            self.client.collections.drop(collection_name="bench")
        self.client.collections.create(collection=Collection("bench", schema=Schema([key, vector])))

    def insert(self, ids: np.ndarray, vectors: np.ndarray) -> None:
        rows = [{"id": key, "vector": vector} for key, vector in zip(ids.tolist(), vectors, strict=True)]
        self.client.vectors.insert(collection_name="bench", data=rows)

    def build(self, nlist: int | None) -> None:
        config = IndexConfig("IVF_FLAT", nlist=nlist) if nlist else IndexConfig("FLAT")
        index = Index(metric_type="COSINE", field_name="vector", index_name="by_vector", params=config)
        self.client.indexes.create(collection_name="bench", index_params=[index])
        self.client.collections.load(collection_name="bench")

    def search(self, vector: np.ndarray) -> list[int]:
        found = self.client.vectors.search(collection_name="bench", data=vector, anns_field="vector", limit=10)
        return [hit["id"] for hit in found["data"]]


class MilvusStore:
    """pymilvus' MilvusClient, as its tutorials use it: on Milvus Lite (a file) or on a server (a URL)."""

    def __init__(self, home: Path, dim: int, engine: str | None = None) -> None:
        from pymilvus import DataType, MilvusClient

        self.client = MilvusClient(engine or str(home / "lite.db"))
        self.server = engine is not None
        if self.client.has_collection("raw_bench"):
            self.client.drop_collection("raw_bench")
        schema = self.client.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
        self.client.create_collection("raw_bench", schema=schema, consistency_level="Strong")

    def insert(self, ids: np.ndarray, vectors: np.ndarray) -> None:
        rows = [{"id": key, "vector": vector} for key, vector in zip(ids.tolist(), vectors, strict=True)]
        self.client.insert("raw_bench", rows)

    def build(self, nlist: int | None) -> None:
        if self.server:
            self.client.flush("raw_bench")
        params = self.client.prepare_index_params()
        kind = {"index_type": "IVF_FLAT", "params": {"nlist": nlist}} if nlist else {"index_type": "FLAT"}
        params.add_index("vector", metric_type="COSINE", **kind)
        self.client.create_index("raw_bench", params)
        self.client.load_collection("raw_bench")

    def search(self, vector: np.ndarray) -> list[int]:
        params = {"metric_type": "COSINE", "params": {"nprobe": NPROBE}}
        (found,) = self.client.search("raw_bench", [vector.tolist()], limit=10, search_params=params)
        return [hit["id"] for hit in found]


def stores(milvus: str | None) -> dict[str, tuple[str | None, Callable[..., Any]]]:
    """Return name to (package it needs, what makes it); with a URL those on a Milvus server too."""
    all_ = {
        "numpy": (None, NumpyStore),
        "FAISS": ("faiss-cpu", FaissStore),
        "LanceDB": (None, LanceStore),
        "Memora, embedded": (None, MemoraStore),
        "Milvus Lite": ("milvus-lite", MilvusStore),
    }
    if milvus:
        all_["Milvus server"] = ("pymilvus", MilvusStore)
        all_["Memora, on the Milvus server"] = ("pymilvus", MemoraStore)
    return all_
