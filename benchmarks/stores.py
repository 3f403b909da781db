"""Where vectors can be stored and searched: the kit's client, and what it is compared with."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from benchmarks.measure import installed
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
        """Make IVF_FLAT with so many lists; None: none, or the only index that the store has."""

    def search(self, vector: np.ndarray) -> list[int]:
        """Return the ids of the ten nearest."""


class NumpyStore:
    """Brute force: one product of the matrix with the query."""

    def __init__(self, home: Path, dim: int) -> None:
        self.ids: list[np.ndarray] = []
        self.vectors: list[np.ndarray] = []

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

        self.faiss, self.dim = faiss, dim
        self.vectors: list[np.ndarray] = []
        self.index: Any = faiss.IndexFlatIP(dim)

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


class UsearchStore:
    """USearch, in memory: HNSW with its defaults."""

    def __init__(self, home: Path, dim: int) -> None:
        from usearch.index import Index

        self.index = Index(ndim=dim, metric="cos", dtype="f32")

    def insert(self, ids: np.ndarray, vectors: np.ndarray) -> None:
        self.index.add(ids, vectors)

    def build(self, nlist: int | None) -> None:
        pass  # the graph grows with each row

    def search(self, vector: np.ndarray) -> list[int]:
        return self.index.search(vector, 10).keys.tolist()


class ChromaStore:
    """Chroma, embedded, in a folder: HNSW with its defaults, as its guide begins."""

    def __init__(self, home: Path, dim: int) -> None:
        import chromadb
        from chromadb.config import Settings

        client = chromadb.PersistentClient(str(home), settings=Settings(anonymized_telemetry=False))
        self.collection = client.create_collection("bench", configuration={"hnsw": {"space": "cosine"}})

    def insert(self, ids: np.ndarray, vectors: np.ndarray) -> None:
        self.collection.add(ids=[str(key) for key in ids], embeddings=vectors)

    def build(self, nlist: int | None) -> None:
        pass  # the graph grows with each row

    def search(self, vector: np.ndarray) -> list[int]:
        return [int(key) for key in self.collection.query(vector[None], n_results=10, include=[])["ids"][0]]


class DuckStore:
    """DuckDB, in a file, by itself: it looks at every row (its HNSW is an extension, fetched from the network)."""

    def __init__(self, home: Path, dim: int) -> None:
        import duckdb

        self.dim, self.database = dim, duckdb.connect(str(home / "vectors.duckdb"))
        self.database.execute(f"create table vectors (id bigint, v float[{dim}])")

    def insert(self, ids: np.ndarray, vectors: np.ndarray) -> None:
        import pyarrow as pa

        column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), self.dim)
        rows = pa.table({"id": ids, "v": column})  # DuckDB reads Arrow tables where they lie
        self.database.from_arrow(rows).insert_into("vectors")

    def build(self, nlist: int | None) -> None:
        self.database.execute("checkpoint")

    def search(self, vector: np.ndarray) -> list[int]:
        asked = f"select id from vectors order by array_cosine_distance(v, ?::float[{self.dim}]) limit 10"
        return [row[0] for row in self.database.execute(asked, [vector.tolist()]).fetchall()]


class LanceStore:
    """LanceDB by itself, set up as the local Memora sets it up."""

    def __init__(self, home: Path, dim: int) -> None:
        from datetime import timedelta

        import lancedb
        import pyarrow as pa

        self.pa, self.dim = pa, dim
        self.nlist: int | None = None
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
        search: Any = self.table.search(vector, vector_column_name="vector")
        search = search.distance_type("cosine").limit(10)
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


@dataclass(frozen=True)
class Contender:
    """A store, the package it needs, and the indexes it has: "exact", "IVF_FLAT", or "HNSW" as it comes."""

    store: Callable[..., Any]
    package: str | None = None
    indexes: tuple[str, ...] = ("exact", "IVF_FLAT")


def stores(milvus: str | None) -> dict[str, Contender]:
    """Return the contenders that are installed; with a URL those on a Milvus server too."""
    known = {
        "numpy": Contender(NumpyStore, indexes=("exact",)),
        "FAISS": Contender(FaissStore, "faiss-cpu"),
        "USearch": Contender(UsearchStore, "usearch", ("HNSW",)),
        "Chroma": Contender(ChromaStore, "chromadb", ("HNSW",)),
        "DuckDB": Contender(DuckStore, "duckdb", ("exact",)),
        "LanceDB": Contender(LanceStore),
        "Memora, embedded": Contender(MemoraStore),
        "Milvus Lite": Contender(MilvusStore, "milvus-lite"),
    }
    if milvus:
        known["Milvus server"] = Contender(MilvusStore, "pymilvus")
        known["Memora, on the Milvus server"] = Contender(MemoraStore, "pymilvus")
    return {name: made for name, made in known.items() if made.package is None or installed(made.package)}
