"""Files, bytes, pictures and arrays -> RGB: what opens, what is refused, and with which reason."""

import base64
import io
import struct
import subprocess
import sys
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from helpers.images import DATA, ImageError, called, open_image, shortened
from helpers.settings import ROOT
from tests.images.samples import MUG, ORIENTATION, chunk, close_to, encoded, png, saved, tiff


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
        ("AVIF", {"quality": 95}),
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


def test_the_orientation_counts_in_a_picture_opened_by_hand_too():
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


# Refusing


def bomb(width: int, height: int) -> bytes:
    """Return a PNG of under 100 bytes whose header claims this size."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 9)) + chunk(b"IEND", b"")


BAD_FILES = {
    "cut.jpg": (MUG.read_bytes()[:5000], "cut off"),
    "cut.png": (encoded(Image.open(MUG), "PNG")[:5000], "cut off"),
    "cut.webp": (encoded(Image.open(MUG), "WEBP")[:2000], "damaged or cut off"),
    "cut.gif": (encoded(Image.open(MUG), "GIF")[:2000], "cut off"),
    "cut.bmp": (encoded(Image.open(MUG), "BMP")[:2000], "cut off"),
    "cut.tif": (encoded(Image.open(MUG), "TIFF")[:2000], "damaged or cut off"),
    "cut.avif": (encoded(Image.open(MUG), "AVIF")[:2000], "damaged"),
    "only_a_header.jpg": (MUG.read_bytes()[:20], "damaged, or of a kind that can't be read"),
    "twelve bits.jpg": (MUG.read_bytes().replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c"), "12-bit"),
    "empty.jpg": (b"", "not a JPEG, PNG"),
    "many comments.jpg": (b"<!---->" * 140 + b" " * 1_000, "not a JPEG, PNG"),
    "text.jpg": (b"I am a text. " * 100, "not a JPEG, PNG"),
    "page.png": (b"<!doctype html><title>404</title>", "a web page: pass the address of the picture itself"),
    "drawing.jpg": (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
    "postscript.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "a PDF or PostScript file"),
    "telephone.jpg": (
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(50),
        "a HEIC picture, which can't be read here: exp",
    ),
    "telephone 2.jpg": (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heicmiaf" + bytes(50), "a HEIC picture"),
    "new.jxl": (b"\xff\x0a" + bytes(50), "a JPEG XL picture, which can't be read here: export it as JPEG"),
    "new boxed.jxl": (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(50), "a JPEG XL picture"),
    "scan.jpg": (encoded(Image.new("RGB", (9, 9)), "JPEG2000"), "a JPEG 2000 picture"),
    "film.jpg": (b"\0\0\0\x18ftypmp42" + bytes(50), "a video"),
    "bomb.png": (bomb(40_000, 40_000), "40000 x 40000 pixels are more than 120,000,000"),
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


def test_heic_is_opened_where_a_reader_of_it_was_registered(monkeypatch):
    """As `pillow_heif.register_heif_opener()` does, without which HEIC is refused."""
    reader = (lambda file, _: Image.open(MUG), lambda head: head[4:12] == b"ftypheic")
    monkeypatch.setitem(Image.OPEN, "HEIF", reader)
    assert open_image(BAD_FILES["telephone.jpg"][0]).size == (320, 320)


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
    ("name", "reason"), [("", "it is a folder"), ("missing.jpg", "No such file"), ("zero\0byte.jpg", "null byte")]
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


# Pasted by hand


@pytest.mark.parametrize("around", [" {}", "{}\n", '"{}"', "'{}' ", "\t{} \r\n"])
def test_blanks_and_quotes_around_a_pasted_path_are_left_out(tmp_path, around):
    path = saved(tmp_path / "my mug.png")
    assert open_image(around.format(path)).size == (8, 6)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
def test_a_path_object_is_taken_as_it_is(tmp_path):
    """Only a text may have been pasted: a file whose name ends with a blank must stay reachable."""
    saved(tmp_path / "a.png ", format="PNG")
    assert open_image(tmp_path / "a.png ").size == (8, 6)


@pytest.mark.parametrize("nothing", ["", "  ", "\n", '""', "' '"])
def test_no_text_at_all_is_told_as_such_not_as_a_directory(nothing):
    with pytest.raises(ImageError, match="no picture was given"):
        open_image(nothing)


def test_a_data_address_is_opened_as_the_picture_it_holds():
    content = encoded(Image.new("RGB", (8, 6), (9, 8, 7)), "PNG")
    text = base64.b64encode(content).decode()
    percent = "".join(f"%{byte:02x}" for byte in content)
    for address in (f"data:image/png;base64,{text}", f" DATA:;BASE64,{text}\n", f"data:image/png,{percent}"):
        assert close_to(open_image(address), (9, 8, 7), 0)
    for wrong in (
        "data:image/png;base64,QUJD" * 5_000,
        "data:image/png;base64,A",
        "data:",
        "data:,",
        "data:text/html,<html>",
    ):
        with pytest.raises(ImageError) as caught:
            open_image(wrong)
        assert len(str(caught.value)) < 300


def test_a_message_neither_repeats_a_long_name_nor_a_password():
    for secret in ("s3cret", "s3:cret", "s3/cret", "s3@cret", ""):
        error = ImageError(f"https://me:{secret}@host/a.jpg?n=1", f"redirected to http://you:{secret}@host:80/")
        assert str(error) == "https://***@host/a.jpg?n=1: redirected to http://***@host:80/"
    for plain in ("https://host/@me/a.jpg", "https://host:80/a@b.jpg", "images/a@b.jpg", "https://host/?mail=a@b"):
        assert shortened(plain) == plain
    with pytest.raises(ImageError) as caught:
        open_image("x" * 20_000)
    assert len(str(caught.value)) < 300
    assert "20,000 letters" in str(caught.value)


def test_a_picture_is_called_by_its_file_or_the_end_of_its_address():
    assert called("images/a mug.jpg") == called(Path("images", "a mug.jpg")) == "a mug.jpg"
    assert called(" https://me:secret@host/mugs/a%20mug.jpg?n=1\n") == "a mug.jpg?n=1"
    assert called("https://host/%E8%8C%B6%E5%A3%B6.jpg") == "茶壶.jpg"
    for kept in ("%FF.jpg", "a%00.jpg", "a%0A.jpg", "gpj.%E2%80%AEmug.exe"):  # not UTF-8, not seen, turned around
        assert called(f"https://host/{kept}") == kept
    assert called("https://host/to?https%3A%2F%2Fme:secret@else.where") == "to?https://***@else.where"
    assert called("images/100%25.jpg") == "100%25.jpg"  # a file's own name
    assert called("https://me:secret@host") == "***@host"
    assert called(b"content") == called("data:image/png;base64,QUJD") == "your picture"
    assert len(called("x" * 20_000)) < 200


# Mended where browsers show it


def many_comments() -> Iterator[tuple[str, bytes]]:
    pixels = np.full((4, 4, 3), (200, 40, 90))
    endless = zlib.compress(bytes(3 << 20))
    yield "zTXt", png(pixels, 8, 2, before=chunk(b"zTXt", b"workflow\0\0" + endless))
    yield "iTXt", png(pixels, 8, 2, before=chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + endless))
    yield "iCCP", png(pixels, 8, 2, before=chunk(b"iCCP", b"profile\0\0" + endless))
    comment = chunk(b"tEXt", b"who\0me")
    yield "wrong checksum", png(pixels, 8, 2, before=comment[:-1] + b"?")
    yield "no end", png(pixels, 8, 2, end=False)
    yield "no end, and a wrong checksum", png(pixels, 8, 2, before=comment[:-1] + b"?", end=False)


@pytest.mark.parametrize(
    ("name", "content"), list(many_comments()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_png_is_not_refused_for_its_comments_or_its_missing_end(name, content):
    """Image editors and generators write megabytes of text; every browser shows the picture."""
    assert close_to(open_image(content), (200, 40, 90), 0)


def test_a_png_with_comments_that_is_cut_off_is_still_refused():
    content = png(np.random.default_rng(0).integers(0, 255, (64, 64, 3)), 8, 2, before=next(many_comments())[1][33:-50])
    with pytest.raises(ImageError, match=r"cut off|can't be read"):
        open_image(content[:-4_000])


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True, "subsampling": 0}], ids=str)
def test_a_jpeg_that_lacks_only_its_end_opens(options):
    """One that lacks more does not."""
    noise = Image.effect_noise((90, 70), 60).convert("RGB")
    content = encoded(noise, "JPEG", quality=90, **options)
    whole = np.asarray(open_image(content))
    for lacking in (1, 2):
        assert np.array_equal(open_image(content[:-lacking]), whole)
    for lacking in (20, 100, 1_000, len(content) // 2):
        with pytest.raises(ImageError, match="cut off"):
            open_image(content[:-lacking])


def test_a_disk_that_fails_is_not_told_as_a_damaged_picture(monkeypatch):
    class Failing(io.BytesIO):
        def read(self, *_):
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "open", lambda *_: Failing())
    with pytest.raises(ImageError, match=r"can't be read \(Input/output error\)"):
        open_image(MUG)


def test_too_little_memory_is_not_told_as_a_damaged_picture(monkeypatch):
    def full(_):
        raise MemoryError

    monkeypatch.setattr(ImageFile.ImageFile, "load", full)
    with pytest.raises(ImageError, match="not enough memory"):
        open_image(MUG)


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
        encoded(Image.new("I;16", (48, 40), 9_000), "PNG"),
        encoded(picture, "AVIF"),
        tiff(np.zeros((8, 8, 1)), 12, deflate=True),
        tiff(np.zeros((8, 8, 3)), 16, photometric=2, planes_apart=True),
    ]
    opened = refused = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(1600):
            bad = bytearray(good[number % len(good)])
            for position in rng.integers(0, len(bad) if number % 2 else min(120, len(bad)), 4):
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
def test_a_large_jpeg_is_never_decoded_below_twice_what_is_needed(width, height):
    content = encoded(Image.new("RGB", (width, height), (90, 120, 30)), "JPEG")
    assert open_image(content).size == (width, height)
    image = open_image(content, min_side=256)
    assert min(image.size) >= 512 or image.size == (width, height)
    if min(width, height) >= 1024:
        assert min(image.size) < min(width, height)
    assert image.width / image.height == pytest.approx(width / height, rel=0.01)


def test_reduced_decoding_does_not_change_vectors_of_large_jpegs(extractor, tmp_path):
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
