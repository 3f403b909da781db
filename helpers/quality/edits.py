"""What happens to pictures as people pass them on: small edits, image -> image, the same for the same picture."""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageOps

Edit = Callable[[Image.Image], Image.Image]


def crop(image: Image.Image) -> Image.Image:
    """Cut off a tenth on every side."""
    width, height = image.size
    return image.crop((width // 10, height // 10, width - width // 10, height - height // 10))


def half(image: Image.Image) -> Image.Image:
    """Keep the middle: half of the width and of the height."""
    width, height = image.size
    left, top = width // 4, height // 4
    return image.crop((left, top, left + max(1, width // 2), top + max(1, height // 2)))


def rotate(image: Image.Image) -> Image.Image:
    """Turn the picture by 15 degrees; the empty corners are white."""
    return image.rotate(15, resample=Image.Resampling.BICUBIC, fillcolor="white")


def turn(image: Image.Image) -> Image.Image:
    """Turn the picture by 90 degrees."""
    return image.transpose(Image.Transpose.ROTATE_90)


def jpeg(image: Image.Image) -> Image.Image:
    """Save the picture as a very small JPEG (quality 10), and open the JPEG."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=10)
    return Image.open(file).convert("RGB")


def color_shift(image: Image.Image) -> Image.Image:
    """Turn every hue by a third of the color circle: red becomes green, green blue, blue red."""
    hue, saturation, value = image.convert("HSV").split()
    turned = ((np.asarray(hue).astype(np.uint16) + 85) % 256).astype(np.uint8)
    return Image.merge("HSV", (Image.fromarray(turned), saturation, value)).convert("RGB")


def caption(image: Image.Image) -> Image.Image:
    """Write a line across the lower part, white on a black band, as on a picture that people pass around."""
    copy = image.copy()
    width, height = copy.size
    draw = ImageDraw.Draw(copy)
    draw.rectangle((0, height - height // 5, width, height), fill="black")
    size = max(6, min(height // 8, width // 10))
    draw.text((width / 2, height - height / 10), "LOOK AT THIS", fill="white", anchor="mm", font_size=size)
    return copy


EDITS: dict[str, Edit] = {
    "JPEG, quality 10": jpeg,
    "crop a tenth": crop,
    "flip": ImageOps.mirror,
    "caption": caption,
    "rotate 15°": rotate,
    "color shift": color_shift,
    "crop to half": half,
    "turn 90°": turn,
}
