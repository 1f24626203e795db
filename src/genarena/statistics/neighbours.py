"""Nearest neighbours in chunks of bounded memory: distances to k-th neighbours, points in balls, nearest training images.

Balls are closed, as in Kynkaanniemi et al. 2019 (arXiv 1904.06991, eq. 1): a point at exactly the radius is inside. A small
tolerance keeps such points inside despite rounding.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

ROWS = 1024
COLUMNS = 8192


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """Squared Euclidean distances (N, M) between the rows of a (N, D) and b (M, D)."""
    norms = a.square().sum(1, keepdim=True) + b.square().sum(1)
    return torch.addmm(norms, a, b.T, alpha=-2.0).clamp_min_(0.0)


def squared_radii(points: Tensor, k: int) -> Tensor:
    """Squared distance of each point (N, D) to its k-th nearest other point, (N,) float64."""
    if len(points) <= k:
        raise ValueError(f"k={k}: needs more than {k} points, there are {len(points)}")
    # Far from the origin the rounding errors of the products would exceed the distances; therefore centred.
    points = points - points.mean(0)
    # k + 1, because the nearest point is the point itself.
    return torch.cat([_smallest(rows, points, k + 1)[0][:, -1] for rows in points.split(ROWS)])


def inside(points: Tensor, centres: Tensor, radii: Tensor) -> Iterator[Tensor]:
    """Boolean blocks (n, M), for n points at a time: which points are in which of the M balls. radii: squared, (M,)."""
    middle = centres.mean(0)
    points, centres = points - middle, centres - middle
    largest = max(rows.double().square().sum(1).max().item() for part in (points, centres) for rows in part.split(ROWS))
    limits = radii * (1.0 + 1e-9) + 1e-12 * largest
    for rows in points.split(ROWS):
        blocks = zip(centres.split(COLUMNS), limits.split(COLUMNS), strict=True)
        yield torch.cat([squared_distances(rows.double(), block.double()) <= limit for block, limit in blocks], dim=1)


def share_inside_any(points: Tensor, centres: Tensor, radii: Tensor) -> float:
    """Share of the points in at least one ball: precision, or recall if the two sets are swapped."""
    hits = sum(int(block.any(dim=1).sum()) for block in inside(points, centres, radii))
    return hits / len(points)


def mean_balls_entered(points: Tensor, centres: Tensor, radii: Tensor) -> float:
    """Mean over the points of the number of balls that contain the point."""
    return sum(int(block.sum()) for block in inside(points, centres, radii)) / len(points)


def share_balls_entered(points: Tensor, centres: Tensor, radii: Tensor) -> float:
    """Share of the balls with at least one point inside."""
    entered = torch.zeros(len(centres), dtype=torch.bool)
    for block in inside(points, centres, radii):
        entered |= block.any(dim=0)
    return int(entered.sum()) / len(centres)


def nearest_distances(queries: Tensor, reference: Tensor) -> Tensor:
    """Euclidean distance of each query (N, *shape) to the nearest row of the reference (M, *shape), (N,) float64."""
    return nearest(queries, reference)[0][:, 0]


def nearest(queries: Tensor, reference: Tensor, k: int = 1) -> tuple[Tensor, Tensor]:
    """Distances (N, k), float64, and indices (N, k) of the k nearest rows of the reference, the nearest first.

    The search uses float64, which is exact for integer levels. The distances to the neighbours that were found are computed
    again without cancellation, so that a copy has distance 0.
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
    """The k smallest squared distances (N, k) of each row to the points, ascending, and the indices (N, k) of these points."""
    values, index = torch.empty(len(rows), 0, dtype=torch.float64), torch.empty(len(rows), 0, dtype=torch.long)
    for first in range(0, len(points), COLUMNS):
        block = squared_distances(rows.double(), points[first : first + COLUMNS].double())
        found = block.topk(min(k, block.shape[1]), largest=False)
        values, index = torch.cat([values, found.values], 1), torch.cat([index, found.indices + first], 1)
        values, order = values.topk(min(k, values.shape[1]), largest=False)
        index = index.gather(1, order)
    return values, index
