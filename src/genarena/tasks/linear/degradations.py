"""Degradations by name: an operator and a noise level.

Units: images are in [0, 1], and so is sigma. Masks that differ from image to image, and all noise, depend on the content of the
image and the seed alone, so that they are the same for every model, order and batch size.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from genarena.data.batches import seeded_generator
from genarena.options.hints import nearest
from genarena.spec import DataSpec
from genarena.tasks.linear.block_mean import BlockMean
from genarena.tasks.linear.channel_mean import ChannelMean
from genarena.tasks.linear.convolution import Convolution, gaussian_kernel, motion_kernel
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


def smaller(k: int) -> Callable[..., Operator]:
    """Super-resolution: y are the means of blocks of k x k pixels."""
    return lambda shape, contents, seed: BlockMean(shape, k)


def blurred(kernel: Tensor) -> Callable[..., Operator]:
    return lambda shape, contents, seed: Convolution(shape, kernel)


def grey(shape: tuple[int, ...], contents: list[bytes], seed: int) -> Operator:
    """Colorization: y is the mean of red, green and blue."""
    if shape[0] != 3:
        raise ValueError(f"needs images with 3 channels, and these have {shape[0]}")
    return ChannelMean(shape)


def denoising(sigma: float) -> Degradation:
    """A = I. Raises ValueError unless 0 < sigma <= 1."""
    if not 0.0 < sigma <= 1.0:
        raise ValueError(f"sigma={sigma:g}: expected numbers above 0, at most 1, in units of [0, 1]")
    return Degradation(f"denoise_{sigma:g}", sigma, lambda shape, contents, seed: identity(shape))


INPAINTING = {"center": center, "half": half, "random": random}
OPERATORS: dict[str, Callable[[tuple[int, ...], list[bytes], int], Operator]] = {
    **{f"inpaint_{name}": make for name, make in INPAINTING.items()},
    "sr2": smaller(2),
    "sr4": smaller(4),
    "blur_gaussian": blurred(gaussian_kernel(9, 1.5)),
    "blur_motion": blurred(motion_kernel(9, 30.0)),
    "colorize": grey,
}
NAMES = ("denoise_0.1", "denoise_0.25", *OPERATORS)


def degradation(name: str) -> Degradation:
    """By its name; `denoise_<sigma>` for any sigma. Raises ValueError."""
    kind, _, sigma = name.partition("_")
    if kind == "denoise":
        try:
            return denoising(float(sigma))
        except ValueError as error:
            raise ValueError(f"{name}: expected denoise_<sigma>, with sigma above 0, at most 1") from error
    if name not in OPERATORS:
        raise ValueError(
            f"{name}: there is no such degradation{nearest(name, NAMES)}; available: denoise_<sigma>, {', '.join(OPERATORS)}"
        )
    return Degradation(name, SIGMA, OPERATORS[name])


def refusal(name: str, shape: tuple[int, ...]) -> str:
    """Why images of a shape cannot be degraded this way, in one line with the name; "" if they can."""
    try:
        degraded = degradation(name)
    except ValueError as error:
        return str(error)
    if len(shape) != 3:
        return f"{name}: needs images (C, H, W), and the shape is {tuple(shape)}"
    if min(shape[1:]) < 2:
        return f"{name}: needs images of at least 2 x 2 pixels, and these have {shape[1]} x {shape[2]}"
    try:
        degraded.operator(shape, [b""], 0)
    except ValueError as error:
        return f"{name}: {error}"
    return ""


def names(spec: DataSpec) -> tuple[str, ...]:
    """Of the list, those that fit the data."""
    return tuple(name for name in NAMES if not refusal(name, spec.shape))


def noise(contents: list[bytes], shape: tuple[int, ...], seed: int) -> Tensor:
    """Standard normal noise (N, *shape), float64."""
    draws = [torch.randn(shape, generator=seeded_generator(seed, each), dtype=torch.float64) for each in contents]
    return torch.stack(draws)
