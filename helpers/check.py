"""Checks of the exercises: each prints "Right", or what to look at next, and never the solution."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from helpers.connect import local_client
from helpers.explore.session import SearchSession
from helpers.images import load_folder
from helpers.memora import Memora, MemoraError
from helpers.memora.models import Collection, Schema
from helpers.search import Hit


def museum_schema(schema: Schema | None) -> None:
    """Notebook 01: a schema for a museum's 20,000 photos."""
    if not isinstance(schema, Schema):
        return _not_yet("museum should be a Schema([...]) of Fields, as above.")
    fields = {field.field_name: field for field in schema.fields}
    primary = [field for field in schema.fields if field.is_primary]
    vectors = [field for field in schema.fields if field.data_type == "FloatVector"]
    if len(primary) != 1:
        return _not_yet(f"{len(primary)} fields are primary; exactly one tells the rows apart.")
    if primary[0].data_type not in ("Int64", "VarChar"):
        return _not_yet(f"a primary key is Int64 or VarChar, not {primary[0].data_type}.")
    if not vectors:
        return _not_yet("where do the vectors go? One field must be a FloatVector.")
    params = vectors[0].element_type_params
    if params is None or params.dim != 384:
        return _not_yet(f"the vector field has dim {params.dim if params else None}; the model gives 384 numbers.")
    for name, kinds in {"artist": ["VarChar"], "year": ["Int16", "Int32", "Int64"]}.items():
        if name not in fields:
            return _not_yet(f"the museum wants to filter on {name!r}: there is no such field.")
        if fields[name].data_type not in kinds:
            return _not_yet(f"{name!r} is a {fields[name].data_type}; what suits it is {' or '.join(kinds)}.")
    with tempfile.TemporaryDirectory() as home:
        try:
            local_client(Path(home)).collections.create(collection=Collection("museum", schema=schema))
        except MemoraError as error:
            return _not_yet(f"Memora does not take it: {error.message}.")
    print("Right: one key, a vector of 384 numbers, and two fields to filter on.")


def mean_pooling(pool: Callable[[Any], Any]) -> None:
    """Notebook 02: the mean of the patch tokens as one unit vector."""
    import torch

    hidden = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 257, 384)).astype(np.float32))
    answer = pool(hidden)
    if answer is None:
        return _not_yet("the function returns nothing: it still ends in `...`, or misses its `return`.")
    try:
        vector = np.asarray(answer, dtype=np.float32)
    except (TypeError, ValueError):
        return _not_yet(f"the function returns {type(answer).__name__}; an array or tensor of numbers is wanted.")
    patches = hidden[0, 1:].mean(0).numpy()
    everything = hidden[0].mean(0).numpy()
    if vector.shape == (1, 384):
        return _not_yet("the shape is (1, 384), one level too deep: take number [0], the one picture.")
    if vector.shape != (384,):
        return _not_yet(f"the shape is {vector.shape}; one picture is (384,). Average over the tokens, axis 1.")
    if _same_direction(vector, everything) and not _same_direction(vector, patches):
        return _not_yet("the CLS token, number 0, is in your mean; the patch tokens begin at 1.")
    if _same_direction(vector, hidden[0, 0].numpy()):
        return _not_yet("that is the CLS token itself; this time the patch tokens are wanted, those from 1 on.")
    if not _same_direction(vector, patches):
        return _not_yet("the direction is another than that of the patch tokens' mean.")
    if abs(np.linalg.norm(vector) - 1) > 1e-4:
        return _not_yet(f"the direction is right, the length is {np.linalg.norm(vector):.3f}: divide by it.")
    print("Right: the patch tokens' mean, of length 1.")


