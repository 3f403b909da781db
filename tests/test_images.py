"""Files -> safe RGB pictures: what may lie in a folder, on the web or in a metadata.csv of anyone's."""

import csv
import io
import os
import struct
import subprocess
import sys
import threading
import warnings
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageFile

from helpers import images
from helpers.images import DATA, ImageError, ImageFolder, MetadataError, list_images, load_folder, open_image
from helpers.settings import ROOT

MUG = DATA / "images" / "mug" / "mug_01.jpg"
ORIENTATION = ExifTags.Base.Orientation


def encoded(image: Image.Image, form: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def saved(path: Path, size: tuple[int, int] = (8, 6), color: str = "red", **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path, **options)
    return path


def close_to(image: Image.Image, color: tuple[int, int, int], tolerance: int = 6) -> bool:
    assert image.mode == "RGB"
    return bool((np.abs(np.asarray(image).astype(int) - np.array(color)) <= tolerance).all())


# Listing


def test_every_kind_of_picture_in_a_tree_is_listed_sorted_and_with_slashes(tmp_path):
    names = [
        "b.jpg", "a.JPEG", "c.PNG", "d.webp", "e.bmp", "f.tif", "g.TIFF", "h.gif", "i.Jpg",
        "sub/deeper/j.png", "with space/k l.jpg", "Räume/größe é 日本.png",
    ]  # fmt: skip
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"listing goes by the name")
    for name in ["notes.txt", "metadata.csv", "jpg", "sub/raw.cr2", "sub/photo.jpg.part"]:
        (tmp_path / name).write_text("no picture")
    assert list_images(tmp_path) == sorted(names)


def test_hidden_files_and_the_shadows_that_macos_leaves_are_no_pictures(tmp_path):
    for name in ["._a.jpg", ".b.jpg", ".thumbnails/c.jpg", "sub/._d.png", "sub/.git/e.png", "a.jpg"]:
        saved(tmp_path / name)
    assert list_images(tmp_path) == ["a.jpg"]


def test_links_never_bring_in_pictures_from_outside_the_folder(tmp_path):
    outside, folder = tmp_path / "outside", tmp_path / "pictures"
    secret = saved(outside / "secret.jpg")
    inside = saved(folder / "inside.jpg")
    (folder / "file.jpg").symlink_to(secret)
    (folder / "folder").symlink_to(outside, target_is_directory=True)
    (folder / "alias.jpg").symlink_to(inside)
    (folder / "dangling.jpg").symlink_to(folder / "nowhere.jpg")
    (folder / "loop.jpg").symlink_to(folder / "loop.jpg")
    assert list_images(folder) == ["alias.jpg", "inside.jpg"]


def test_a_pipe_called_jpg_does_not_hang_the_listing_nor_the_opening(tmp_path):
    saved(tmp_path / "a.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    assert list_images(tmp_path) == ["a.jpg"]
    with pytest.raises(ImageError, match=r"pipe.jpg: .*a pipe or a device"):
        open_image(tmp_path / "pipe.jpg")


def test_a_sub_folder_that_cannot_be_read_is_told_not_taken_for_empty(tmp_path, monkeypatch):
    saved(tmp_path / "open" / "a.jpg")
    saved(tmp_path / "locked" / "b.jpg")
    scandir = os.scandir

    def guarded(path):  # root may read every folder, so permissions alone can't show it
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.raises(PermissionError, match="locked"):
        list_images(tmp_path)


@pytest.mark.parametrize("name", ["nothing", "a.jpg"])
def test_what_is_no_folder_is_told_by_name(tmp_path, name):
    saved(tmp_path / "a.jpg")
    with pytest.raises(NotADirectoryError, match=f"{name} is no folder"):
        list_images(tmp_path / name)


# Opening


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("JPEG", {"quality": 95}),
        ("JPEG", {"quality": 95, "progressive": True}),
        ("PNG", {}),
        ("WEBP", {"quality": 95}),
        ("WEBP", {"lossless": True}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("GIF", {}),
        ("MPO", {"quality": 95}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value)),
)
def test_each_format_opens_whatever_its_name_says(tmp_path, form, options):
    content = encoded(Image.new("RGB", (40, 30), (200, 40, 90)), form, **options)
    path = tmp_path / "misnamed.jpg"
    path.write_bytes(content)
    for source in (path, str(path), content, bytearray(content), memoryview(content)):
        image = open_image(source)
        assert image.size == (40, 30)
        assert close_to(image, (200, 40, 90))


