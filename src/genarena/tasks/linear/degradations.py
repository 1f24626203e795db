"""Degradations by name: an operator and a noise level.

Units: images are in [0, 1], and so is sigma. Masks that differ from image to image, and all noise, depend on the content of the
image and the seed alone, so that they are the same for every model, order and batch size.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from genarena.data.batches import seeded_generator
from genarena.tasks.linear.mask import Mask, identity
from genarena.tasks.linear.operator import Operator

SIGMA = 0.05  # of all but denoising
MISSING = 0.7  # of a random mask


@dataclass(frozen=True)
class Degradation:
    """sigma: in units of [0, 1]. operator: (shape of an image, contents of the images, seed) to A."""

    name: str
    sigma: float
    operator: Callable[[tuple[int, ...], list[bytes], int], Operator]


def center(shape: tuple[int, ...], contents: list[bytes], seed: int) -> Operator:
    """A box of half the side is missing in the middle: 14 of 28, 16 of 32 pixels."""
    (height, width), m = shape[-2:], torch.ones((1, *shape), dtype=torch.bool)
    top, left = height // 4, width // 4
    m[..., top : top + height // 2, left : left + width // 2] = False
    return Mask(m)


def half(shape: tuple[int, ...], contents: list[bytes], seed: int) -> Operator:
    """The lower half is missing."""
    m = torch.ones((1, *shape), dtype=torch.bool)
    m[..., shape[-2] // 2 :, :] = False
    return Mask(m)


def random(shape: tuple[int, ...], contents: list[bytes], seed: int) -> Operator:
    """70% of the pixels are missing, all channels of a pixel together."""
    kept = [torch.rand(shape[-2:], generator=seeded_generator(seed, "mask", each)) >= MISSING for each in contents]
    return Mask(torch.stack(kept)[:, None].expand(-1, *shape))


INPAINTING = {"center": center, "half": half, "random": random}
DEGRADATIONS = {f"inpaint_{name}": Degradation(f"inpaint_{name}", SIGMA, make) for name, make in INPAINTING.items()}


def denoising(sigma: float) -> Degradation:
    """A = I."""
    return Degradation(f"denoise_{sigma:g}", sigma, lambda shape, contents, seed: identity(shape))


def degradation(name: str) -> Degradation:
    """By its name; `denoise_<sigma>` for any sigma. Raises KeyError."""
    kind, _, sigma = name.partition("_")
    return denoising(float(sigma)) if kind == "denoise" else DEGRADATIONS[name]


def noise(contents: list[bytes], shape: tuple[int, ...], seed: int) -> Tensor:
    """Standard normal noise (N, *shape), float64."""
    draws = [torch.randn(shape, generator=seeded_generator(seed, each), dtype=torch.float64) for each in contents]
    return torch.stack(draws)