def filter_finds(client: Memora, collection: str, text: str) -> None:
    """Notebook 03: red things that do not lie on grass, seen from more than 20 degrees above."""
    if not text:
        return _not_yet('write the condition between the quotes, such as category == "mug".')
    try:
        rows = client.vectors.query(collection_name=collection, filter=text, output_fields=["image_path"])["data"]
    except MemoraError as error:
        return _not_yet(f"Memora does not understand it: {error.message}")
    found = {row["image_path"] for row in rows}
    metadata = load_folder().metadata
    wanted = {
        path
        for path, about in metadata.items()
        if about["color"] == "red" and about["background"] != "grass" and about["elevation"] > 20
    }
    for path in sorted(found - wanted)[:1]:
        about = metadata[path]
        return _not_yet(
            f"{len(found - wanted)} pictures too many, such as {path}: {about['color']}, on {about['background']}, "
            f"elevation {about['elevation']}."
        )
    for path in sorted(wanted - found)[:1]:
        return _not_yet(f"{len(wanted - found)} pictures are missing, such as {path}. Is a condition too narrow?")
    print(f"Right: {len(found)} pictures.")


def precision(function: Callable[[list[Hit], str], float]) -> None:
    """Notebook 04: precision@k."""
    kinds = ["mug", "vase", "mug", "mug", "bucket"]
    hits = [Hit(n, 1 - n / 10, n, f"{kind}.jpg", {"category": kind}) for n, kind in enumerate(kinds, start=1)]
    answer = function(hits, "mug")
    if answer is None:
        return _not_yet("the function returns nothing: it still ends in `...`, or misses its `return`.")
    if not isinstance(answer, int | float | np.number):
        return _not_yet(f"the function returns {type(answer).__name__}; one number is wanted.")
    if answer == 3:
        return _not_yet("3 is how many are right; precision is what fraction of the hits is right.")
    if not np.isclose(answer, 0.6):
        return _not_yet(f"of mug, vase, mug, mug, bucket three in five are mugs: 0.6, not {answer}.")
    if not np.isclose(function(hits[:2], "mug"), 0.5):
        return _not_yet("it must work for any number of hits: divide by how many there are.")
    if not np.isclose(function(hits, "sailboat"), 0.0):
        return _not_yet("for a category that is not among the hits it must be 0.")
    try:
        none = function([], "mug")
    except ZeroDivisionError:
        return _not_yet("without any hit it divides by zero; then it should be 0.")
    if none != 0:
        return _not_yet(f"without any hit it should be 0, not {none}.")
    print("Right: the fraction of the hits that has the query's category.")


def red_but_no_mug(session: SearchSession) -> None:
    """Notebook 05: the session stands at mug_2.jpg, and shows red things of which none is a mug."""
    if session.query is None or session.query.name != "mug_2.jpg":
        return _not_yet("the session searches by another picture: ask for DATA / 'queries' / 'mug_2.jpg'.")
    if not session.hits:
        return _not_yet(f"there is no hit. The session says: {session.message}")
    if wrong := [hit for hit in session.hits if hit.metadata.get("color") != "red"]:
        return _not_yet(f"{wrong[0].path} is {wrong[0].metadata.get('color')}; allow only one color.")
    if any(hit.category == "mug" for hit in session.hits):
        return _not_yet("a mug is among the hits: allow every category in session.choices['category'] but this one.")
    if "mug" in session.settings.allowed.get("category", ()) or not session.settings.allowed.get("category"):
        return _not_yet("no mug is shown by luck only: with more results there would be one.")
    if len(session.settings.allowed["category"]) < len(session.choices["category"]) - 1:
        return _not_yet("you left out more than the mugs.")
    print(f"Right: the red thing most like it that is no mug is a {session.hits[0].category}.")


