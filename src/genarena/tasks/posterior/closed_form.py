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


@dataclass(frozen=True)
class ClosedForm(PosteriorSampler):
    """Posterior draws, exact."""

    name = "closed_form"
    needs = Correlates
    exactness = "exact"

    def draw(self, model: Correlates, problem: Problem) -> Draws:
        mean, covariance = model.moments()
        return Draws(posterior_draw(mean, covariance, problem))


def posterior_draw(mean: Tensor, covariance: Tensor, problem: Problem) -> Tensor:
    """x (N, *shape), one exact draw per lane, float64. mean (D,), covariance (D, D) or its diagonal."""
    y, operator = problem.y.double(), problem.operator
    covariance = covariance.diag() if covariance.dim() == 1 else covariance
    root = torch.linalg.cholesky(covariance + 1e-10 * covariance.diagonal().mean() * torch.eye(len(mean)).to(mean))
    z = problem.noise.normal(torch.empty(problem.shape, dtype=torch.float64, device=y.device)).flatten(1)
    x_0 = (mean + z @ root.T).unflatten(1, problem.shape[1:])
    n_0 = problem.noise.normal(y) * operator.observed.to(y.device)
    return x_0 + gain(covariance, operator, problem.sigma, y - operator(x_0) - problem.sigma * n_0)


def posterior_mean(mean: Tensor, covariance: Tensor, problem: Problem) -> Tensor:
    """m + S A^T (A S A^T + sigma^2 I)^-1 (y - A m): (N, *shape) float64."""
    y, operator = problem.y.double(), problem.operator
    covariance = covariance.diag() if covariance.dim() == 1 else covariance
    m = mean.view(1, *problem.shape[1:])
    return m + gain(covariance, operator, problem.sigma, y - operator(m))


def gain(covariance: Tensor, operator: Operator, sigma: float, residual: Tensor) -> Tensor:
    """S A^T (A S A^T + sigma^2 I)^-1 r of residuals (N, *observed_shape): (N, *shape). One solve for all if A is shared."""
    observed = operator.observed.to(residual.device)
    if len(observed) > 1:
        parts = [
            _gain(covariance, operator.rows(slice(k, k + 1)), sigma, residual[k : k + 1]) for k in range(len(residual))
        ]
        return torch.cat(parts)
    return _gain(covariance, operator, sigma, residual)


def _gain(covariance: Tensor, operator: Operator, sigma: float, residual: Tensor) -> Tensor:
    shape, kept = operator.shape, operator.observed.to(residual.device).expand(1, *operator.observed_shape).flatten()
    rows = operator(covariance.unflatten(1, shape)).flatten(1)[:, kept]  # S A^T (D, M), since S is symmetric
    square = operator(rows.T.unflatten(1, shape)).flatten(1)[:, kept]  # A S A^T (M, M)
    square = square + sigma**2 * torch.eye(len(square), dtype=square.dtype, device=square.device)
    return (torch.linalg.solve(square, residual.flatten(1)[:, kept].T).T @ rows.T).unflatten(1, shape)
