from pathlib import Path

import numpy as np
import pytest

from helpers.connect import local_client
from helpers.indexing.measure import disk_bytes, spending
from helpers.indexing.size import Size, size
from helpers.memora.models import Collection, ElementTypeParams, Field, Index, IndexConfig, Schema

COUNT, DIM = 10_000, 96
CONFIGS = [
    IndexConfig("IVF_FLAT", nlist=100),
    IndexConfig("IVF_FLAT", nlist=400),
    IndexConfig("HNSW", m=8, ef_construction=40),
    IndexConfig("HNSW", m=24, ef_construction=40),
]


def test_the_embedded_engine_takes_the_disk_that_was_calculated(tmp_path: Path, rng: np.random.Generator):
    vectors = rng.normal(size=(COUNT, DIM)).astype(np.float32)
    params = ElementTypeParams(dim=DIM)
    schema = Schema([Field("id", "Int64", is_primary=True), Field("vector", "FloatVector", element_type_params=params)])
    rows = [{"id": n, "vector": v} for n, v in enumerate(vectors)]
    for number, config in enumerate(
        CONFIGS
    ):  # each in a folder of its own: files of a dropped index go some time later
        home = tmp_path / str(number)
        with local_client(home) as client:
            client.collections.create(collection=Collection("c", schema=schema))
            empty = disk_bytes(home)
            client.vectors.insert(collection_name="c", data=rows)
            stored = disk_bytes(home) - empty
            assert stored == pytest.approx(size(COUNT, DIM, row_bytes=8).disk, rel=0.05)
            with spending(home) as spent:
                index = Index("COSINE", "vector", "i", config)
                client.indexes.create(collection_name="c", index_params=[index])
            calculated = size(COUNT, DIM, config.index_type, nlist=config.nlist, m=config.m or 16, row_bytes=8)
            assert stored + spent.disk == pytest.approx(calculated.disk, rel=0.1), config
            assert spent.disk > calculated.vectors + 0.5 * calculated.links, config  # the links are there, too


def test_the_disk_calculated_for_dinov2_s_vectors_is_what_they_take(tmp_path: Path, rng: np.random.Generator):
    vectors = rng.normal(size=(2_000, 384)).astype(np.float32)
    params = ElementTypeParams(dim=384)
    schema = Schema([Field("id", "Int64", is_primary=True), Field("vector", "FloatVector", element_type_params=params)])
    stored = [{"id": n, "vector": v} for n, v in enumerate(vectors)]
    for config in (IndexConfig("FLAT"), IndexConfig("IVF_FLAT", nlist=45), IndexConfig("HNSW", m=16)):
        home = tmp_path / config.index_type
        with local_client(home) as client:
            client.collections.create(collection=Collection("c", schema=schema))
            with spending(home) as rows:
                client.vectors.insert(collection_name="c", data=stored)
            with spending(home) as spent:
                index = Index("COSINE", "vector", "i", config)
                client.indexes.create(collection_name="c", index_params=[index])
        calculated = size(2_000, 384, config.index_type, nlist=config.nlist, row_bytes=8)
        assert rows.disk + spent.disk == pytest.approx(calculated.disk, rel=0.05), config


def test_faiss_takes_the_memory_that_was_calculated(rng: np.random.Generator):
    faiss = pytest.importorskip("faiss", reason="faiss-cpu comes with the extra 'bench'")
    vectors = rng.normal(size=(COUNT, DIM)).astype(np.float32)
    lists = faiss.index_factory(DIM, "IVF100,Flat")
    lists.train(vectors)
    for config, index in [
        (IndexConfig("FLAT"), faiss.IndexFlatIP(DIM)),
        (IndexConfig("IVF_FLAT", nlist=100), lists),
        (IndexConfig("HNSW", m=16), faiss.IndexHNSWFlat(DIM, 16)),
    ]:
        index.add(vectors)
        told = len(faiss.serialize_index(index))
        calculated = size(COUNT, DIM, config.index_type, nlist=config.nlist, m=config.m or 16).memory
        assert told == pytest.approx(calculated, rel=0.02), config


def test_a_replica_is_a_copy_in_memory_and_none_on_disk():
    one, three = size(1_000, 10, "HNSW", row_bytes=50), size(1_000, 10, "HNSW", replicas=3, row_bytes=50)
    assert three.memory == 3 * one.memory
    assert three.disk == one.disk


def test_the_formulas_give_what_a_hand_calculates():
    assert size(5_000_000, 384).memory == 7_680_000_000
    lists = size(1_000_000, 384, "IVF_FLAT")
    assert lists.links == 8_000_000 + 4_000 * 384 * 4  # row ids, and 4 sqrt(n) centers
    assert lists.memory == 1_536_000_000 + lists.links
    assert lists.disk == 2 * 1_536_000_000 + lists.links
    assert size(1_000_000, 384, "IVF_FLAT", nlist=1_000).links == 8_000_000 + 1_000 * 384 * 4
    assert size(1_000, 10, row_bytes=50) == Size(vectors=40_000, links=0, memory=90_000, disk=90_000)
    assert size(1_000_000, 384, "HNSW", m=16).links == pytest.approx(1_000_000 * (8 + 32 * 4 + 16 / 15 * 4), abs=1)
    assert str(size(5_000_000, 384)).startswith("vectors 7.680 GB, what the index adds 0.000 GB, memory 7.680 GB")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"count": 0}, "count is 0"),
        ({"dim": -1}, "dim is -1"),
        ({"replicas": 0}, "replicas is 0"),
        ({"index_type": "IVF_FLAT", "nlist": 0}, "nlist is 0; at least 1 is needed"),
        ({"index_type": "IVF_FLAT", "nlist": -5}, "nlist is -5"),
        ({"row_bytes": -1}, "row_bytes is -1; at least 0 is needed"),
        ({"index_type": "HNSW", "m": 1}, "m is 1"),
        ({"index_type": "IVF"}, "allowed: FLAT, IVF_FLAT, HNSW"),
    ],
)
def test_a_size_that_can_t_be_calculated_is_refused_with_what_is_allowed(wrong, told):
    with pytest.raises(ValueError, match=told):
        size(**{"count": 10, "dim": 10, **wrong})