def average_precision(function: Callable[[list[bool], int], float]) -> None:
    """Notebook 06: average precision of one ranking."""
    try:
        answer = function([True, False, True, False, False], 3)
    except ZeroDivisionError:
        return _not_yet("it divides by zero: the first hit's rank is 1 (enumerate can start there).")
    if answer is None:
        return _not_yet("the function returns nothing: it still ends in `...`, or misses its `return`.")
    if not isinstance(answer, int | float | np.number):
        return _not_yet(f"the function returns {type(answer).__name__}; one number is wanted.")
    mistakes = {
        5 / 6: "you divide by the relevant images that were found; the one that was not found must count: by total.",
        5 / 3: "the sum is right; divide it by total.",
        1 / 3: "you divide by the number of hits; divide by total, the relevant images there are.",
        2 / 5: "that is precision at 5; you want the precision at the rank of each relevant hit, and their mean.",
        2 / 3: "that is recall at 5; you want the precision at the rank of each relevant hit, and their mean.",
        1 / 9: "a relevant hit counts in its own precision: count it first, then divide by the rank.",
    }
    for wrong, hint in mistakes.items():
        if np.isclose(answer, wrong):
            return _not_yet(hint)
    if not np.isclose(answer, 5 / 9):
        return _not_yet(f"right hits at ranks 1 and 3, three in all: (1/1 + 2/3) / 3 = 0.56, not {answer:.2f}.")
    try:
        others = [function([False, False], 2), function([], 2), function([True, True], 2), function([False, True], 1)]
    except (ZeroDivisionError, IndexError, TypeError) as error:
        return _not_yet(f"where nothing is found it should be 0; yours stops with {type(error).__name__}.")
    if not np.allclose(others[:2], 0):
        return _not_yet(f"where nothing is found it should be 0, not {max(others[:2])}.")
    if not np.allclose(others[2:], [1, 0.5]):
        return _not_yet("two right hits of two are 1, and one right hit at rank 2 is 1/2: check the ranks.")
    print("Right: each relevant hit's precision, divided by all relevant images.")


def smallest_nprobe(function: Callable[[Callable[[int], float], int, float], int]) -> None:
    """Notebook 07: the smallest nprobe whose recall reaches a target."""
    found = [0.41, 0.62, 0.80, 0.80, 0.93, 0.95, 0.99, 1.0]
    asked: list[int] = []

    class NotAskedWell(Exception):
        """What stops the function; not an exception that its own code may raise."""

    def recall_at(nprobe: int) -> float:
        asked.append(nprobe)
        if not isinstance(nprobe, int | np.integer) or not 1 <= nprobe <= len(found):
            raise NotAskedWell(f"it asks for the recall at nprobe {nprobe!r}; there are lists 1 to {len(found)}.")
        if len(asked) > 100:
            raise NotAskedWell(f"it asks again and again, now at nprobe {nprobe}: does each step leave less to try?")
        return found[nprobe - 1]

    for target, right in ((0.9, 5), (0.8, 3), (0.95, 6), (0.3, 1), (1.0, 8)):
        asked.clear()
        try:
            answer = function(recall_at, len(found), target)
        except NotAskedWell as error:
            return _not_yet(str(error))
        if answer is None and asked:
            return _not_yet(f"for the target {target} it returns nothing; did it try all lists, up to nlist?")
        if answer is None:
            return _not_yet("the function returns nothing: it still ends in `...`, or misses its `return`.")
        if not isinstance(answer, int | np.integer) or isinstance(answer, bool):
            return _not_yet(f"the function returns {answer!r}; an nprobe, a whole number, is wanted.")
        if answer > right and found[right - 1] == target:
            return _not_yet(
                f"for the target {target} it gives {answer}; {right} reaches it exactly, and that is enough."
            )
        if answer > right:
            return _not_yet(f"for the target {target} it gives {answer}; a smaller one reaches it too.")
        if answer < 1:
            return _not_yet(f"for the target {target} it gives {answer}; the smallest nprobe there is, is 1.")
        if answer < right:
            return _not_yet(f"for the target {target} it gives {answer}; the recall there is {found[answer - 1]}.")
    print("Right: the smallest nprobe that reaches the target.")


def _not_yet(hint: str) -> None:
    print(f"Not yet: {hint}")


def _same_direction(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(a @ b / (np.linalg.norm(a) * np.linalg.norm(b) + 1e-12) > 0.9999)