def test_the_formats_open_in_a_process_that_has_opened_nothing_before():
    # Pillow loads its plugins as they are needed; a process that saved a picture first would hide a missing one.
    content = encoded(Image.new("RGB", (4, 3), "blue"), "WEBP", lossless=True)
    code = "import sys; from helpers.images import open_image; print(open_image(sys.stdin.buffer.read()).size)"
    done = subprocess.run([sys.executable, "-c", code], input=content, cwd=ROOT, capture_output=True, check=False)
    assert done.stdout.strip() == b"(4, 3)", done.stderr.decode()


def test_importing_the_module_leaves_pillow_as_it_was():
    code = "from PIL import Image as I; n = I.MAX_IMAGE_PIXELS; import helpers.images; print(n == I.MAX_IMAGE_PIXELS)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_pil_pictures_and_arrays_are_taken_as_they_are():
    picture = Image.new("RGB", (5, 4), (1, 2, 3))
    assert close_to(open_image(picture), (1, 2, 3), 0)
    pixels = np.zeros((4, 5, 3), np.uint8) + np.array([9, 8, 7], np.uint8)
    assert close_to(open_image(pixels), (9, 8, 7), 0)
    assert open_image(pixels).size == (5, 4)
    assert close_to(open_image(pixels[:, ::-1]), (9, 8, 7), 0)  # not contiguous
    assert close_to(open_image(np.full((4, 5), 77, np.uint8)), (77, 77, 77), 0)
    transparent = np.zeros((4, 5, 4), np.uint8)
    assert close_to(open_image(transparent), (255, 255, 255), 0)


@pytest.mark.parametrize(
    "array",
    [np.zeros((4, 5, 3)), np.zeros((4, 5, 2), np.uint8), np.zeros(7, np.uint8), np.zeros((2, 4, 5, 3), np.uint8)],
    ids=["float", "two channels", "flat", "a batch"],
)
def test_an_array_that_is_no_picture_is_refused_with_the_shape_it_needs(array):
    with pytest.raises(ImageError, match=r"array \(.*\(height, width, 3\), uint8"):
        open_image(array)


@pytest.mark.parametrize("nothing", [np.zeros((0, 5, 3), np.uint8), Image.new("RGB", (0, 7))], ids=["array", "PIL"])
def test_a_picture_without_pixels_is_refused_not_passed_on(nothing):
    with pytest.raises(ImageError, match="no pixels"):
        open_image(nothing)


def test_only_the_first_frame_of_a_gif_is_looked_at():
    frames = [Image.new("RGB", (9, 9), color) for color in ("red", "lime", "blue")]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert Image.open(io.BytesIO(content)).n_frames == 3
    assert close_to(open_image(content), (255, 0, 0))


UPRIGHT = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[255, 255, 0], [0, 255, 255], [255, 0, 255]]], np.uint8)
# How each orientation stores that picture: EXIF 2.32, tag 274, "the 0th row is the visual ... of the image".
STORED = {
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.transpose(1, 0, 2),
    6: np.rot90(UPRIGHT),  # turned left when stored, so it is turned right to be shown
    7: UPRIGHT[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90(UPRIGHT, -1),
}


@pytest.mark.parametrize("orientation", STORED)
def test_a_telephone_held_any_way_gives_an_upright_picture(orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation])).resize(
        tuple(16 * n for n in STORED[orientation].shape[1::-1]), Image.Resampling.NEAREST
    )
    for form, options in (("JPEG", {"quality": 95, "subsampling": 0}), ("PNG", {}), ("WEBP", {"lossless": True})):
        image = open_image(encoded(stored, form, exif=exif, **options))
        assert image.size == (48, 32)
        shown = np.asarray(image)[8::16, 8::16].astype(int)
        assert np.abs(shown - UPRIGHT).max() < 12, form


