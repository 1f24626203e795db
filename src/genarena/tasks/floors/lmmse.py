"""The linear estimator with the smallest mean squared error (LMMSE): the posterior mean of a Gaussian with the mean and the
covariance of the training images. One posterior draw of the same Gaussian stands beside it.

The covariance is shrunk towards the average variance v, S = (1 - w) C + w v I, by the weight w with the smallest expected
squared error (Ledoit & Wolf 2004, doi 10.1016/S0047-259X(03)00096-4): w falls with 1 / n, and keeps draws from being too
narrow where images are few for their size.
"""

import torch
from torch import Tensor

from genarena.tasks.floors.base import Floor
from genarena.tasks.linear.operator import Operator
from genarena.tasks.linear.problem import Problem
from genarena.tasks.posterior.closed_form import posterior_draw, posterior_mean, root_of

LARGEST, AT_ONCE = 4096, 4096  # dimensions, 128 MiB of float64; images


class LMMSE(Floor):
    """E[x | y] and a draw of p(x | y) for x ~ N(m, S), m and S of the training images. At most 4096 dimensions."""

    name = "lmmse"
    paper = "10.1016/S0047-259X(03)00096-4"
    settings = {"shrinkage": "Ledoit-Wolf"}

    def __init__(self, train: Tensor) -> None:
        super().__init__(train)
        if train[0].numel() <= LARGEST:
            self.mean, self.covariance = shrunk_moments(train.flatten(1))
            self.root = root_of(self.covariance)

    def fits(self, operator: Operator, sigma: float) -> bool:
        return self.train[0].numel() <= LARGEST

    def restore(self, problem: Problem, strength: float) -> Tensor:
        return posterior_mean(self.mean, self.covariance, problem)

    def draw(self, problem: Problem) -> Tensor:
        return posterior_draw(self.mean, self.covariance, problem, self.root)


def shrunk_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (D,) and shrunk covariance (D, D) of rows (N, D), float64."""
    num, dims = x.shape
    mean = x.mean(0, dtype=torch.float64)
    scatter, fourth = torch.zeros(dims, dims, dtype=torch.float64), 0.0
    for part in x.split(AT_ONCE):
        centred = part.double() - mean
        scatter.addmm_(centred.T, centred)
        fourth += centred.square().sum(1).square().sum().item()
    c = scatter / num
    average = c.diagonal().mean()
    spread = c.square().sum() - dims * average**2  # |C - v I|^2
    error = min((fourth / num - c.square().sum().item()) / num, spread.item())  # E|C - S|^2
    weight = error / spread.item() if spread > 0 else 0.0
    return mean, (1.0 - weight) * c + weight * average * torch.eye(dims, dtype=torch.float64)
