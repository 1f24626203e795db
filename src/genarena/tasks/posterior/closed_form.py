"""The exact posterior of a Gaussian model: x ~ N(m, S) given y = A x + sigma n.

A posterior draw is x_0 + S A^T (A S A^T + sigma^2 I)^-1 (y - A x_0 - sigma n_0) for a draw x_0, n_0 of the prior and of the
noise (Matheron's rule; Hoffman & Ribak 1991, doi 10.1086/186160).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from genarena.models.capabilities import Correlates
from genarena.tasks.linear.operator import Operator
from genarena.tasks.linear.problem import Problem
from genarena.tasks.posterior.base import Draws, PosteriorSampler

FLOOR = 1e-12  # of the average variance: the least sigma^2, without which a constant dimension has no factorisation


@dataclass(frozen=True)
class ClosedForm(PosteriorSampler):
    """Posterior draws, exact."""

    name = "closed_form"
    needs = Correlates
    exactness = "exact"
    lanes = 4096  # share one factorisation

    def draw(self, model: Correlates, problem: Problem) -> Draws:
        mean, covariance = model.moments()
        return Draws(posterior_draw(mean, covariance, problem))


def posterior_draw(mean: Tensor, covariance: Tensor, problem: Problem, root: Tensor | None = None) -> Tensor:
    """x (N, *shape), one exact draw per lane, float64. mean (D,), covariance (D, D) or its diagonal; root: `root_of` it."""
    y, operator = problem.y.double(), problem.operator
    covariance = _full(covariance)
    root = root_of(covariance) if root is None else root
    z = problem.noise.normal(torch.empty(problem.shape, dtype=torch.float64, device=y.device)).flatten(1)
    x_0 = (mean + z @ root.T).unflatten(1, problem.shape[1:])
    n_0 = problem.noise.normal(y) * operator.observed.to(y.device)
    return x_0 + gain(covariance, operator, problem.sigma, y - operator(x_0) - problem.sigma * n_0)


def posterior_mean(mean: Tensor, covariance: Tensor, problem: Problem) -> Tensor:
    """m + S A^T (A S A^T + sigma^2 I)^-1 (y - A m): (N, *shape) float64."""
    y, operator = problem.y.double(), problem.operator
    m = mean.view(1, *problem.shape[1:])
    return m + gain(_full(covariance), operator, problem.sigma, y - operator(m))


def gain(covariance: Tensor, operator: Operator, sigma: float, residual: Tensor) -> Tensor:
    """S A^T (A S A^T + sigma^2 I)^-1 r of residuals (N, *observed_shape): (N, *shape), S (D, D). One factorisation for all
    examples with the same A."""
    observed = operator.observed.to(residual.device).expand(-1, *operator.observed_shape).flatten(1)
    if len(observed) == 1:
        return _gain(covariance, operator, sigma, residual)
    made = torch.empty((len(residual), *operator.shape), dtype=covariance.dtype, device=residual.device)
    masks, mask_of = observed.unique(dim=0, return_inverse=True)
    for number in range(len(masks)):
        lanes = (mask_of == number).nonzero().flatten()
        made[lanes] = _gain(covariance, operator.rows(lanes[:1]), sigma, residual[lanes])
    return made


def _gain(covariance: Tensor, operator: Operator, sigma: float, residual: Tensor) -> Tensor:
    kept = operator.observed.to(residual.device).expand(1, *operator.observed_shape).flatten()
    cross, square = operator.of_covariance(covariance)
    factor = torch.linalg.cholesky(_ridged(square, max(sigma**2, FLOOR * covariance.diagonal().mean().item())))
    return (torch.cholesky_solve(residual.flatten(1)[:, kept].T, factor).T @ cross.T).unflatten(1, operator.shape)


def root_of(covariance: Tensor) -> Tensor:
    """R (D, D) with R R^T = S, where a variance of a 1e-10 of the average one is added."""
    return torch.linalg.cholesky(_ridged(covariance, 1e-10 * covariance.diagonal().mean().item()))


def _full(covariance: Tensor) -> Tensor:
    return covariance.diag() if covariance.dim() == 1 else covariance


def _ridged(square: Tensor, ridge: float) -> Tensor:
    return square + ridge * torch.eye(len(square), dtype=square.dtype, device=square.device)
