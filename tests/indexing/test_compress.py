"""Vectors in fewer bytes: what each form keeps, alone, in Memora, and on the kit's pictures."""

import numpy as np
import pytest

from benchmarks.measure import isolated
from helpers.indexing import grown
from helpers.indexing.compress import Way, again, binary, nearest_rows, product_quantized, ways
from helpers.memora import InvalidRequestError, Memora
from helpers.memora.models import Collection, ElementTypeParams, Field, Index, IndexConfig, Schema
from helpers.nearest import rank, unit
from helpers.quality.metrics import average_precision, index_recall

DIM = 64


@pytest.fixture
def vectors(rng) -> np.ndarray:
    return unit(rng.normal(size=(400, DIM))).astype(np.float32)


def recall(way: Way, queries: np.ndarray, vectors: np.ndarray) -> float:
    exact = rank(queries, vectors)[:, :10].tolist()
    return float(index_recall(way.search(queries, 10).tolist(), exact).mean())


def test_a_bit_says_whether_a_number_is_above_the_middle(vectors) -> None:
    middle = np.median(vectors, axis=0)
    packed = binary(vectors, middle)
    assert packed.shape == (400, DIM // 8) and packed.dtype == np.uint8
    assert np.array_equal(np.unpackbits(packed, axis=1), vectors > middle)
    assert np.unpackbits(packed, axis=1).mean(0) == pytest.approx(0.5, abs=0.01)  # the median: half of them


def test_bits_of_wrong_shapes_are_refused(vectors) -> None:
    for wrong in ((vectors[:, :60], np.zeros(60)), (vectors, np.zeros(63)), (vectors[0], np.zeros(DIM))):
        with pytest.raises(ValueError, match="8 must divide dim"):
            binary(*wrong)


@pytest.mark.parametrize("k", [1, 10, 400])
def test_the_nearest_rows_are_those_that_an_exact_search_gives(vectors, rng, monkeypatch, k: int) -> None:
    monkeypatch.setattr("helpers.indexing.compress.BLOCK", 150)  # the last block is a part of one
    queries = unit(rng.normal(size=(5, DIM))).astype(np.float32)
    assert np.array_equal(nearest_rows(queries, vectors, k), rank(queries, vectors)[:, :k])
    rounded = vectors.astype(np.float16)
    assert np.array_equal(nearest_rows(queries, rounded, k), rank(queries, rounded.astype(np.float32), "IP")[:, :k])


def test_the_nearest_bits_are_those_that_differ_least(vectors, rng) -> None:
    bits, asked = binary(vectors, np.zeros(DIM)), binary(rng.normal(size=(5, DIM)), np.zeros(DIM))
    differ = (np.unpackbits(asked, axis=1)[:, None] != np.unpackbits(bits, axis=1)[None]).sum(2)
    assert np.array_equal(nearest_rows(asked, bits, 400), np.argsort(differ, axis=1, kind="stable"))
    some = nearest_rows(asked, bits, 20)
    assert np.array_equal(np.take_along_axis(differ, some, 1), np.sort(differ, axis=1)[:, :20])


def test_queries_that_do_not_fit_what_is_stored_are_refused(vectors) -> None:
    bits = binary(vectors, np.zeros(DIM))
    for queries, stored in ((bits, vectors), (vectors, bits), (vectors[:, :8], vectors), (vectors[0], vectors)):
        with pytest.raises(ValueError, match="differ"):
            nearest_rows(queries, stored, 1)
    for k in (0, 401):
        with pytest.raises(ValueError, match="from 1 to 400"):
            nearest_rows(vectors, vectors, k)


def test_the_second_step_sorts_the_candidates_and_no_others(vectors, rng) -> None:
    queries = unit(rng.normal(size=(6, DIM))).astype(np.float32)
    first = Way("backwards", 1, lambda asked, k: np.tile(np.arange(k)[::-1], (len(asked), 1)))
    found = again(first, vectors, 30).search(queries, 10)
    assert np.array_equal(found, rank(queries, vectors[:30])[:, :10])
    everything = again(first, vectors, 30).search(queries, 400)
    assert np.array_equal(everything[:, 30:], np.tile(np.arange(400)[::-1][30:], (6, 1)))
    assert recall(again(first, vectors, 1_000), queries, vectors) == 1  # all are candidates
    assert again(first, vectors, 30).name == "backwards, first 30 again"
    with pytest.raises(ValueError, match="at least 1"):
        again(first, vectors, 0)


def test_each_way_takes_the_bytes_it_says_and_finds_a_vector_itself(embedded) -> None:
    vectors, *_ = embedded
    sizes = {}
    for way in ways(vectors, vectors):
        sizes[way.name] = way.bytes
        assert (way.search(vectors[:50], 1)[:, 0] == np.arange(50)).all(), way.name
    dim = vectors.shape[1]
    wanted = {"float32": 4 * dim, "float16": 2 * dim, "one bit a number": dim // 8}
    assert sizes == wanted | {f"PCA to {n}": 4 * n for n in (256, 128, 64, 32)}


def test_bits_and_a_second_look_stay_within_0_02_map_of_the_full_vectors(embedded) -> None:
    """What issue 12 asks of lesson 9; bits alone lose more."""
    vectors, categories, asked, kinds = embedded

    def quality(way: Way) -> float:
        relevant = categories[way.search(asked, len(vectors))] == kinds[:, None]
        return float(average_precision(relevant, (categories == kinds[:, None]).sum(1)).mean())

    made = {way.name: way for way in ways(vectors, vectors)}
    full, bits = made["float32"], made["one bit a number"]
    twice = again(bits, vectors)
    assert abs(quality(full) - quality(twice)) < 0.02
    assert quality(bits) < quality(twice)
    assert recall(twice, asked, vectors) > 0.95 > recall(bits, asked, vectors)
    assert abs(quality(made["float16"]) - quality(full)) < 0.001
    assert quality(made["PCA to 64"]) > quality(full) - 0.01


def test_bits_are_stored_and_searched_in_memora_as_numpy_does(client: Memora, embedded) -> None:
    """End to end through the client: packed bytes as a numpy array or a list, several queries, a second look."""
    vectors, _, asked, _ = embedded
    middle = np.median(vectors, axis=0)
    bits, queries = binary(vectors, middle), binary(asked, middle)
    fields = [
        Field("id", "Int64", is_primary=True),
        Field("bits", "BinaryVector", element_type_params=ElementTypeParams(dim=vectors.shape[1])),
    ]
    index = Index("HAMMING", "bits", "by_bits", IndexConfig("FLAT"))
    client.collections.create(collection=Collection("bits", schema=Schema(fields), indexes=[index]))
    data = [{"id": i, "bits": row if i % 2 else row.tolist()} for i, row in enumerate(bits)]
    client.vectors.insert(collection_name="bits", data=data)
    stored = client.vectors.get(collection_name="bits", id=[0, 1], output_fields=["bits"])["data"]
    assert [row["bits"] for row in stored] == bits[:2].tolist()
    answers = client.vectors.search(collection_name="bits", data=queries, anns_field="bits", limit=100)["data"]
    differ = np.bitwise_count(queries[:, None] ^ bits[None]).sum(2)
    for hits, by_numpy in zip(answers, differ, strict=True):
        assert [hit["distance"] for hit in hits] == np.sort(by_numpy)[:100].tolist()
        assert [by_numpy[hit["id"]] for hit in hits] == [hit["distance"] for hit in hits]
    in_memora = Way("Memora", 160, lambda asked, k: np.array([[hit["id"] for hit in hits][:k] for hits in answers]))
    assert recall(again(in_memora, vectors), asked, vectors) > 0.95
    with pytest.raises(InvalidRequestError):
        client.vectors.search(collection_name="bits", data=asked[0], anns_field="bits", limit=1)  # floats


def test_codes_of_a_byte_a_part_find_most_of_the_exact_ten(embedded) -> None:
    pytest.importorskip("faiss")
    vectors, _, asked, _ = embedded
    way = product_quantized(vectors, grown(vectors, 1_000)[0])
    assert way.bytes == 64 and way.search(asked, 10).shape == (len(asked), 10)
    assert recall(way, asked, vectors) > 0.7
    assert recall(again(way, vectors), asked, vectors) > 0.95


def _codes() -> None:
    stored = unit(np.random.default_rng(1).normal(size=(20_000, 1_280)).astype(np.float32))
    product_quantized(stored, stored[:512])


def test_codes_for_many_vectors_leave_a_small_machine_its_memory():
    assert isolated(_codes)[1] < 1_000  # MB; 300 for the vectors, 100 for the libraries
