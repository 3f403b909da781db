"""Pictures of queries, hits and similarities: what they show, and the line that says the same in words."""

import io
import itertools
import re
import warnings
from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image, ImageColor

from helpers.images import DATA, ImageError
from helpers.plots import (
    RIGHT,
    THUMB,
    UNKNOWN,
    WRONG,
    mark,
    show_hits,
    show_images,
    show_many,
    show_similarities,
    summary,
)
from helpers.search import Hit
from helpers.settings import ROOT

MUG = DATA / "images" / "mug" / "mug_01.jpg"
HITS = [
    Hit(1, 0.91, 11, "images/mug/mug_02.jpg", {"category": "mug"}),
    Hit(2, 0.88, 12, "images/teapot/teapot_01.jpg", {"category": "teapot"}),
    Hit(3, 0.8, 13, "images/mug/mug_03.jpg", {"category": "mug"}),
]
PLAIN = [Hit(1, 0.91, 11, "images/mug/mug_02.jpg"), Hit(2, 0.5, 12, "images/teapot/teapot_01.jpg")]


@pytest.fixture(autouse=True)
def nothing_stays_open() -> Iterator[None]:
    """A figure left open in pyplot is shown a second time by the notebook, and fills the memory."""
    yield
    assert plt.get_fignums() == []


