"""Sizes of the same images as PNG and as lossless WebP: one file per image, in memory, at the highest effort.

Grey images of two levels are stored with 1 bit per pixel, all others with 8 bits per value, unscaled. WebP has no grey
pictures: all three channels are equal, which its lossless transforms remove. Each file has its own header, as in a folder of
pictures; for small images the headers are a large part of the size.
"""

import io

import numpy as np
from PIL import Image
from torch import Tensor

from genarena.files.progress import Bars

FORMATS = {
    "png": {"format": "PNG", "optimize": True},
    "webp": {"format": "WEBP", "lossless": True, "quality": 100, "method": 6, "exact": True},
}


def picture_bits_per_dim(x: Tensor, num_levels: int, name: str, bars: Bars) -> float | None:
    """Mean bits/dim over images (N, C, H, W), uint8 levels; `name` is a key of `FORMATS`. None unless C is 1 or 3."""
    if x.shape[1] not in (1, 3):
        return None
    size = sum(len(encode(image, num_levels, name)) for image in bars.track(x, f"{name} files"))
    return 8.0 * size / x.numel()


def encode(image: Tensor, num_levels: int, name: str) -> bytes:
    """One image (C, H, W) as the content of a file."""
    levels = image.permute(1, 2, 0).numpy()
    picture = Image.fromarray(levels.squeeze(-1) if levels.shape[-1] == 1 else np.ascontiguousarray(levels))
    if num_levels == 2 and levels.shape[-1] == 1:
        picture = Image.fromarray(levels.squeeze(-1) == 1)
    buffer = io.BytesIO()
    (picture.convert("RGB") if name == "webp" else picture).save(buffer, **FORMATS[name])
    return buffer.getvalue()