def test_the_same_orientation_counts_in_a_pil_picture_that_was_opened_by_hand():
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    by_hand = Image.open(io.BytesIO(encoded(Image.new("RGB", (40, 20)), "JPEG", exif=exif)))
    assert open_image(by_hand).size == (20, 40)
    assert by_hand.size == (40, 20)  # the caller's own picture is left alone


def test_damaged_tags_neither_refuse_the_picture_nor_lay_it_on_its_side():
    rng = np.random.default_rng(0)
    exif = Image.Exif()
    exif[ORIENTATION], exif[0x010F], exif[0x011A] = 6, "camera", 72.0
    exif.get_ifd(0x8769)[0x829A] = 0.01
    good = exif.tobytes()
    picture = Image.new("RGB", (8, 4), "red")
    upright = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, about the tags
        for _ in range(400):
            bad = bytearray(good)
            for position in rng.integers(8, len(bad), 3):
                bad[position] = rng.integers(256)
            content = encoded(picture, "JPEG", exif=bytes(bad))
            image = open_image(content)
            try:
                readable = Image.open(io.BytesIO(content)).getexif().get(ORIENTATION)
            except Exception:  # whatever Pillow raises for damaged tags
                readable = None
            if readable == 6:
                upright += 1
                assert image.size == (4, 8)
    assert 50 < upright < 400  # some were damaged in the orientation, some elsewhere


def test_no_tags_at_all_but_garbage_still_shows_the_picture():
    for garbage in (b"Exif\x00\x00", b"Exif\x00\x00MM\x00*\xff\xff\xff\xff", b"Exif\x00\x00II*\x00" + b"\xff" * 60):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert open_image(encoded(Image.new("RGB", (8, 4)), "JPEG", exif=garbage)).size == (8, 4)


def test_transparent_parts_are_white_in_every_mode_that_has_them():
    clear = (10, 20, 30, 0)
    rgba = Image.new("RGBA", (6, 6), clear)
    palette = Image.new("P", (6, 6), 1)
    palette.putpalette([0, 0, 0, 200, 0, 0])
    rgb = Image.new("RGB", (6, 6), (1, 2, 3))
    for content in (
        encoded(rgba, "PNG"),
        encoded(rgba, "WEBP", lossless=True, exact=True),
        encoded(rgba, "TIFF"),
        encoded(Image.new("LA", (6, 6), (50, 0)), "PNG"),
        encoded(palette, "PNG", transparency=1),
        encoded(palette, "PNG", transparency=bytes([255, 0])),
        encoded(palette, "GIF", transparency=1),
        encoded(rgb, "PNG", transparency=(1, 2, 3)),
        encoded(Image.new("L", (6, 6), 9), "PNG", transparency=9),
        encoded(Image.new("1", (6, 6), 0), "PNG", transparency=0),
    ):
        assert close_to(open_image(content), (255, 255, 255), 0)
    assert close_to(open_image(palette.convert("PA")), (200, 0, 0), 0)  # opaque: only the palette is undone


def test_half_transparent_parts_are_mixed_with_white():
    half = Image.new("RGBA", (6, 6), (255, 0, 0, 128))
    assert close_to(open_image(encoded(half, "PNG")), (255, 127, 127), 1)