def drawn(figure) -> bytes:
    """Draw a figure as a notebook does; warnings about what can't be drawn are errors."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(buffer, format="png")
    return buffer.getvalue()


def shown_in(axis) -> np.ndarray:
    return np.asarray(axis.images[0].get_array())


# In words


def test_the_line_says_how_many_hits_are_right_and_what_they_are():
    assert summary(HITS, "mug") == "mug: 2 of 3 hits are right: mug 0.91, teapot 0.88, mug 0.80"
    assert summary(HITS) == "3 hits: mug 0.91, teapot 0.88, mug 0.80"


def test_the_line_counts_no_hit_as_wrong_whose_kind_nobody_knows():
    told = "2 hits: images/mug/mug_02.jpg 0.91, images/teapot/teapot_01.jpg 0.50"
    assert summary(PLAIN) == summary(PLAIN, "mug") == told


def test_the_line_says_so_when_nothing_was_found():
    assert summary([]) == summary([], "mug") == "No picture was found."


# Right and wrong


def test_a_hit_is_right_or_wrong_only_where_both_kinds_are_known():
    assert [mark(hit, "mug") for hit in HITS] == [RIGHT, WRONG, RIGHT]
    assert mark(HITS[0], "") == mark(HITS[0], None) == mark(PLAIN[0], "mug") == UNKNOWN


def test_right_and_wrong_look_the_same_in_every_room():
    """Colors and signs have one home: a second one would drift, and a learner would see two kinds of right."""
    for path in (ROOT / "helpers").rglob("*.py"):
        if path.name != "plots.py":
            assert not re.search("#[0-9a-fA-F]{6}|✓|✗", path.read_text(encoding="utf-8")), path
    assert not re.search("#1a7f37|#cf222e", (ROOT / "helpers" / "explore" / "panel.css").read_text(encoding="utf-8"))


# Query and hits


def test_every_hit_has_its_own_picture_beside_the_query(capsys):
    figure = show_hits(MUG, HITS, category="mug")
    assert len(figure.axes) == 4
    assert capsys.readouterr().out == summary(HITS, "mug") + "\n"
    pictures = [shown_in(axis) for axis in figure.axes]
    for picture, path in zip(pictures, ["images/mug/mug_01.jpg", *(hit.path for hit in HITS)], strict=True):
        with Image.open(DATA / path) as image:
            expected = np.asarray(image.resize((160, 160)), int)
        assert np.abs(picture.astype(int) - expected).mean() < 8
    assert drawn(figure).startswith(b"\x89PNG")


def test_right_and_wrong_are_told_apart_by_a_sign_and_not_by_color_alone():
    figure = show_hits(MUG, HITS, category="mug")
    titles = [axis.title for axis in figure.axes]
    assert [title.get_text() for title in titles] == ["query\nmug", "0.910 ✓\nmug", "0.880 ✗\nteapot", "0.800 ✓\nmug"]
    colors = [to_hex(title.get_color()) for title in titles[1:]]
    assert colors[0] == colors[2] != colors[1]


def test_without_known_kinds_there_is_no_mark_but_the_path():
    titles = [axis.get_title() for axis in show_hits(MUG, PLAIN).axes]
    assert titles == ["query\n", "0.910 \nmug_02.jpg", "0.500 \nteapot_01.jpg"]
    for category, hits in ((None, HITS), ("mug", PLAIN)):
        titles = [axis.get_title() for axis in show_hits(MUG, hits, category=category).axes]
        assert not any(sign in title for title in titles for sign in "✓✗")


LONG = "a folder with a long name/another one/IMG_20240101_123456_HDR_edited_again.jpg"


def test_names_are_cut_at_their_end_and_never_lie_on_their_neighbours(tmp_path):
    """Of a path the name counts, and of a name its beginning."""
    names = [LONG, LONG.upper(), "W" * 80 + ".jpg", "i" * 200, "mug.jpg"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 9)).save(tmp_path / name, "PNG")
    hits = [Hit(rank, 0.9, rank, name) for rank, name in enumerate(names, start=1)]
    figures = [
        show_hits(MUG, hits, root=tmp_path, category="W" * 80),
        show_images([(MUG, f"{name}\n{name}") for name in names]),
        show_many([(MUG, name) for name in names], [hits[:1]] * 5, root=tmp_path, blocks=2),
    ]
    _, first, _, _, narrow, short = (axis.get_title().split("\n")[1] for axis in figures[0].axes)
    assert first.startswith("IMG_20240101")
    assert re.fullmatch("i{30,}…", narrow)
    assert short == "mug.jpg"
    for figure in figures:
        drawn(figure)
        texts = [axis.title for axis in figure.axes] if len(figure.axes) > 1 else figure.axes[0].texts
        boxes = [text.get_window_extent() for text in texts if text.get_text()]
        assert len(boxes) >= 5
        assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
        assert any(text.get_text().endswith("…") for text in texts)


def test_a_category_that_is_cut_in_the_picture_is_still_compared_whole():
    hit = Hit(1, 0.9, 1, "images/mug/mug_02.jpg", {"category": "a very long name of a kind of thing"})
    texts = show_many([(MUG, hit.category)], [[hit]]).axes[0].texts
    assert texts[0].get_text().endswith("…")
    assert texts[1].get_text() == f"0.90 {RIGHT.sign}"


def test_no_hits_still_show_the_query(capsys):
    figure = show_hits(MUG, [], category="mug")
    assert len(figure.axes) == 1
    assert capsys.readouterr().out == "No picture was found.\n"
    drawn(figure)


@pytest.mark.parametrize("size", [(1, 400), (400, 1), (7, 5), (5000, 200)])
def test_pictures_of_any_shape_are_shown_whole_and_unstretched(size):
    figure = show_hits(Image.new("RGB", size, "black"), [])
    tile = shown_in(figure.axes[0])
    assert tile.shape == (160, 160, 3)
    height, width = (np.ptp(np.nonzero((tile < 128).any(axis=(1 - n, 2)))[0]) + 1 for n in (0, 1))
    scale = min(1, 160 / max(size))
    assert (width, height) == (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))


def test_the_query_may_be_anything_that_can_be_searched_with():
    with Image.open(MUG) as picture:
        loaded = picture.convert("RGB")
    for query in (str(MUG), MUG.read_bytes(), loaded, np.asarray(loaded)):
        assert len(show_hits(query, HITS[:1]).axes) == 2
    assert loaded.size == (320, 320)  # the caller's picture is left alone
    with pytest.raises(ImageError):
        show_hits(b"no picture", HITS)


def test_names_with_dollar_signs_are_names_not_formulas(tmp_path):
    name = r"$5 and \frac $6.png"
    Image.new("RGB", (9, 9)).save(tmp_path / name)
    hit = Hit(1, 0.5, 1, name, {"category": r"cost $\x$"})
    for figure in (
        show_hits(MUG, [hit, Hit(2, 0.4, 2, name)], category=r"$\query$", root=tmp_path),
        show_many([(MUG, r"$\query$")], [[hit]], root=tmp_path),
        show_images([(MUG, r"$\title$")]),
        show_similarities(np.eye(2, dtype=np.float32), [r"$\a$", "b"]),
    ):
        drawn(figure)


def test_pictures_are_opened_only_under_the_ingested_folder(tmp_path):
    root = tmp_path / "pictures"
    root.mkdir()
    for folder, color in ((root, "lime"), (tmp_path, "red")):
        Image.new("RGB", (160, 160), color).save(folder / "a.png")
    figure = show_hits(MUG, [Hit(1, 0.5, 1, "a.png")], root=root)
    assert (shown_in(figure.axes[1]) == (0, 255, 0)).all()
    bad = [Hit(1, 0.5, 1, "../a.png")]
    for draw in (lambda: show_hits(MUG, bad, root=root), lambda: show_many([(MUG, "")], [bad], root=root)):
        with pytest.raises(ValueError, match="leads out of"):
            draw()


def test_a_hit_whose_file_is_gone_does_not_hide_the_others(tmp_path, capsys):
    Image.new("RGB", (160, 160), "lime").save(tmp_path / "here.png")
    hits = [Hit(1, 0.9, 1, "gone.png"), Hit(2, 0.5, 2, "here.png")]
    figure = show_hits(MUG, hits, root=tmp_path)
    assert (shown_in(figure.axes[2]) == (0, 255, 0)).all()
    assert len(np.unique(shown_in(figure.axes[1]))) > 1  # says "no file"
    told = capsys.readouterr().out
    assert f"{tmp_path / 'gone.png'}: can't be read" in told
    assert "root=" in told
    drawn(show_many([(MUG, "")], [hits], root=tmp_path))


# Many queries


def test_many_queries_are_one_picture_with_every_hit_marked(capsys):
    queries = [(MUG, "mug"), (DATA / "queries" / "apple_1.jpg", "apple"), (MUG, "teapot")]
    figure = show_many(queries, [HITS, HITS[:1], HITS[1:2]], blocks=2)
    assert capsys.readouterr().out == "3 queries; 3 of 5 hits have the query's category\n"
    axis = figure.axes[0]
    assert len(figure.axes) == 1
    tiles = [image.get_array().shape[1] // THUMB for image in axis.images]
    assert tiles == [1 + 3, 1 + 1, 1 + 1]  # each row: the query, and its hits
    for image, marks in zip(axis.images, ([RIGHT, WRONG, RIGHT], [WRONG], [RIGHT]), strict=True):  # a frame around each
        starts = range(THUMB + THUMB // 10, image.get_array().shape[1], THUMB)
        assert [tuple(image.get_array()[80, start]) for start in starts] == [ImageColor.getrgb(m.color) for m in marks]
    assert [text.get_text() for text in axis.texts] == [
        "mug", "0.91 ✓", "0.88 ✗", "0.80 ✓", "apple", "0.91 ✗", "teapot", "0.88 ✓",
    ]  # fmt: skip
    places = {tuple(image.get_extent()) for image in axis.images}
    assert len(places) == 3  # none lies on another
    left, right, bottom, top = (*axis.get_xlim(), *axis.get_ylim())
    assert all(left <= x0 < x1 <= right and bottom <= y0 < y1 <= top for x0, x1, y0, y1 in places)
    drawn(figure)


def test_many_queries_of_unknown_kind_are_counted_not_judged(capsys):
    show_many([(MUG, ""), (MUG, "mug")], [HITS, PLAIN])
    assert capsys.readouterr().out == "2 queries; 5 hits\n"


def test_many_queries_without_any_hit_still_draw(capsys):
    drawn(show_many([(MUG, "mug"), (MUG, "")], [[], []]))
    assert capsys.readouterr().out == "2 queries; 0 hits\n"


# Others


def test_a_grid_shows_each_picture_under_its_title(capsys):
    titles = [f"title {n // 2}" for n in range(9)]  # two pictures may have the same
    figure = show_images([(MUG, title) for title in titles], columns=4)
    used = [axis for axis in figure.axes if axis.images]
    assert [axis.get_title() for axis in used] == titles
    assert capsys.readouterr().out == "9 pictures: " + ", ".join(titles) + "\n"
    drawn(figure)


def test_the_heat_map_shows_every_pair_and_says_how_far_groups_stand_apart(capsys):
    vectors = np.array([[1, 0], [1, 0], [0.6, 0.8], [0, 1]], np.float32)
    figure = show_similarities(vectors, ["mug", "mug", "apple", "apple"])
    axis = figure.axes[0]
    assert np.allclose(axis.images[0].get_array(), vectors @ vectors.T)
    assert [label.get_text() for label in axis.get_xticklabels()] == ["mug", "apple"]
    assert list(axis.get_xticks()) == [0.5, 2.5]
    # within: 1 and 0.8; between: 0.6, 0, 0.6, 0
    told = "4 pictures: similarity 0.90 on average within a group, 0.30 between groups\n"
    assert capsys.readouterr().out == told
    drawn(figure)


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (["a", "b"], "2 pictures: similarity 0.00 between groups\n"),
        (["a", "a"], "2 pictures: similarity 0.00 on average within a group\n"),
        (["a"], "1 pictures: similarity needs two of them\n"),
    ],
    ids=["one of each", "one group", "one picture"],
)
def test_a_heat_map_of_too_few_pictures_says_no_nan(labels, told, capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn(show_similarities(np.eye(2, dtype=np.float32)[: len(labels)], labels))
    assert capsys.readouterr().out == told


def test_the_text_of_each_figure_fits_in_one_line(capsys):
    for draw in (
        lambda: show_hits(MUG, HITS, category="mug"),
        lambda: show_many([(MUG, "mug")], [HITS]),
        lambda: show_images([(MUG, "a\nb"), (MUG, "c")]),
        lambda: show_similarities(np.eye(3, dtype=np.float32), ["a", "a", "b"]),
    ):
        draw()
        assert capsys.readouterr().out.count("\n") == 1


def test_the_font_has_the_signs_so_that_no_empty_box_stands_for_right():
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns of missing glyphs
        for sign in "✓✗":
            figure = plt.figure()
            figure.text(0.5, 0.5, sign)
            figure.savefig(io.BytesIO(), format="png")
            plt.close(figure)
