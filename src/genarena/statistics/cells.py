"""Cells of space: the points nearest to each of a few centres, found by k-means."""

import torch
from torch import Tensor

MOST_CELLS = 50
POINTS_PER_CELL = 200
STARTS = 10  # of k-means, of which the best is taken


def num_cells(points: int) -> int:
    """One cell for every 200 points to compare, at most 50."""
    return max(1, min(MOST_CELLS, points // POINTS_PER_CELL))


def centres(points: Tensor, cells: int) -> Tensor:
    """Centres (K, D) of k-means clusters of points (N, D), K = `cells` or, with fewer points, N. The starts depend on the order
    of the points."""
    from sklearn.cluster import KMeans

    found = KMeans(min(cells, len(points)), n_init=STARTS, random_state=0).fit(points.numpy())
    return torch.from_numpy(found.cluster_centers_)
