"""Samples -> RGB: what a picture's numbers mean, according to its file."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import ExifTags, Image, PngImagePlugin, TiffImagePlugin

BITS, PHOTOMETRIC, CHANNELS, PLANES, FORM = 258, 262, 277, 284, 339  # TIFF's tags
WHITE_IS_ZERO, SIGNED, APART = 0, 2, 2  # their values
# How a picture was turned when it was stored (EXIF's orientation), and what turns it back.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# libtiff returns samples in this machine's byte order, but Pillow reads these kinds in the order of the file.
NATIVE = {"I;16BS": "I;16NS", "I;32BS": "I;32NS", "F;32BF": "F;32NF"}


def load(image: Image.Image) -> Image.Image:
    """Decode a picture that was opened: return it upright, in RGB, with white where it is transparent."""
    transparent = _transparent_shade(image)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        _lay_out(image)
    image.load()
    if not (image.width and image.height):
        raise ValueError("it has no pixels")
    tags = getattr(image, "tag_v2", {})
    image = _upright(image)
    if image.mode.startswith(("I", "F")) or (image.mode == "L" and first(tags, FORM, 1) == SIGNED):
        return _from_numbers(image, tags, transparent)
    if image.mode == "La":  # grey multiplied by its alpha: Pillow converts it to LA only
        image = image.convert("LA")
    if image.mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in image.info:
        if transparent is not None:
            image.info["transparency"] = transparent
        image = image if image.mode == "RGBA" else image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image)
        return white
    return image.convert("RGB")


def first(tags: Mapping[int, Any], tag: int, default: int) -> int:
    """Return the first number of a TIFF's tag."""
    value = tags.get(tag)
    value = value[0] if isinstance(value, tuple) and value else value
    return value if isinstance(value, int) else default


def _transparent_shade(image: Image.Image) -> Any:
    """Return the shade that a PNG calls transparent, on the scale that its pixels have once they are loaded."""
    shade = image.info.get("transparency")
    if shade is None or not isinstance(image, PngImagePlugin.PngImageFile) or not image.tile:
        return shade
    raw = image.tile[0].args
    if raw in ("L;2", "L;4"):  # their pixels are scaled to 8 bits
        return shade * (85 if raw == "L;2" else 17)
    if raw == "RGB;16B":  # of its pixels the upper 8 bits are kept
        return tuple(value >> 8 for value in shade)
    return shade


def _lay_out(image: TiffImagePlugin.TiffImageFile) -> None:
    """Correct the layout of a TIFF's samples where Pillow assumes a wrong one."""
    tags = image.tag_v2
    if image.tile and first(tags, PLANES, 1) == APART and first(tags, CHANNELS, 1) == 1:
        tags[PLANES] = 1  # a single channel is always one plane
        image._setup()
    apart = first(tags, PLANES, 1) == APART
    if apart and image.mode in ("LA", "La", "PA", "LAB"):
        raise SyntaxError("its channels are stored apart")  # Pillow would mix them up
    for number, tile in enumerate(image.tile):
        if not isinstance(tile.args, tuple):
            continue
        layout, *rest = tile.args
        if tile.codec_name == "libtiff":
            layout = NATIVE.get(layout, layout)
        elif apart and first(tags, BITS, 1) == 16:
            layout += ";16B" if tags.prefix == b"MM" else ";16L"
        image.tile[number] = tile._replace(args=(layout, *rest))


def _upright(image: Image.Image) -> Image.Image:
    # ImageOps.exif_transpose would rewrite all tags, and fail where another one is damaged.
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # the tags are damaged: the picture need not be, and stays as it was stored
        return image
    return image.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else image


def _from_numbers(image: Image.Image, tags: Mapping[int, Any], transparent: int | None) -> Image.Image:
    """Scale greys of more than 8 bits, signed ones and floats to 8 bits; Pillow's own convert clips them.

    Unsigned numbers of up to 16 bits are scaled by the range of their bits, others by that of their own values.
    """
    grey = np.asarray(image)
    if image.mode == "L":
        grey = grey.view(np.int8)
    if image.mode == "I" and first(tags, BITS, 0) == 32 and first(tags, FORM, 1) == 1:
        grey = grey.view(np.uint32)  # Pillow knows only signed ones
    if image.mode.startswith("I;16"):
        low, high = 0.0, 2.0 ** first(tags, BITS, 16) - 1
    else:
        finite = grey[np.isfinite(grey)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    scaled = np.empty(grey.shape, np.uint8)
    for start in range(0, len(grey), 256):  # in parts, because float64 takes eight bytes a pixel
        part = np.nan_to_num(grey[start : start + 256].astype(np.float64), nan=low, posinf=high, neginf=low)
        scaled[start : start + 256] = ((part - low) / ((high - low) or 1.0) * 255).round()
    if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        scaled = 255 - scaled
    if transparent is not None:
        scaled[grey == transparent] = 255
    return Image.fromarray(scaled).convert("RGB")
