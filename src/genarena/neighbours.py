"""Nearest neighbours in chunks of bounded memory: k-th neighbour radii, membership in balls, nearest training image.

Balls are closed, as in Kynkaanniemi et al. 2019 (arXiv 1904.06991, eq. 1): a point at exactly the radius is inside. The
slack below keeps such ties inside whatever way the matrix product was cut up and rounded.
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
    """Squared distance of each point (N, D) to its k-th nearest other point, (N,)."""
    if len(points) <= k:
        raise ValueError(f"k={k}: needs more than {k} points, there are {len(points)}")
    chunks = [squared_distances(rows, points).topk(k + 1, largest=False).values[:, -1] for rows in points.split(ROWS)]
    return torch.cat(chunks)  # the nearest of all is the point itself, hence k + 1


def inside(points: Tensor, centres: Tensor, radii: Tensor) -> Iterator[Tensor]:
    """Boolean blocks (n, M): which of the M balls each of the next n points lies in."""
    slack = 1e-12 * torch.maximum(points.square().sum(1).max(), centres.square().sum(1).max())
    limits = radii * (1.0 + 1e-9) + slack
    for rows in points.split(ROWS):
        yield squared_distances(rows, centres) <= limits


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
    """Euclidean distance of each query (N, *shape) to the nearest row of the reference (M, *shape), (N,) float64.

    Integer levels are searched in float32 and the distance to the neighbour found is computed again exactly, so a copy
    has distance 0; floats are searched in float64.
    """
    queries, reference = queries.flatten(1), reference.flatten(1)
    dtype = torch.float64 if reference.is_floating_point() else torch.float32
    best = torch.full((len(queries),), torch.inf, dtype=dtype)
    index = torch.zeros(len(queries), dtype=torch.long)
    for first in range(0, len(reference), COLUMNS):
        block = reference[first : first + COLUMNS].to(dtype)
        for start in range(0, len(queries), ROWS):
            rows = slice(start, start + ROWS)
            value, column = squared_distances(queries[rows].to(dtype), block).min(dim=1)
            closer = value < best[rows]
            best[rows] = torch.where(closer, value, best[rows])
            index[rows] = torch.where(closer, column + first, index[rows])
    pairs = zip(queries.split(ROWS), index.split(ROWS), strict=True)
    return torch.cat([(rows.double() - reference[at].double()).square().sum(1).sqrt() for rows, at in pairs])