def test_opaque_palettes_cmyk_greys_and_single_bits_keep_their_colors():
    palette = Image.new("P", (6, 6), 1)
    palette.putpalette([0, 0, 0, 10, 200, 30])
    assert close_to(open_image(encoded(palette, "PNG")), (10, 200, 30), 0)
    assert close_to(open_image(encoded(palette, "BMP")), (10, 200, 30), 0)
    cmyk = Image.new("RGB", (16, 16), (220, 30, 60)).convert("CMYK")
    assert close_to(open_image(encoded(cmyk, "JPEG", quality=95)), (220, 30, 60), 8)
    assert close_to(open_image(encoded(cmyk, "TIFF")), (220, 30, 60), 2)
    assert close_to(open_image(encoded(Image.new("L", (6, 6), 77), "PNG")), (77, 77, 77), 0)
    for bit, value in ((0, 0), (1, 255)):
        for form, options in (("PNG", {}), ("TIFF", {"compression": "group4"}), ("BMP", {})):
            assert close_to(open_image(encoded(Image.new("1", (6, 6), bit), form, **options)), (value,) * 3, 0)


RAMP = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bit_greys_keep_their_shades_instead_of_turning_white(form):
    pixels = np.asarray(open_image(encoded(Image.fromarray(RAMP), form)))
    assert (pixels[..., 0] == pixels[..., 2]).all()
    assert np.abs(pixels[..., 0].astype(int) - RAMP / 257).max() <= 1


def test_a_dark_sixteen_bit_picture_stays_dark():
    dark = Image.fromarray(np.array([[0, 257 * 10], [257 * 5, 257 * 10]], np.uint16))
    assert np.asarray(open_image(encoded(dark, "PNG"))).max() == 10


def test_sixteen_bit_pictures_of_both_byte_orders_look_the_same():
    big = Image.frombytes("I;16B", (16, 16), RAMP.astype(">u2").tobytes())
    assert np.array_equal(np.asarray(open_image(big)), np.asarray(open_image(Image.fromarray(RAMP))))


@pytest.mark.parametrize(
    "values",
    [
        np.linspace(0, 1, 256, dtype=np.float32),
        np.linspace(-5, 3000, 256, dtype=np.float32),
        np.linspace(0, 2**31 - 1, 256).astype(np.int32),
        np.arange(256, dtype=np.int32),
    ],
    ids=["float 0 to 1", "float, some negative", "all 32 bits", "32 bits, 8 used"],
)
def test_32_bit_and_float_pictures_use_all_shades(values):
    content = encoded(Image.fromarray(values.reshape(16, 16)), "TIFF")
    pixels = np.asarray(open_image(content))[..., 0].ravel().astype(int)
    assert np.abs(pixels - np.arange(256)).max() <= 1


def test_a_float_picture_with_holes_keeps_its_other_pixels():
    values = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)
    values[3, 3], values[4, 4], values[5, 5] = np.nan, np.inf, -np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pixels = np.asarray(open_image(encoded(Image.fromarray(values), "TIFF")))[..., 0]
    assert (pixels[3, 3], pixels[4, 4], pixels[5, 5]) == (0, 255, 0)
    assert abs(int(pixels[15, 14]) - 254) <= 1


def test_a_picture_of_one_shade_or_of_nothing_finite_does_not_divide_by_zero():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_image(Image.new("F", (3, 3), 0.5)).size == (3, 3)
        assert open_image(Image.fromarray(np.full((3, 3), np.nan, np.float32))).size == (3, 3)


# Refusing


