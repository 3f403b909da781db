"""The map of a collection: for readers as a figure, for hands as a widget."""

import base64
import io

import nbformat
import numpy as np
import pytest
from PIL import Image

from helpers.connect import COLLECTION
from helpers.explore.browser import MapView
from helpers.explore.map import CollectionMap, colors_of, map_collection, map_panel, project, show_map
from helpers.memora import Memora
from helpers.plots import APART, GREY
from tests.explore.conftest import QUERY
from tests.facts import PICTURES

WIDGET = "application/vnd.jupyter.widget-view+json"


def test_the_map_keeps_neighbours_together_far_beyond_chance(kit, extractor):
    made = map_collection(kit, COLLECTION)
    assert made.places.shape == (PICTURES, 2)
    assert made.places.min() >= 0
    assert made.places.max() <= 1
    assert made.neighbours_share("category").share > 0.8  # by chance 0.03
    by_pca = map_collection(kit, COLLECTION, "PCA").neighbours_share("category")
    assert by_pca.share < made.neighbours_share("category").share


def test_the_query_lies_among_its_like(kit, extractor):
    made = map_collection(kit, COLLECTION)
    (vector,) = extractor.embed([QUERY])
    place = made.place(vector)
    assert made.place(made.vectors[7]) == pytest.approx(made.places[7]), "a picture of the collection lies at its place"
    mugs = np.array([meta["category"] == "mug" for meta in made.metadata])
    nearest = np.argsort(((made.places - place) ** 2).sum(1))[:5]
    assert mugs[nearest].sum() >= 3


def test_two_maps_of_the_same_collection_are_the_same(kit):
    vectors = map_collection(kit, COLLECTION, "PCA").vectors[:60]
    assert np.allclose(project(vectors), project(vectors))


@pytest.mark.parametrize("few", [0, 2])
def test_too_few_pictures_for_a_map_are_told(few):
    with pytest.raises(ValueError, match="at least 3"):
        project(np.ones((few, 4)))


def test_the_map_for_readers_says_in_words_what_it_shows(kit, capsys):
    made = map_collection(kit, COLLECTION, "PCA")
    figure = show_map(made, by="color")
    assert len(figure.axes[0].artists) == PICTURES
    assert capsys.readouterr().out.startswith(
        f"{PICTURES} pictures by PCA; of a picture's five nearest on the map are of its category"
    )


def test_the_printed_map_marks_the_query_and_names_its_colors(kit, mug, capsys):
    made = map_collection(kit, COLLECTION)
    figure = show_map(made, by="background", query=mug.vector)
    ring = figure.axes[0].lines[-1].get_xydata()[0]
    assert ring == pytest.approx(made.place(mug.vector))
    assert capsys.readouterr().out.splitlines()[1] == "The ring is the query: it lies among pictures of category mug."
    assert "wood" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_colors_are_their_own_and_eight_others_are_told_apart():
    colors = ["red", "teal", "white", "gold", "yellow"]
    assert colors_of([*colors, "copper"]) == {one: one for one in colors} | {"copper": GREY}
    values = [f"value {n}" for n in range(20) for _ in range(n)]  # the last ones are the most frequent
    colors = colors_of(values)
    frequent = [colors[f"value {n}"] for n in range(12, 20)]
    assert len(set(frequent)) == 8
    assert {colors[f"value {n}"] for n in range(1, 12)} == {GREY}
    fruit = colors_of(["apple", "banana", "lemon", "orange", "plum", *["melon"] * 2])
    assert set(fruit.values()) < set(APART), "the orange is a fruit here, beside the palette's own orange"


