"""The exact posterior of a Gaussian model, x ~ N(m, S) given y = A x + sigma n, and of a mixture of Gaussians.

A posterior draw is x_0 + S A^T (A S A^T + sigma^2 I)^-1 (y - A x_0 - sigma n_0) for a draw x_0, n_0 of the prior and of the
noise (Matheron's rule; Hoffman & Ribak 1991, doi 10.1086/186160). Of a mixture the component comes first: k has the weight
pi_k N(y; A m_k, A S_k A^T + sigma^2 I).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from genarena.models.capabilities import Correlates
from genarena.models.mixing import Mixes
from genarena.tasks.linear.mask import Mask
from genarena.tasks.linear.operator import Operator
from genarena.tasks.linear.problem import Problem
from genarena.tasks.posterior.base import Draws, PosteriorSampler

FLOOR = 1e-12  # of the average variance: the least sigma^2, without which a constant dimension has no factorisation


@dataclass(frozen=True)
class ClosedForm(PosteriorSampler):
    """Posterior draws, exact."""

    name = "closed_form"
    needs = Correlates | Mixes
    exactness = "exact"
    lanes = 4096  # share one factorisation

    def draw(self, model: Correlates | Mixes, problem: Problem) -> Draws:
        if problem.condition is None:
            return Draws(_drawn(model, problem))
        x = torch.empty(problem.shape, dtype=torch.float64, device=problem.y.device)
        conditions, condition_of = problem.condition.unique(dim=0, return_inverse=True)
        for number in range(len(conditions)):
            lanes = (condition_of == number).nonzero().flatten()
            x[lanes] = _drawn(model, problem.rows(lanes), conditions[number : number + 1])
        return Draws(x)


def _drawn(model: Correlates | Mixes, problem: Problem, y: Tensor | None = None) -> Tensor:
    """One draw per lane of lanes with the same condition y (1, ...)."""
    if isinstance(model, Correlates):
        return posterior_draw(*model.moments(y), problem)
    weights, means, covariances = model.components(y)
    log_weights = log_posterior(weights, means, covariances, problem)
    u = problem.noise.uniform(torch.empty(len(problem), 1, dtype=torch.float64, device=problem.y.device))
    ends = torch.softmax(log_weights, 1).cumsum(1)
    chosen = (u >= ends).sum(1).clamp_max(len(means) - 1)
    x = torch.empty(problem.shape, dtype=torch.float64, device=problem.y.device)
    for k in chosen.unique().tolist():
        lanes = (chosen == k).nonzero().flatten()
        x[lanes] = posterior_draw(means[k], covariances[k], problem.rows(lanes))
    return x


def log_posterior(weights: Tensor, means: Tensor, covariances: Tensor, problem: Problem) -> Tensor:
    """log pi_k + log N(y; A m_k, A S_k A^T + sigma^2 I) (N, K) nats, of components as of `Mixes`."""
    found = [log_evidence(*each, problem) for each in zip(means, covariances, strict=True)]
    return torch.stack(found, 1) + weights.log()


def posterior_draw(mean: Tensor, covariance: Tensor, problem: Problem, root: Tensor | None = None) -> Tensor:
    """x (N, *shape), one exact draw per lane, float64. mean (D,), covariance (D, D) or its diagonal; root: `root_of` it."""
    y, operator = problem.y.double(), problem.operator
    z = problem.noise.normal(torch.empty(problem.shape, dtype=torch.float64, device=y.device)).flatten(1)
    n_0 = problem.noise.normal(y) * operator.observed.to(y.device)
    if covariance.dim() == 1 and isinstance(operator, Mask):
        x_0 = (mean + z * covariance.sqrt()).unflatten(1, problem.shape[1:])
        share = covariance / (covariance + _least(covariance, problem.sigma))
        return x_0 + share.view(problem.shape[1:]) * operator(y - x_0 - problem.sigma * n_0)
    covariance = _full(covariance)
    root = root_of(covariance) if root is None else root
    x_0 = (mean + z @ root.T).unflatten(1, problem.shape[1:])
    return x_0 + gain(covariance, operator, problem.sigma, y - operator(x_0) - problem.sigma * n_0)


def posterior_mean(mean: Tensor, covariance: Tensor, problem: Problem) -> Tensor:
    """m + S A^T (A S A^T + sigma^2 I)^-1 (y - A m): (N, *shape) float64."""
    y, operator = problem.y.double(), problem.operator
    m = mean.view(1, *problem.shape[1:])
    return m + gain(_full(covariance), operator, problem.sigma, y - operator(m))


def gain(covariance: Tensor, operator: Operator, sigma: float, residual: Tensor) -> Tensor:
    """S A^T (A S A^T + sigma^2 I)^-1 r of residuals (N, *observed_shape): (N, *shape), S (D, D). One factorisation for all
    examples with the same A."""
    made = torch.empty((len(residual), *operator.shape), dtype=covariance.dtype, device=residual.device)
    for lanes, alike in _alike(operator, residual):
        cross, factor = _factored(covariance, alike, sigma)
        made[lanes] = (torch.cholesky_solve(_kept(alike, residual[lanes]).T, factor).T @ cross.T).unflatten(
            1, operator.shape
        )
    return made


def log_evidence(mean: Tensor, covariance: Tensor, problem: Problem) -> Tensor:
    """log N(y; A m, A S A^T + sigma^2 I) (N,) nats."""
    operator, off = problem.operator, problem.y.double() - problem.operator(mean.view(1, *problem.shape[1:]))
    if covariance.dim() == 1 and isinstance(operator, Mask):
        variance = covariance + _least(covariance, problem.sigma)
        seen = operator.observed.to(off.device).expand(problem.shape).flatten(1).double()
        return -0.5 * (off.flatten(1).square() / variance + seen * (variance.log() + math.log(2.0 * math.pi))).sum(1)
    found = torch.empty(len(off), dtype=off.dtype, device=off.device)
    for lanes, alike in _alike(operator, off):
        residual = _kept(alike, off[lanes])
        _, factor = _factored(_full(covariance), alike, problem.sigma)
        white = torch.linalg.solve_triangular(factor, residual.T, upper=False).square().sum(0)
        log_det = factor.diagonal().log().sum()
        found[lanes] = -0.5 * (white + math.log(2.0 * math.pi) * residual.shape[1]) - log_det
    return found


def _alike(operator: Operator, residual: Tensor) -> Iterator[tuple[slice | Tensor, Operator]]:
    """Lanes of `residual` that share their A, and the operator of one of them."""
    observed = operator.observed.to(residual.device).expand(-1, *operator.observed_shape).flatten(1)
    if len(observed) == 1:
        yield slice(None), operator
        return
    masks, mask_of = observed.unique(dim=0, return_inverse=True)
    for number in range(len(masks)):
        lanes = (mask_of == number).nonzero().flatten()
        yield lanes, operator.rows(lanes[:1])


def _kept(operator: Operator, residual: Tensor) -> Tensor:
    """What is measured, (N, M)."""
    kept = operator.observed.to(residual.device).expand(1, *operator.observed_shape).flatten()
    return residual.flatten(1)[:, kept]


def _factored(covariance: Tensor, operator: Operator, sigma: float) -> tuple[Tensor, Tensor]:
    """S A^T (D, M), and the Cholesky factor of A S A^T + sigma^2 I (M, M)."""
    cross, square = operator.of_covariance(covariance)
    return cross, torch.linalg.cholesky(_ridged(square, _least(covariance.diagonal(), sigma)))


def _least(variances: Tensor, sigma: float) -> float:
    return max(sigma**2, FLOOR * variances.mean().item())


def root_of(covariance: Tensor) -> Tensor:
    """R (D, D) with R R^T = S, where a variance of a 1e-10 of the average one is added."""
    return torch.linalg.cholesky(_ridged(covariance, 1e-10 * covariance.diagonal().mean().item()))


def _full(covariance: Tensor) -> Tensor:
    return covariance.diag() if covariance.dim() == 1 else covariance


def _ridged(square: Tensor, ridge: float) -> Tensor:
    return square + ridge * torch.eye(len(square), dtype=square.dtype, device=square.device)
