"""Squared Euclidean distances: bounds in single precision for all pairs of two sets, exact ones for the pairs that matter.

A block of distances is one matrix product in float32. Its rounding errors are bounded for any order of summation (Higham 2002,
doi 10.1137/1.9780898718027, sec. 3.5), so a comparison with a radius is either certain or doubtful. Doubtful pairs are
computed again in float64 as sum (a - b)^2, without cancellation. Results are therefore those of float64, ties included.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

UNIT = 2.0**-24  # rounding unit of float32
PARTS = 2048  # features that are summed in one product: fewer make a tighter bound
TINY = 1e-30  # larger than any loss by underflow of values that are scaled to at most 1
SOME = 256  # rows whose median is the centre; any centre gives the same results
DENSE = 32  # above this share (1/32) of a block, the whole block is computed exactly
IN_CACHE = 2**17  # float64 numbers that are worked on at once
IN_MEMORY = 2**23  # float64 numbers of rows that are compared with all others


@dataclass(frozen=True)
class Points:
    """exact: the rows (N, D) as given. single: the same in float32, centred, and scaled by `scale` to a norm of at most 1.
    norms: squared norms after scaling, (N,) float64."""

    exact: Tensor
    single: Tensor
    norms: Tensor
    scale: float

    def __len__(self) -> int:
        return len(self.exact)

    def __getitem__(self, rows: slice | Tensor) -> "Points":
        return Points(self.exact[rows], self.single[rows], self.norms[rows], self.scale)


def prepared(*sets: Tensor, device: torch.device | None = None) -> list[Points]:
    """The sets (N, *shape) with a common centre and scale. device: where blocks are computed; the CPU unless it is a GPU with
    float64."""
    device = device if device is not None and device.type == "cuda" else torch.device("cpu")
    sets = [rows.flatten(1).to(device) for rows in sets if len(rows)]
    centre = torch.cat([rows[:: max(1, len(rows) // SOME)] for rows in sets]).double().median(0).values
    reach = torch.stack([(end.double() - centre).abs() for rows in sets for end in rows.aminmax(dim=0)]).amax(0)
    # A power of two, so that scaling rounds nothing.
    scale = 2.0 ** -math.ceil(math.log2(max(reach.norm().item(), 1e-150)))
    return [_scaled(rows, centre, scale) for rows in sets]


def _chunks(rows: Tensor, elements: int) -> Sequence[Tensor]:
    return rows.split(max(1, elements // max(1, rows.shape[1])))


def _scaled(rows: Tensor, centre: Tensor, scale: float) -> Points:
    single = torch.empty(rows.shape, dtype=torch.float32, device=rows.device)
    norms = torch.empty(len(rows), dtype=torch.float64, device=rows.device)
    parts = zip(*(_chunks(whole, IN_CACHE) for whole in (rows, single)), strict=True)
    for (part, kept), norm in zip(parts, norms.split(len(_chunks(rows, IN_CACHE)[0])), strict=True):
        moved = (part.double() - centre).mul_(scale)
        kept.copy_(moved)
        norm.copy_(moved.square_().sum(1))
    return Points(rows, single, norms, scale)


def uncertainty(dims: int) -> float:
    """c with |computed - true| <= c (|a|^2 + |b|^2), for squared distances of rows with this many features."""
    return (min(dims, PARTS) + dims / PARTS + 16) * UNIT


class Bounds(NamedTuple):
    """lower: a block (n, M) of lower bounds of scaled squared distances. slack: the upper bound of pair (i, j) is
    lower + slack[0][i] + slack[1][j]."""

    lower: Tensor
    slack: tuple[Tensor, Tensor]


def bounds(a: Points, b: Points) -> Bounds:
    """Bounds of the squared distances, times `scale` squared, between all rows of a and of b."""
    c = uncertainty(a.single.shape[1])
    slack = [(2 * c * part.norms + 2 * TINY).float() for part in (a, b)]
    lower = ((1 - c) * a.norms - TINY).float()[:, None] + ((1 - c) * b.norms - TINY).float()
    with exact_products():
        for left, right in zip(a.single.split(PARTS, 1), b.single.split(PARTS, 1), strict=True):
            lower.addmm_(left, right.T, alpha=-2.0)
    return Bounds(lower, tuple(slack))


@contextmanager
def exact_products() -> Iterator[None]:
    """Products of float32 matrices in float32: no TF32 and no bfloat16, whatever training has asked for."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def exact(a: Points, b: Points, rows: Tensor, columns: Tensor) -> Tensor:
    """Squared distances, float64, of the pairs (a[rows[p]], b[columns[p]])."""
    if len(rows) * DENSE > len(a) * len(b):
        return every(a, b)[rows, columns]
    at_once = max(1, IN_CACHE // max(1, a.exact.shape[1]))
    pairs = zip(rows.split(at_once), columns.split(at_once), strict=True)
    found = [(a.exact[row].double() - b.exact[column].double()).square_().sum(1) for row, column in pairs]
    return torch.cat(found) if found else torch.empty(0, dtype=torch.float64, device=a.exact.device)


def every(a: Points, b: Points) -> Tensor:
    """Squared distances (N, M), float64, of all pairs, as sums of squared differences."""
    columns = [part.double() for part in _chunks(b.exact, IN_MEMORY)]
    blocks = []
    for rows in _chunks(a.exact, IN_MEMORY):
        rows = rows.double()
        parts = [torch.cdist(rows, part, compute_mode="donot_use_mm_for_euclid_dist") for part in columns]
        blocks.append(torch.cat(parts, 1).square_())
    return torch.cat(blocks)
