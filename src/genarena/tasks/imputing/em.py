"""A Gaussian fitted by expectation-maximisation: its conditional mean, and draws from its conditional distribution.

The covariance has a prior of the weight of a few rows, without which columns that nearly follow from others make it
singular.
"""

import torch
from torch import Tensor

from genarena.statistics import gaussian_em
from genarena.tasks.imputing.base import Imputer, normals

PRIOR = 0.01  # rows per column


class GaussianEM(Imputer):
    name = "gaussian_em"
    paper = "10.1111/j.2517-6161.1977.tb01600.x"

    def __init__(self, train: Tensor, seed: int = 0) -> None:
        self.fitted, self.seed = gaussian_em.fit(train, PRIOR * train.shape[1]), seed

    def fill(self, x: Tensor) -> Tensor:
        found = [gaussian_em.conditional(part, *self.fitted[:2]).mean for part in gaussian_em.chunks(x)]
        return torch.cat(found)

    def draws(self, x: Tensor, num: int) -> Tensor:
        return gaussian_em.draws(x, *self.fitted[:2], normals(x, num, self.seed))
