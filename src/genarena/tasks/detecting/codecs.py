"""Sizes of images as files of lossless codecs: PNG and WebP, as Pillow writes them."""

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from genarena.spec import DataSpec

CODECS = {"png": {"format": "PNG"}, "webp": {"format": "WEBP", "lossless": True}}


def can_be_written(spec: DataSpec) -> bool:
    """Whether these codecs have such images: at most 256 levels, 1 or 3 channels."""
    return spec.is_image and spec.is_discrete and spec.num_levels <= 256 and spec.shape[0] in (1, 3)


def bits(x: Tensor, codec: str) -> Tensor:
    """Bits of the files, with their headers, of levels (N, C, H, W): (N,) float64. One file per image."""
    sizes = [_size(image, codec) for image in x.permute(0, 2, 3, 1).numpy()]
    return 8.0 * torch.tensor(sizes, dtype=torch.float64)


def _size(image: np.ndarray, codec: str) -> int:
    file = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(file, **CODECS[codec])
    return file.tell()
