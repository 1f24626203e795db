"""Distances between two sets of rows of the same size, in the units of the rows; 0 for equal sets."""

import torch
from torch import Tensor

SLICES = 100


def energy_distance(x: Tensor, y: Tensor) -> float:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'| of the two sets as they are, over the square root of the number of columns (Szekely
    & Rizzo 2013, doi 10.1016/j.jspi.2013.03.018)."""
    x, y = x.double(), y.double()
    across, within = torch.cdist(x, y).mean(), torch.cdist(x, x).mean() + torch.cdist(y, y).mean()
    return ((2.0 * across - within) / x.shape[1] ** 0.5).item()


def sliced_w2(x: Tensor, y: Tensor) -> float:
    """sqrt(E_u W2^2(u.X, u.Y)) over `SLICES` fixed random unit directions u (Bonneel et al. 2015, doi
    10.1007/s10851-014-0506-3)."""
    generator = torch.Generator().manual_seed(0)
    u = torch.nn.functional.normalize(torch.randn(x.shape[1], SLICES, generator=generator, dtype=torch.float64), dim=0)
    gaps = (x.double() @ u).sort(0).values - (y.double() @ u).sort(0).values
    return gaps.square().mean().sqrt().item()