def bomb(width: int, height: int) -> bytes:
    """Return a PNG of under 100 bytes whose header claims this size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 9)) + chunk(b"IEND", b"")
    )


BAD_FILES = {
    "cut.jpg": (MUG.read_bytes()[:5000], "cut off"),
    "cut.png": (encoded(Image.open(MUG), "PNG")[:5000], "cut off"),
    "cut.webp": (encoded(Image.open(MUG), "WEBP")[:2000], "damaged or cut off"),
    "cut.gif": (encoded(Image.open(MUG), "GIF")[:2000], "cut off"),
    "cut.bmp": (encoded(Image.open(MUG), "BMP")[:2000], "cut off"),
    "cut.tif": (encoded(Image.open(MUG), "TIFF")[:2000], "damaged or cut off"),
    "only_a_header.jpg": (MUG.read_bytes()[:20], "no JPEG, PNG"),
    "empty.jpg": (b"", "no JPEG, PNG"),
    "text.jpg": (b"I am a text. " * 100, "no JPEG, PNG"),
    "page.png": (b"<!doctype html><title>404</title>", "no JPEG, PNG"),
    "drawing.jpg": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "no JPEG, PNG"),
    "postscript.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no JPEG, PNG"),
    "bomb.png": (bomb(40_000, 40_000), "pixels: make it smaller"),
    "just too large.png": (bomb(12_001, 10_000), "12001 x 10000 pixels are more than 120,000,000"),
}


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Return the sizes at which files are decoded from now on."""
    sizes, load = [], ImageFile.ImageFile.load

    def noted(self: ImageFile.ImageFile) -> object:
        sizes.append(self.size)
        return load(self)

    monkeypatch.setattr(ImageFile.ImageFile, "load", noted)
    return sizes


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_refused_with_its_name_and_the_reason(tmp_path, decoded, name):
    """One that is too large is refused by its header: to decode it would take the memory."""
    content, reason = BAD_FILES[name]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ImageError) as caught, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        open_image(path, min_side=256)
    assert "pixels" not in reason or decoded == []
    assert caught.value.name == name
    assert reason in caught.value.reason
    assert str(caught.value) == f"{name}: {caught.value.reason}"


def test_a_bomb_is_refused_whether_warnings_are_errors_or_not():
    for action in ("error", "ignore"):
        with warnings.catch_warnings(), pytest.raises(ImageError, match="pixels"):
            warnings.simplefilter(action)
            open_image(bomb(12_001, 10_000))


def test_a_picture_of_a_108_megapixel_telephone_is_no_bomb():
    content = encoded(Image.new("L", (12_000, 9_000), 90), "JPEG")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_image(content, min_side=256).size == (1500, 1125)


@pytest.mark.parametrize(
    ("name", "reason"), [("", "directory"), ("missing.jpg", "No such file"), ("zero\0byte.jpg", "null byte")]
)
def test_a_path_without_a_file_is_refused_with_its_name_and_the_reason(tmp_path, name, reason):
    with pytest.raises(ImageError, match=reason) as caught:
        open_image(tmp_path / name)
    assert str(tmp_path) in caught.value.name


