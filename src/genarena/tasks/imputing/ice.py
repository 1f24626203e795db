"""Chained equations with Bayesian ridge regression (MacKay 1992), point predictions: what scikit-learn's
IterativeImputer does by default. That class is experimental, and its fit and transform differ (issue 14383), so the
chain is our own."""

import torch
from sklearn.linear_model import BayesianRidge
from torch import Tensor

from genarena.tasks.imputing.base import Imputer
from genarena.tasks.imputing.chained import Chain, point

ROUNDS, TOLERANCE = 10, 1e-3


class ICE(Imputer):
    name = "ice"
    paper = "10.18637/jss.v045.i03"

    def __init__(self, train: Tensor, seed: int = 0) -> None:
        self.chain = Chain(lambda number: BayesianRidge(), ROUNDS, TOLERANCE).fit(train.numpy(), point)

    def fill(self, x: Tensor) -> Tensor:
        return torch.from_numpy(self.chain.apply(x.numpy(), point))
