"""Noise, blur and shifts of images: small ones in the training of the classifiers, larger ones in the disturbance suite."""

import torch
import torch.nn.functional as F
from torch import Tensor

from genarena.evaluation.classifier import RECIPE


def disturbed(unit: Tensor, generator: torch.Generator) -> Tensor:
    """Values (N, C, H, W) in [-1, 1], each image shifted, blurred and made noisy with probability `disturbed` each."""

    def drawn() -> Tensor:
        """(N, 1, 1, 1) uniform in [0, 1), or 0 for an image that is left as it is."""
        chance, strength = torch.rand(2, len(unit), 1, 1, 1, generator=generator)
        return strength * (chance < RECIPE["disturbed"])

    shifts = [
        torch.where(drawn() > 0, 2.0 * torch.rand(len(unit), 1, 1, 1, generator=generator) - 1.0, 0.0) for _ in "yx"
    ]
    unit = shifted(unit, *(_pixels(share, side) for share, side in zip(shifts, unit.shape[2:], strict=True)))
    unit = torch.lerp(unit, blurred(unit), RECIPE["blur"] * drawn())
    noise = torch.randn(unit.shape, generator=generator)
    return (unit + RECIPE["noise"] * drawn() * noise).clamp(-1.0, 1.0)


def _pixels(share: Tensor, side: int) -> Tensor:
    """(N,) int64: shares (N, 1, 1, 1) in [-1, 1] of the largest shift of a side, to pixels."""
    largest = min(max(1, int(RECIPE["shift"] * side)), side - 1)
    return (share.flatten() * (largest + 0.5)).round().long().clamp(-largest, largest)


def shifted(unit: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Images (N, C, H, W) moved by whole pixels (N,); what comes in repeats the border."""
    height, width = unit.shape[2:]
    rows = (torch.arange(height) - down[:, None]).clamp(0, height - 1)
    columns = (torch.arange(width) - right[:, None]).clamp(0, width - 1)
    return unit[torch.arange(len(unit))[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def blurred(unit: Tensor) -> Tensor:
    """Images (N, C, H, W) under the binomial filter (1, 2, 1) / 4 along both sides; borders are repeated."""
    kernel = torch.tensor([1.0, 2.0, 1.0]) / 4.0
    channels = unit.shape[1]
    padded = F.pad(unit, (1, 1, 1, 1), mode="replicate")
    return F.conv2d(padded, (kernel[:, None] * kernel).expand(channels, 1, 3, 3), groups=channels)
