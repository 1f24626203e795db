"""What a task does to images before a method has to undo it."""

import torch
from torch import Tensor

from genarena.data.batches import seeded_generator


def to_image(levels: Tensor, num_levels: int) -> Tensor:
    """Integer levels (N, C, H, W) to float64 in [0, 1]."""
    return levels.double() / (num_levels - 1)


def noise(levels: Tensor, seed: int) -> Tensor:
    """Standard normal noise, float64 of the shape of `levels`. That of an image depends on its content and the seed alone, so
    that it is the same for every model, order and batch size."""
    shape = levels.shape[1:]
    draws = [
        torch.randn(shape, generator=seeded_generator(seed, image.numpy().tobytes()), dtype=torch.float64)
        for image in levels.contiguous().cpu()
    ]
    return torch.stack(draws)


def to_8_bit(x: Tensor) -> Tensor:
    """Images in [0, 1], clamped and rounded to 256 levels: as a picture file has them."""
    return (x.clamp(0.0, 1.0) * 255.0).round() / 255.0
