"""Samples -> RGB: every kind of number that a file may hold, held against the same picture in 8 bits."""

import io
import itertools
import struct
import subprocess
import sys
import warnings

import numpy as np
import pytest
from PIL import Image

from helpers.images import ImageError, open_image
from helpers.settings import ROOT
from tests.images.samples import chunk, close_to, encoded, png, tiff


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


def test_a_picture_of_one_shade_does_not_divide_by_zero():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_image(Image.new("F", (3, 3), 0.5)).size == (3, 3)
        assert open_image(Image.fromarray(np.full((3, 3), np.nan, np.float32))).size == (3, 3)


# Every kind of sample, against the same picture in 8 bits


GREY = np.linspace(0, 255, 256).astype(int).reshape(16, 16)
COLORS = np.stack([GREY, GREY.T, GREY[::-1]], axis=2)
SAMPLES = {  # name: bits, form
    "1 bit": (1, 1), "2 bits": (2, 1), "4 bits": (4, 1), "8 bits": (8, 1), "8 bits signed": (8, 2), "12 bits": (12, 1),
    "12 bits signed": (12, 2), "16 bits": (16, 1), "16 bits signed": (16, 2), "32 bits": (32, 1),
    "32 bits signed": (32, 2), "half": (16, 3), "float": (32, 3), "double": (64, 3),
}  # fmt: skip
LAYOUTS = {  # name: photometric, extra channels, channels
    "white is zero": (0, (), 1), "grey": (1, (), 1), "palette": (3, (), 1), "RGB": (2, (), 3), "CMYK": (5, (), 4),
    "grey and another": (1, (0,), 2), "grey, alpha": (1, (2,), 2), "grey times alpha": (1, (1,), 2),
    "RGB and another": (2, (0,), 4), "RGB, alpha": (2, (2,), 4), "RGB times alpha": (2, (1,), 4),
}  # fmt: skip
FEW = ("white is zero", "grey", "palette")
READ = {  # what must open, at least in little endian; the rest opens too, or is called what it is
    "1 bit": FEW, "2 bits": FEW, "4 bits": FEW, "8 bits": tuple(LAYOUTS), "8 bits signed": ("grey",),
    "12 bits": ("grey",), "16 bits": ("white is zero", "grey", *(name for name in LAYOUTS if "RGB" in name), "CMYK"),
    "16 bits signed": ("grey",), "32 bits": ("grey",), "32 bits signed": ("grey",), "float": ("white is zero", "grey"),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", SAMPLES)
def test_samples_look_as_in_8_bits_or_are_called_what_they_are(kind, layout):
    (bits, form), (photometric, extra, channels) = SAMPLES[kind], LAYOUTS[layout]
    if layout == "palette" and (bits > 8 or form != 1):
        pytest.skip("there is no such palette")
    stored, want = as_stored(photometric, extra, min(bits, 8))
    numbers = (
        stored / 255 if form == 3 else (stored / 255 * (2**bits - 1)).round() - (2 ** (bits - 1) if form == 2 else 0)
    )
    options = {"photometric": photometric, "form": form, "extra": extra, "colors": palette(bits, photometric)}
    opened = 0
    for order, apart, deflate in itertools.product("<>", (False, True), (False, True)):
        content = tiff(numbers, bits, order=order, planes_apart=apart, deflate=deflate, **options)
        try:
            shown = np.asarray(open_image(content)).astype(int)
        except ImageError as error:
            assert f"TIFF of {channels} channel" in error.reason
            assert f"of {bits}-bit {('', 'whole', 'signed', 'float')[form]}" in error.reason
            continue
        assert np.abs(shown - want).max() <= 2, (order, apart, deflate)
        opened += 1
    assert opened or layout not in READ.get(kind, ())


def as_stored(photometric: int, extra: tuple[int, ...], bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a picture's samples, 0 to 255 with as many steps as bits allow, and the picture that they are, RGB."""
    shown = COLORS if photometric in (2, 5) else np.repeat(GREY[..., None], 3, axis=2)
    alpha = GREY.T[..., None]
    shown, alpha = (((part / 255 * (2**bits - 1)).round() / (2**bits - 1) * 255) for part in (shown, alpha))
    if photometric == 5:
        stored = np.append(255 - shown, np.zeros((16, 16, 1)), axis=2)
    elif photometric == 3:
        return shown[..., :1], np.stack([shown[..., 0], 255 - shown[..., 0], shown[..., 0]], axis=2)
    else:
        stored = 255 - shown[..., :1] if photometric == 0 else shown if photometric == 2 else shown[..., :1]
    if extra == (1,):
        stored = stored * alpha / 255
    if extra:
        stored = np.append(stored, alpha, axis=2)
    return stored, shown if extra in ((), (0,)) else shown * alpha / 255 + 255 - alpha


def palette(bits: int, photometric: int) -> list[int]:
    if photometric != 3:
        return []
    shades = np.linspace(0, 65535, 2**bits).astype(int).tolist()
    return shades + shades[::-1] + shades


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_the_shade_that_a_png_calls_transparent_is_white_whatever_its_bits(bits):
    top = 2**bits - 1
    for clear, other in ((0, top), (top, 0), (1, 0)):
        shades = np.array([[[clear], [other]]])
        image = open_image(png(shades, bits, 0, before=chunk(b"tRNS", struct.pack(">H", clear))))
        assert image.getpixel((0, 0)) == (255, 255, 255)
        assert image.getpixel((1, 0)) == (round(other / top * 255),) * 3
    if bits >= 8:
        colors = np.array([[[top // 3, 0, 0], [0, top, 0]]])
        image = open_image(png(colors, bits, 2, before=chunk(b"tRNS", struct.pack(">HHH", top // 3, 0, 0))))
        assert [image.getpixel((x, 0)) for x in (0, 1)] == [(255, 255, 255), (0, 255, 0)]


def test_a_picture_opened_by_hand_is_read_like_its_file():
    """Pillow's own reading of a TIFF in the other byte order is wrong; it is corrected before the pixels are loaded."""
    content = tiff(GREY[..., None] / 255, 32, form=3, order=">", deflate=True)
    by_hand = Image.open(io.BytesIO(content))
    for _ in range(2):
        assert np.abs(np.asarray(open_image(by_hand))[..., 0].astype(int) - GREY).max() <= 1
    few_bits = Image.open(io.BytesIO(png(np.array([[[3], [0]]]), 4, 0, before=chunk(b"tRNS", b"\0\3"))))
    for _ in range(2):
        assert open_image(few_bits).getpixel((0, 0)) == (255, 255, 255)


def test_a_deep_picture_of_a_camera_is_opened_in_little_memory():
    """108 megapixels of 16 bits took 3.6 GB: the numbers are scaled in parts."""
    code = (
        "import io, resource; from PIL import Image; from helpers.images import open_image\n"
        "file = io.BytesIO(); Image.new('I;16', (6000, 4500)).save(file, 'PNG', compress_level=1)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; open_image(file.getvalue())\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 27_000_000)"
    )
    pytest.importorskip("resource")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    kilo = 1 if sys.platform == "darwin" else 1024
    assert float(done.stdout) * kilo < 12, "bytes a pixel"
