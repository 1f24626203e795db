"""Chained equations: column after column is predicted from all others, round after round, from a start with column
means (van Buuren & Groothuis-Oudshoorn 2011, doi 10.18637/jss.v045.i03).

The regressors of every round are kept, and applied in the same order to rows that were not seen. Columns go from the
one with the fewest hidden entries to the one with the most.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

LARGEST = 2_000_000  # rows times columns squared, for what fits many regressors
Predict = Callable[[Any, np.ndarray, np.ndarray, int], np.ndarray]


class Chain:
    """regressor: (number of the fit) to an estimator of scikit-learn. tolerance: it stops when a round changes no
    entry by more than this share of the largest magnitude; 0: all rounds.

    predict: (fitted regressor, rows (N, D - 1), which of all N rows they are, number of the fit) to values; here a
    point prediction, in MICE a draw. Filled values are kept in the observed range of their column, [low, high], as
    scikit-learn's option min_value would.
    """

    def __init__(self, regressor: Callable[[int], Any], rounds: int, tolerance: float = 0.0) -> None:
        self.regressor, self.rounds, self.tolerance = regressor, rounds, tolerance
        self.steps: list[tuple[int, Any]] = []

    def fit(self, train: np.ndarray, predict: Predict) -> "Chain":
        """train: (N, D) with NaN. A column that is complete in training gets a regressor too: it may have holes
        later."""
        hidden = np.isnan(train)
        self.mean = np.nanmean(train, 0)
        self.low, self.high = np.nanmin(train, 0), np.nanmax(train, 0)
        x, order = np.where(hidden, self.mean, train), np.argsort(hidden.mean(0), kind="stable")
        bound = self.tolerance * np.nanmax(np.abs(train))
        for _ in range(self.rounds):
            before = x.copy()
            for d in order.tolist():
                others, rows = np.delete(x, d, 1), ~hidden[:, d]
                model = self.regressor(len(self.steps)).fit(others[rows], train[rows, d])
                self.steps.append((d, model))
                self._step(x, hidden, len(self.steps) - 1, predict)
            if np.abs(x - before).max() <= bound:
                break
        return self

    def apply(self, rows: np.ndarray, predict: Predict) -> np.ndarray:
        """Fill rows (N, D) with NaN."""
        hidden = np.isnan(rows)
        x = np.where(hidden, self.mean, rows)
        for number in range(len(self.steps)):
            self._step(x, hidden, number, predict)
        return x

    def _step(self, x: np.ndarray, hidden: np.ndarray, number: int, predict: Predict) -> None:
        d, model = self.steps[number]
        rows = np.flatnonzero(hidden[:, d])
        if len(rows):
            x[rows, d] = predict(model, np.delete(x[rows], d, 1), rows, number).clip(self.low[d], self.high[d])


def point(model: Any, rows: np.ndarray, index: np.ndarray, number: int) -> np.ndarray:
    return model.predict(rows)
