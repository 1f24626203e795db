"""Nearest neighbours in chunks of bounded memory: k-th neighbour radii, membership in balls, nearest training images.

Balls are closed, as in Kynkaanniemi et al. 2019 (arXiv 1904.06991, eq. 1): a point at exactly the radius is inside. A small
slack keeps such points inside although the distances are rounded.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

ROWS = 1024
COLUMNS = 8192


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """(N, D) and (M, D) to (N, M)."""
    norms = a.square().sum(1, keepdim=True) + b.square().sum(1)
    return torch.addmm(norms, a, b.T, alpha=-2.0).clamp_min_(0.0)


def squared_radii(points: Tensor, k: int) -> Tensor:
    """Squared distance of each point (N, D) to its k-th nearest other point, (N,) float64."""
    if len(points) <= k:
        raise ValueError(f"k={k}: needs more than {k} points, there are {len(points)}")
    points = points - points.mean(
        0
    )  # centred: far from the origin the rounding of the products would exceed the distances
    return torch.cat([_smallest(rows, points, k + 1)[0][:, -1] for rows in points.split(ROWS)])  # the nearest is itself


def inside(points: Tensor, centres: Tensor, radii: Tensor) -> Iterator[Tensor]:
    """Boolean blocks (n, M): which of the M balls each of the next n points lies in."""
    middle = centres.mean(0)
    points, centres = points - middle, centres - middle
    largest = max(rows.double().square().sum(1).max().item() for part in (points, centres) for rows in part.split(ROWS))
    limits = radii * (1.0 + 1e-9) + 1e-12 * largest
    for rows in points.split(ROWS):
        blocks = zip(centres.split(COLUMNS), limits.split(COLUMNS), strict=True)
        yield torch.cat([squared_distances(rows.double(), block.double()) <= limit for block, limit in blocks], dim=1)


def share_inside_any(points: Tensor, centres: Tensor, radii: Tensor) -> float:
    """Share of the points that lie in at least one ball: precision, or recall with the roles exchanged."""
    hits = sum(int(block.any(dim=1).sum()) for block in inside(points, centres, radii))
    return hits / len(points)


def mean_balls_entered(points: Tensor, centres: Tensor, radii: Tensor) -> float:
    """Mean over the points of the number of balls that hold them."""
    return sum(int(block.sum()) for block in inside(points, centres, radii)) / len(points)


def share_balls_entered(points: Tensor, centres: Tensor, radii: Tensor) -> float:
    """Share of the balls that hold at least one point."""
    entered = torch.zeros(len(centres), dtype=torch.bool)
    for block in inside(points, centres, radii):
        entered |= block.any(dim=0)
    return int(entered.sum()) / len(centres)


def nearest_distances(queries: Tensor, reference: Tensor) -> Tensor:
    """Euclidean distance of each query (N, *shape) to the nearest row of the reference (M, *shape), (N,) float64."""
    return nearest(queries, reference)[0][:, 0]


def nearest(queries: Tensor, reference: Tensor, k: int = 1) -> tuple[Tensor, Tensor]:
    """Distances (N, k), float64, and indices (N, k) of the k nearest rows of the reference, the nearest first.

    Searched in float64, which is exact for integer levels, and the distances to the neighbours found are computed again
    without cancellation, so a copy has distance 0.
    """
    queries, reference = queries.flatten(1), reference.flatten(1)
    distances, indices = [], []
    for rows in queries.split(ROWS):
        index = _smallest(rows, reference, k)[1]
        exact, order = (rows.double()[:, None] - reference[index].double()).square().sum(2).sqrt().sort(dim=1)
        distances.append(exact)
        indices.append(index.gather(1, order))
    return torch.cat(distances), torch.cat(indices)


def _smallest(rows: Tensor, points: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k smallest squared distances from each row to the points, ascending, and which points they are."""
    values, index = torch.empty(len(rows), 0, dtype=torch.float64), torch.empty(len(rows), 0, dtype=torch.long)
    for first in range(0, len(points), COLUMNS):
        block = squared_distances(rows.double(), points[first : first + COLUMNS].double())
        found = block.topk(min(k, block.shape[1]), largest=False)
        values, index = torch.cat([values, found.values], 1), torch.cat([index, found.indices + first], 1)
        values, order = values.topk(min(k, values.shape[1]), largest=False)
        index = index.gather(1, order)
    return values, index
