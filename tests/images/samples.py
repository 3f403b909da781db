"""Pictures for the tests of this room, some written byte by byte: no library writes what the tests need."""

import io
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from helpers.images import DATA

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


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(samples: np.ndarray, bits: int, color: int, *, before: bytes = b"", end: bool = True) -> bytes:
    """Return a PNG.

    Parameters
    ----------
    samples : numpy.ndarray, shape (height, width, channels)
        As they are stored.
    bits, color : int
        As the PNG specification numbers them: of color 0 is grey, 2 RGB, 4 grey with alpha, 6 RGB with alpha.
    before : bytes
        Chunks between the header and the pixels.
    end : bool
        Whether it has its end marker.
    """
    height, width = samples.shape[:2]
    rows = packed(samples.reshape(height, -1), bits, ">u")
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + head + before + data + (chunk(b"IEND", b"") if end else b"")


def packed(rows: np.ndarray, bits: int, kind: str) -> list[bytes]:
    """Return each row's numbers one after the other, the first bit first, up to the next whole byte."""
    if bits % 8 == 0:
        return [row.astype(f"{kind}{bits // 8}").tobytes() for row in rows]
    digits = rows.astype(int)[..., None] >> np.arange(bits - 1, -1, -1) & 1
    return [row.tobytes() for row in np.packbits(digits.reshape(len(rows), -1).astype(np.uint8), axis=1)]


def tiff(
    samples: np.ndarray,
    bits: int,
    *,
    photometric: int = 1,
    form: int = 1,
    extra: Sequence[int] = (),
    order: str = "<",
    planes_apart: bool = False,
    deflate: bool = False,
    colors: Sequence[int] = (),
) -> bytes:
    """Return a TIFF of one strip, or of one a plane.

    Parameters
    ----------
    samples : numpy.ndarray, shape (height, width, channels)
        As they are stored.
    bits : int
        Of a sample.
    photometric : int
        0 grey where 0 is white, 1 grey, 2 RGB, 3 palette, 5 CMYK.
    form : int
        1 unsigned, 2 signed, 3 floats.
    extra : sequence of int
        What channels beyond the colors are: 0 nothing known, 1 alpha that the colors are multiplied by, 2 alpha.
    order : {"<", ">"}
        Little or big endian.
    planes_apart : bool
        Whether the channels are stored one after the other.
    deflate : bool
        Whether the strips are compressed.
    colors : sequence of int
        The palette.
    """
    height, width, channels = samples.shape
    planes = [samples[..., n] for n in range(channels)] if planes_apart else [samples.reshape(height, -1)]
    strips = [b"".join(packed(plane, bits, order + " uif"[form])) for plane in planes]
    strips = [zlib.compress(strip) for strip in strips] if deflate else strips
    offsets = [8 + sum(map(len, strips[:n])) for n in range(len(strips))]
    short, long = "H", "I"
    tags = [
        (256, long, [width]), (257, long, [height]), (258, short, [bits] * channels),
        (259, short, [8 if deflate else 1]), (262, short, [photometric]), (273, long, offsets),
        (277, short, [channels]), (278, long, [height]),
        (279, long, [len(strip) for strip in strips]), (284, short, [2 if planes_apart else 1]), (320, short, colors),
        (338, short, extra), (339, short, [form] * channels),
    ]  # fmt: skip
    tags = [tag for tag in tags if len(tag[2])]
    data = b"".join(strips) + b"\0" * (sum(map(len, strips)) % 2)
    directory, far = struct.pack(f"{order}H", len(tags)), b""
    after = 8 + len(data) + 2 + 12 * len(tags) + 4
    for tag, kind, values in tags:
        value = struct.pack(f"{order}{len(values)}{kind}", *values)
        if len(value) > 4:
            value, far = struct.pack(f"{order}I", after + len(far)), far + value
        directory += struct.pack(f"{order}HHI", tag, {"H": 3, "I": 4}[kind], len(values)) + value.ljust(4, b"\0")
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8 + len(data))
    return head + data + directory + bytes(4) + far
