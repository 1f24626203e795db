"""Data copying: are samples nearer to the training set than test examples are? (Meehan et al. 2020, arXiv 2004.05675)

Space is divided into cells. In every cell a Mann-Whitney test compares the distances of samples to the cell's nearest
training example with those of test examples. C_T is the mean of the z values, weighted by the number of test examples
(section 3). Far below 0 means copying, far above 0 samples unlike the data, about 0 neither.

As in the paper, cells are k-means clusters of the training set, 50 for 10,000 samples, and a cell is used if it has at
least 20 samples. With fewer samples there are fewer cells, one for every 200. Differs from the paper: by default features
of the domain classifier instead of an autoencoder's; for vectors, the vectors themselves.
"""

from typing import Any

import numpy as np
from scipy.stats import rankdata
from sklearn.cluster import KMeans
from torch import Tensor

from genarena.metrics.base import ArenaMetric, Unavailable, finite_rows, joined
from genarena.statistics.neighbours import nearest_distances

MOST_CELLS = 50
SAMPLES_PER_CELL = 200
FEWEST = 20  # samples in a cell that is used


def partition(train: Tensor, num_cells: int) -> KMeans:
    """Voronoi cells of k-means centres of the training rows (L, F); the initial centres depend on the rows' order."""
    return KMeans(min(num_cells, len(train)), n_init=1, random_state=0).fit(train.numpy())


def mann_whitney_z(fake: np.ndarray, real: np.ndarray) -> float:
    """(U - m n / 2) / sqrt(m n (m + n + 1) / 12), U the number of (sample, test) pairs whose sample is further away."""
    m, n = len(fake), len(real)
    u = rankdata(np.concatenate([fake, real]))[:m].sum() - m * (m + 1) / 2
    return float((u - m * n / 2) / np.sqrt(m * n * (m + n + 1) / 12))


class CT(ArenaMetric):
    """sum over cells of P_n(cell) Z_U(cell) / sum over cells of P_n(cell)."""

    title = "C_T"
    unit = "z"
    higher_is_better = None

    def __init__(self) -> None:
        super().__init__()
        for name in ("train_rows", "real_rows", "fake_rows"):
            self.add_state(name, default=[], dist_reduce_fx="cat")
        self.cells: list[dict[str, Any]] = []

    def update(self, train_features: Tensor, real_features: Tensor, fake_features: Tensor, train_order: Tensor) -> None:
        """Features (L, F), (N, F) and (M, F) of the training examples, test examples and samples.

        `train_order` (L,): an order by the content of the examples; features may differ in the last bit.
        """
        self.train_rows = [finite_rows("training", train_features[train_order])]
        self.real_rows.append(finite_rows("real", real_features))
        self.fake_rows.append(finite_rows("fake", fake_features))

    def compute(self) -> float:
        train, real, fake = (joined(rows) for rows in (self.train_rows, self.real_rows, self.fake_rows))
        num_cells = max(1, min(MOST_CELLS, len(fake) // SAMPLES_PER_CELL))
        cells = partition(train, num_cells)
        in_train, in_real, in_fake = (cells.predict(rows.numpy()) for rows in (train, real, fake))
        self.cells = []
        for cell in range(cells.n_clusters):
            own, test, samples = train[in_train == cell], real[in_real == cell], fake[in_fake == cell]
            if len(samples) < FEWEST or not len(test) or not len(own):
                continue
            distances = (nearest_distances(rows, own).numpy() for rows in (samples, test))
            self.cells.append({"n": len(samples), "n_real": len(test), "z": mann_whitney_z(*distances)})
        if not self.cells:
            raise Unavailable(f"no cell holds {FEWEST} samples and a test example")
        weights = [cell["n_real"] for cell in self.cells]
        return float(np.average([cell["z"] for cell in self.cells], weights=weights))

    def record(self) -> dict[str, Any]:
        """`cells`: the cells that are used, with their z."""
        return {
            "n": sum(map(len, self.fake_rows)),
            "n_real": sum(map(len, self.real_rows)),
            "n_train": sum(map(len, self.train_rows)),
            "fewest": FEWEST,
            "cells": self.cells,
        }
