"""Chained equations with forests (Stekhoven & Buhlmann 2012, doi 10.1093/bioinformatics/btr597).

Differs from the paper: 30 extremely randomised trees instead of 100 trees of a random forest; it stops as `Chain`
says, not when the change of a round grows; and it fills rows that were not seen.
"""

import torch
from sklearn.ensemble import ExtraTreesRegressor
from torch import Tensor

from genarena.tasks.imputing.base import Imputer
from genarena.tasks.imputing.chained import LARGEST, Chain, point

TREES, ROUNDS, TOLERANCE = 30, 5, 1e-2


class MissForest(Imputer):
    name = "miss_forest"
    paper = "10.1093/bioinformatics/btr597"

    def __init__(self, train: Tensor, seed: int = 0) -> None:
        def forest(number: int) -> ExtraTreesRegressor:
            return ExtraTreesRegressor(TREES, random_state=seed + number)

        self.chain = Chain(forest, ROUNDS, TOLERANCE).fit(train.numpy(), point)

    @classmethod
    def fits(cls, train: Tensor) -> bool:
        return len(train) * train.shape[1] ** 2 <= LARGEST

    def fill(self, x: Tensor) -> Tensor:
        return torch.from_numpy(self.chain.apply(x.numpy(), point))
