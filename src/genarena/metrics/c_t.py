"""Data copying: far below 0 if samples are nearer to the training set than test examples are (Meehan et al. 2020).

arXiv 2004.05675. Space is divided into cells. In every cell a Mann-Whitney test compares the distances of samples to the cell's
nearest training example with those of test examples. C_T is the mean of the z values, weighted by the number of test examples
(section 3). Far below 0 means copying, far above 0 samples unlike the data, about 0 neither.

As in the paper, cells are k-means clusters of the training set, 50 for 10,000 samples, and a cell is used if it has at
least 20 samples. With fewer samples there are fewer cells, one for every 200. Differs from the paper: by default features
of the domain classifiers instead of an autoencoder's; for vectors, the vectors themselves.
"""

import math
from typing import Any

from torch import Tensor

from genarena.metrics.base import ArenaMetric, Unavailable
from genarena.statistics.copying import ranked
from genarena.statistics.neighbours import nearest, nearest_distances
from genarena.statistics.rows import finite_rows

FEWEST = 20  # samples in a cell that is used
FAR_BELOW = -6.0  # standard deviations under the null, for an alarm
NEARER = 0.95  # and the probability that a sample is nearer than a test example: what is merely typical stays below


class CT(ArenaMetric):
    """sum over cells of P_n(cell) Z_U(cell) / sum over cells of P_n(cell).

    For samples as new as test examples its expectation is 0 and its standard deviation `null_sd` of the record, not 1.
    """

    title = "C_T"
    higher_is_better = None
    towards_real = True

    def __init__(self) -> None:
        super().__init__()
        self.cells: list[dict[str, Any]] = []
        self.counts: dict[str, int] = {}

    def update(self, train_cells: Tensor, train_features: Tensor, real_features: Tensor, fake_features: Tensor) -> None:
        """Centres (K, F) of the cells; features (L, F), (N, F) and (M, F) of training examples, test examples and samples."""
        sets = {
            "n_train": ("training", train_features),
            "n_real": ("real", real_features),
            "n": ("fake", fake_features),
        }
        rows = {count: finite_rows(name, features) for count, (name, features) in sets.items()}
        self.counts = {count: len(part) for count, part in rows.items()}
        places = {count: nearest(part, train_cells.to(part.dtype))[1][:, 0] for count, part in rows.items()}
        self.cells = []
        for cell in range(len(train_cells)):
            own, test, samples = (part[places[count] == cell] for count, part in rows.items())
            if len(samples) >= FEWEST and len(test) and len(own):
                found = ranked(*(nearest_distances(part, own) for part in (samples, test)))
                self.cells.append({"n": len(samples), "n_real": len(test), **found._asdict()})

    def compute(self) -> float:
        if not self.cells:
            raise Unavailable(f"no cell holds {FEWEST} samples and a test example")
        return self._mean("z")

    def _mean(self, name: str) -> float:
        """Over the cells, weighted by their test examples."""
        return sum(cell["n_real"] * cell[name] for cell in self.cells) / self._weight

    @property
    def _weight(self) -> int:
        return sum(cell["n_real"] for cell in self.cells)

    def _spread(self, errors: list[float]) -> float:
        """Standard deviation of the mean over cells, from those in the cells."""
        squares = (cell["n_real"] ** 2 * error**2 for cell, error in zip(self.cells, errors, strict=True))
        return math.sqrt(sum(squares)) / self._weight

    def record(self) -> dict[str, Any]:
        """`cells`: the cells that are used: z, its standard error, and the probability `below` that a sample is nearer to the
        training examples than a test example."""
        null_sd = self._spread([1.0] * len(self.cells))
        facts = {
            **self.counts,
            "standard_error": self._spread([cell["error"] for cell in self.cells]),
            "null_sd": null_sd,
            "real": 0.0,
            "real_from": "test",
            "fewest": FEWEST,
            "cells": self.cells,
        }
        nearer, distance = self._mean("below"), self._mean("z") / null_sd
        if distance > FAR_BELOW or nearer < NEARER:
            return facts
        text = f"a sample is nearer to the training examples than a test example with probability {nearer:.2f}"
        return facts | {"alarm": f"{text} ({distance:.0f} standard deviations below that of new data)"}