def test_a_field_that_only_follows_the_kind_is_not_above_its_matched_share():
    """Three kinds in three heaps; color goes with the kind, light with the place inside a heap."""
    rng = np.random.default_rng(0)
    centers = np.array([[0.1, 0.1], [0.9, 0.1], [0.5, 0.9]])
    inside = rng.normal(scale=0.05, size=(180, 2))
    kinds, left = np.repeat([0, 1, 2], 60), inside[:, 0] < 0
    metadata = [
        {"category": str(k), "color": "yellow" if k else "red", "light": "sun" if here else "shade"}
        for k, here in zip(kinds, left, strict=True)
    ]
    made = CollectionMap([*range(180)], [""] * 180, metadata, np.zeros((180, 2)), centers[kinds] + inside, "t-SNE")
    color, light = made.neighbours_share("color"), made.neighbours_share("light")
    assert color.share == color.matched == 1 > color.chance
    assert light.share > light.matched + 0.3
    assert made.neighbours_share("color", without=["0"]).chance == 1


def test_the_map_widget_searches_by_what_is_clicked_and_marks_the_query(mug):
    box = map_panel(mug, map_collection(mug.client, COLLECTION, "PCA"))
    view = next(child for child in box.children if isinstance(child, MapView))
    assert len(view.items) == len(view.pictures) == len(view.colors) == PICTURES
    assert len(view.query) == 2
    view.chosen = {"key": view.items[7]["key"], "n": 1}
    assert str(mug.hits[0].id) == view.items[7]["key"]


def test_a_group_s_facts_are_what_most_share_beside_the_whole(mug):
    made = map_collection(mug.client, COLLECTION, "PCA")
    apples = [key for key, meta in zip(made.ids, made.metadata, strict=True) if meta["category"] == "apple"]
    said = made.common_facts(apples)
    assert said.startswith(f"{len(apples)} of {PICTURES} pictures. category apple: 100% of them, 3% of all; ")
    assert made.common_facts([]) == ""
    bare = CollectionMap([1, 2], ["a", "b"], [{}, {}], np.zeros((2, 2)), np.zeros((2, 2)), "PCA")
    assert bare.common_facts([1]) == "1 of 2 pictures. Nothing else is known of them."
    view = next(child for child in map_panel(mug, made).children if isinstance(child, MapView))
    view.group = {"keys": [str(key) for key in apples], "n": 1}
    assert view.facts == said


def test_where_widgets_are_not_shown_the_map_is_a_picture_with_words(mug):
    """Such a page is a code host's: it has the outputs that were stored, and no kernel."""
    from nbconvert import HTMLExporter

    waiting = []
    assert set(map_panel(mug, start=waiting.append)._repr_mimebundle_()[0]) == {"text/plain", WIDGET}
    box = map_panel(mug, map_collection(mug.client, COLLECTION, "PCA"))
    data, about = box._repr_mimebundle_()
    assert set(data) == {"text/plain", WIDGET, "image/jpeg"}
    assert data["text/plain"].startswith(f"<Map of {PICTURES} pictures by PCA")
    assert min(Image.open(io.BytesIO(base64.b64decode(data["image/jpeg"]))).size) > 500
    assert about["image/jpeg"]["alt"].startswith(f"A map of {PICTURES} pictures by PCA")
    output = nbformat.v4.new_output("execute_result", data, execution_count=1, metadata=about)
    del output.data[WIDGET]  # as tests/execute_notebooks.py stores it
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("box", outputs=[output])])
    page = HTMLExporter().from_notebook_node(notebook)[0]
    assert data["image/jpeg"] in page


def test_on_a_page_the_map_is_made_when_a_browser_shows_it_and_not_before(mug):
    waiting = []
    box = map_panel(mug, start=waiting.append)
    view = next(child for child in box.children if isinstance(child, MapView))
    assert (view.items, waiting) == ([], [])
    view.shown = True
    waiting.pop()()
    assert len(view.items) == PICTURES
    assert len(view.query) == 2


def test_a_map_that_cannot_be_made_is_told_below_its_frame(mug, monkeypatch):
    box, client = map_panel(mug, start=lambda work: work()), mug.client
    monkeypatch.setattr(mug, "client", Memora("k", "p", "http://127.0.0.1:9"))
    view = next(child for child in box.children if isinstance(child, MapView))
    view.shown = True
    assert "could not be reached" in box.children[-1].value
    assert view.items == []
    monkeypatch.setattr(mug, "client", client)
    mug.search()
    assert len(view.items) == PICTURES, "it is made when Memora is back"
    assert "alarm clock" in box.children[-1].value
