"""Multiple imputation by chained equations: a draw from the predictive distribution of Bayesian ridge regression at
each step (van Buuren & Groothuis-Oudshoorn 2011). Each completion has a chain of its own, and so parameters of its
own."""

from functools import partial
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import BayesianRidge
from torch import Tensor

from genarena.tasks.imputing.base import Imputer, normals
from genarena.tasks.imputing.chained import LARGEST, Chain

ROUNDS, CHAINS = 10, 10


class MICE(Imputer):
    """Its estimate is the mean of its completions. Raises ValueError if more completions are asked for than it has
    chains."""

    name = "mice"
    paper = "10.18637/jss.v045.i03"

    def __init__(self, train: Tensor, seed: int = 0) -> None:
        self.seed, self.chains = seed, []
        for number in range(CHAINS):
            noise = np.random.default_rng([seed, number]).standard_normal((len(train), ROUNDS * train.shape[1]))
            chain = Chain(lambda number: BayesianRidge(), ROUNDS)
            self.chains.append(chain.fit(train.numpy(), partial(drawn, noise)))

    @classmethod
    def fits(cls, train: Tensor) -> bool:
        return len(train) * train.shape[1] ** 2 <= LARGEST

    def fill(self, x: Tensor) -> Tensor:
        return torch.where(x.isnan(), self.draws(x, CHAINS).mean(0), x)

    def draws(self, x: Tensor, num: int) -> Tensor:
        if num > CHAINS:
            raise ValueError(f"num_draws={num}: mice has {CHAINS} chains")
        noise = normals(x, CHAINS * ROUNDS, self.seed).unflatten(0, (CHAINS, ROUNDS)).transpose(1, 2).flatten(2).numpy()
        made = [chain.apply(x.numpy(), partial(drawn, z)) for chain, z in zip(self.chains[:num], noise, strict=False)]
        return torch.from_numpy(np.stack(made))


def drawn(noise: np.ndarray, model: Any, rows: np.ndarray, index: np.ndarray, number: int) -> np.ndarray:
    """mean + sd z, z = noise (N, number of fits)."""
    mean, sd = model.predict(rows, return_std=True)
    return mean + sd * noise[index, number]