def test_a_file_whose_name_starts_with_a_tilde_is_that_file(tmp_path, monkeypatch):
    saved(tmp_path / "~backup.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert open_image("~backup.png").size == (8, 6)
    assert open_image("~/~backup.png").size == (8, 6)


def test_a_pil_picture_that_is_cut_off_is_refused_not_half_grey():
    cut = Image.open(io.BytesIO(MUG.read_bytes()[:5000]))
    with pytest.raises(ImageError, match=r"320 x 320 picture of mode RGB: damaged or cut off"):
        open_image(cut)


def test_no_damage_to_any_format_escapes_as_another_error_than_imageerror():
    rng = np.random.default_rng(1)
    picture = Image.open(MUG).resize((48, 40))
    exif = Image.Exif()
    exif[ORIENTATION] = 8
    good = [
        encoded(picture, "JPEG", exif=exif),
        encoded(picture, "PNG", exif=exif),
        encoded(picture, "WEBP", exif=exif),
        encoded(picture, "BMP"),
        encoded(picture, "TIFF"),
        encoded(picture, "GIF"),
        encoded(picture.convert("P"), "PNG"),
        encoded(Image.fromarray(RAMP), "PNG"),
    ]
    opened = refused = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(1600):
            bad = bytearray(good[number % len(good)])
            for position in rng.integers(0, len(bad) if number % 2 else 120, 4):
                bad[position] = rng.integers(256)
            try:
                assert open_image(bytes(bad[: rng.integers(1, 2 * len(bad))]), min_side=16).mode == "RGB"
                opened += 1
            except ImageError:
                refused += 1
    assert opened > 100
    assert refused > 100


# Large JPEGs


@pytest.mark.parametrize(("width", "height"), [(4000, 3000), (3000, 4000), (2048, 2048), (1100, 900), (600, 4000)])
def test_a_large_jpeg_is_decoded_small_but_never_below_twice_what_is_needed(width, height):
    content = encoded(Image.new("RGB", (width, height), (90, 120, 30)), "JPEG")
    assert open_image(content).size == (width, height)
    image = open_image(content, min_side=256)
    assert min(image.size) >= 512 or image.size == (width, height)
    if min(width, height) >= 1024:
        assert min(image.size) < min(width, height)
    assert image.width / image.height == pytest.approx(width / height, rel=0.01)


def test_vectors_of_large_jpegs_are_the_same_with_and_without_reduced_decoding(extractor, tmp_path):
    paths = []
    for name in ("mug/mug_01", "apple/apple_03", "sailboat/sailboat_02"):
        paths.append(tmp_path / f"{Path(name).name}.jpg")
        with Image.open(DATA / "images" / f"{name}.jpg") as small:
            small.resize((2400, 2400), Image.Resampling.BICUBIC).save(paths[-1], quality=92)
    reduced = [open_image(path, min_side=256) for path in paths]
    assert all(image.size == (600, 600) for image in reduced)
    whole = [np.asarray(open_image(path)) for path in paths]  # arrays are never reduced
    agreement = (extractor.embed(paths) * extractor.embed(whole)).sum(axis=1)
    assert (agreement > 0.98).all(), agreement


def test_a_large_jpeg_is_never_decoded_at_its_full_size(decoded):
    """That is what saves the time: 1/16 of the pixels here."""
    open_image(encoded(Image.effect_noise((4000, 3000), 40).convert("RGB"), "JPEG"), min_side=256)
    assert set(decoded) == {(1000, 750)}


# URLs


class Pictures(BaseHTTPRequestHandler):
    """A web server with every kind of answer that a learner meets."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.asked.append(self.path)
        {
            "/mug.jpg": lambda: self.answer(200, MUG.read_bytes()),
            "/page": lambda: self.answer(200, b"<!doctype html><p>not found, but politely"),
            "/moved": lambda: self.answer(302, b"", Location="/mug.jpg"),
            "/loop": lambda: self.answer(302, b"", Location="/loop"),
            "/to-file": lambda: self.answer(302, b"", Location=f"file://{MUG}"),
            "/to-ftp": lambda: self.answer(302, b"", Location="ftp://127.0.0.1/mug.jpg"),
            "/error": lambda: self.answer(500, b""),
            "/endless": self.endless,
            "/silent": lambda: self.server.stop.wait(60) or self.answer(200, MUG.read_bytes()),
            "/drip": self.drip,
            "/cut": self.cut,
        }.get(self.path, lambda: self.answer(404, b""))()

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def body_in_pieces(self, piece: bytes, seconds: float) -> None:
        self.send_response(200)
        self.end_headers()
        self.close_connection = True
        while not self.server.stop.wait(seconds):
            try:
                self.wfile.write(piece)
            except OSError:  # the client has seen enough
                self.server.given_up.set()
                return

    def endless(self) -> None:
        self.body_in_pieces(b"\xff" * 1_000_000, 0)

    def drip(self) -> None:
        self.body_in_pieces(b"\xff", 0.05)

    def cut(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        self.wfile.write(MUG.read_bytes()[:3000])
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def web() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pictures)
    server.asked, server.stop, server.given_up = [], threading.Event(), threading.Event()
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.stop.set()
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_picture_on_the_web_is_the_same_as_its_file(web):
    assert np.array_equal(np.asarray(open_image(f"{web.url}/mug.jpg")), np.asarray(open_image(MUG)))
    assert open_image(f"{web.url}/mug.jpg".replace("http:", "HTTP:")).size == (320, 320)


def test_a_redirect_on_the_web_is_followed(web):
    assert open_image(f"{web.url}/moved").size == (320, 320)
    assert web.asked == ["/moved", "/mug.jpg"]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/nothing-here.jpg", "the server answered 404"),
        ("/error", "the server answered 500"),
        ("/page", "no JPEG, PNG"),
        ("/loop", "redirect"),
        ("/to-file", "unsupported protocol"),
        ("/to-ftp", "unsupported protocol"),
        ("/cut", "can't be fetched"),
    ],
)
def test_what_a_server_answers_instead_of_a_picture_is_told_with_the_address(web, path, reason):
    with pytest.raises(ImageError) as caught:
        open_image(web.url + path)
    assert caught.value.name == web.url + path
    assert reason.lower() in caught.value.reason.lower()


def test_a_picture_without_end_is_given_up_at_the_size_limit(web, monkeypatch):
    monkeypatch.setattr(images, "MAX_URL_BYTES", 3 * 1024 * 1024)
    with pytest.raises(ImageError, match="larger than 3 MB"):
        open_image(f"{web.url}/endless")
    assert web.given_up.wait(60), "the rest was still being fetched"


def test_a_server_that_never_answers_is_given_up_at_the_time_limit(web, monkeypatch):
    """It would send a picture in the end."""
    monkeypatch.setattr(images, "URL_TIMEOUT", 0.5)
    with pytest.raises(ImageError, match=r"can't be fetched .*are you online\?"):
        open_image(f"{web.url}/silent")


def test_a_server_that_sends_a_byte_now_and_then_is_given_up_too(web, monkeypatch):
    monkeypatch.setattr(images, "MAX_URL_SECONDS", 1.0)
    with pytest.raises(ImageError, match="not all there after 1 s"):
        open_image(f"{web.url}/drip")


def test_the_limits_that_guard_a_learner_are_set_at_all():
    assert images.URL_TIMEOUT.connect <= 10
    assert images.URL_TIMEOUT.read <= 15
    assert images.MAX_URL_SECONDS <= 60
    assert images.MAX_URL_BYTES <= 50 * 1024 * 1024


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:9/mug.jpg", "http://no-such-host.invalid/a.jpg", "http://[::1", "http://a..b/", "https://a\nb/"],
)
def test_an_address_where_nobody_answers_is_told(url):
    with pytest.raises(ImageError) as caught:
        open_image(url)
    assert caught.value.name == url
    assert "can't be fetched" in caught.value.reason


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1/mug.jpg", f"file://{MUG}", f"FILE://{MUG}", "data://x", "s3://b/a.jpg"]
)
def test_only_web_addresses_are_fetched_never_files_by_url(url):
    with pytest.raises(ImageError, match="only http:// and https://"):
        open_image(url)


# Metadata


def table(root: Path, lines: str | bytes) -> Path:
    content = lines if isinstance(lines, bytes) else lines.encode()
    (root / "metadata.csv").write_bytes(content)
    return root


@pytest.fixture
def two(tmp_path: Path) -> Path:
    saved(tmp_path / "a.jpg")
    saved(tmp_path / "sub" / "b.jpg", color="blue")
    return tmp_path


def test_the_shipped_pictures_and_their_metadata_agree():
    collection, queries = load_folder(DATA), load_folder(DATA, part="queries")
    assert (len(collection.paths), len(queries.paths)) == (392, 56)
    assert len(list_images(DATA)) == 448
    assert not set(collection.paths) & set(queries.paths)
    assert collection.columns == {
        "category": str, "color": str, "material": str, "background": str, "light": str, "azimuth": int,
        "elevation": int,
    }  # fmt: skip
    assert queries.columns == collection.columns
    assert all(row["category"] == path.split("/")[1] for path, row in collection.metadata.items())
    categories = {row["category"] for row in collection.metadata.values()}
    assert len(categories) == 28
    assert categories == {row["category"] for row in queries.metadata.values()}


def test_every_shipped_picture_opens():
    for path in list_images(DATA):
        assert open_image(DATA / path).size == (320, 320)


def test_a_folder_of_ones_own_needs_no_metadata(two):
    assert load_folder(two) == ImageFolder(two, ["a.jpg", "sub/b.jpg"], {})
    assert load_folder(str(two)).columns == {}


def test_a_metadata_file_of_ones_own_describes_any_tree(two):
    table(two, "file,kind,year\nsub/b.jpg,boat,1999\na.jpg,apple,2024\n")
    folder = load_folder(two)
    assert folder.paths == ["a.jpg", "sub/b.jpg"]
    assert folder.metadata == {"a.jpg": {"kind": "apple", "year": 2024}, "sub/b.jpg": {"kind": "boat", "year": 1999}}
    assert folder.columns == {"kind": str, "year": int}


def test_a_picture_without_a_row_is_named(two):
    with pytest.raises(MetadataError, match=r"1 pictures have no row in metadata.csv: sub/b\.jpg"):
        load_folder(table(two, "file,kind\na.jpg,apple\n"))


def test_a_row_without_a_picture_is_named(two):
    with pytest.raises(MetadataError, match=r"1 pictures have a row, but no file: gone\.jpg"):
        load_folder(table(two, "file,kind\na.jpg,apple\nsub/b.jpg,boat\ngone.jpg,x\n"))


def test_what_a_spreadsheet_writes_can_be_read(two):
    lines = '\ufefffile,kind\r\na.jpg,"apple, ""red"""\r\nsub/b.jpg,größe\r\n\r\n'
    assert load_folder(table(two, lines)).metadata == {
        "a.jpg": {"kind": 'apple, "red"'},
        "sub/b.jpg": {"kind": "größe"},
    }


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("path,kind\na.jpg,apple\n", r"needs a column named 'file'; it has: \['path', 'kind'\]"),
        ("file;kind\na.jpg;apple\n", "needs a column named 'file'"),
        ("", "needs a column named 'file'"),
        ("file,kind\na.jpg,apple\nsub/b.jpg\n", "line 3: not as many values"),
        ("file,kind\na.jpg,apple,extra\nsub/b.jpg,boat\n", "line 2: not as many values"),
        ("file,kind\na.jpg,apple\nsub/b.jpg,boat\na.jpg,pear\n", "line 4: a second row for a.jpg"),
        ("file,kind\na.jpg,gr\xf6\xdfe\nsub/b.jpg,x\n".encode("cp1252"), "no CSV file in UTF-8"),
        ("file,kind\na.jpg," + "x" * (csv.field_size_limit() + 1) + "\nsub/b.jpg,x\n", "no CSV file"),
    ],
    ids=["no file column", "semicolons", "empty", "too few", "too many", "twice", "not UTF-8", "endless value"],
)
def test_a_broken_metadata_file_is_refused_with_what_is_wrong(two, lines, reason):
    with pytest.raises(MetadataError, match=reason):
        load_folder(table(two, lines))


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "-20"], int),
        (["1", "2.5"], float),
        (["1e3", "-0.25"], float),
        (["1", ""], str),
        (["red", "1"], str),
        (["007", "123"], str),
        (["1_000", "2"], str),
        (["nan", "1.5"], str),
        (["inf", "1"], str),
        (["٣", "4"], str),
        (["99999999999999999999", "1"], str),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else value.__name__,
)
def test_numbers_are_numbers_and_what_only_looks_like_one_stays_as_written(two, values, kind):
    folder = load_folder(table(two, f"file,value\na.jpg,{values[0]}\nsub/b.jpg,{values[1]}\n"))
    assert folder.columns == {"value": kind}
    assert [folder.metadata[path]["value"] for path in ("a.jpg", "sub/b.jpg")] == [kind(value) for value in values]


def test_only_the_images_part_is_the_collection_where_queries_lie_beside_it(tmp_path):
    for name in ("images/a.jpg", "queries/b.jpg", "images_old/c.jpg"):
        saved(tmp_path / name)
    table(tmp_path, "file,n\nimages/a.jpg,1\nqueries/b.jpg,2\nimages_old/c.jpg,3.5\n")
    assert load_folder(tmp_path).paths == ["images/a.jpg"]
    queries = load_folder(tmp_path, part="queries")
    assert queries.paths == ["queries/b.jpg"]
    assert queries.columns == {"n": float}  # one type for all parts
