"""Degrees of the units of a masked autoencoder (MADE, arXiv 1502.03509, sec. 4): who may see whom."""

from collections.abc import Sequence

import torch
from torch import Tensor

from genarena.spec import DataSpec

MASKS_SEED = 1502  # fixed: the masks belong to the model and do not depend on the seed of a run


def raster_degrees(shape: Sequence[int]) -> Tensor:
    """Position 1 .. D of every dimension in the raster scan, channels last; (D,) in the order of `x.flatten(1)`."""
    channels, positions = (shape[0], shape[1] * shape[2]) if len(shape) == 3 else (1, shape[0])
    return (torch.arange(positions) * channels + torch.arange(channels)[:, None] + 1).flatten()


def draw_degrees(spec: DataSpec, hidden: Sequence[int], num_masks: int, order_agnostic: bool) -> list[Tensor]:
    """Degrees (num_masks, width) of the inputs, then of every hidden layer. order_agnostic: an order of its own per mask."""
    generator, dims = torch.Generator().manual_seed(MASKS_SEED), spec.num_dims
    orders = raster_degrees(spec.shape).expand(num_masks, -1)
    if order_agnostic:
        orders = torch.stack([order[torch.randperm(dims, generator=generator)] for order in orders])
    degrees = [orders.to(torch.int16 if dims < 2**15 else torch.int32)]
    for width in hidden:
        lowest = degrees[-1].min(1).values  # a unit of a lower degree would have no inputs
        rows = [torch.randint(int(low), max(dims - 1, int(low)) + 1, (width,), generator=generator) for low in lowest]
        degrees.append(torch.stack(rows).to(degrees[0].dtype))
    return degrees
