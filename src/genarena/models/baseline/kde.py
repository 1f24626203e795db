"""Kernel density estimate (Parzen 1962, doi 10.1214/aoms/1177704472), with the bandwidth that is best without oneself.

The bandwidth maximises the leave-one-out likelihood of the examples (Duin 1976, doi 10.1109/TC.1976.1674577): each is scored
by the kernels of all others. It follows from the stored examples alone, so it is no parameter and in no file.

Integer data is modelled through u = x + U[0, 1)^D: kernels stand at the middles of the bins, and the likelihood is a bound.
With `data.condition=label` there is a density, and a bandwidth, per label.
"""

import math
from typing import Any

import torch
from torch import Tensor

from genarena.likelihood import Likelihood, dequantised_levels, log_mean_exp, quantise
from genarena.models.baseline.by_label import ByLabel, num_labels
from genarena.models.baseline.reservoir import Reservoir
from genarena.options.values import Count, Positive
from genarena.spec import DataSpec
from genarena.training.module import Training

GRID, NARROWEST = 25, 1e-3  # bandwidths tried first, down to this share of the distance between two examples
REFINEMENTS = 30  # steps of golden-section search between the neighbours of the best
CHUNK = 1000  # rows whose distances to all examples are in memory at once


class KDE(ByLabel):
    """p(u) = (1/M) sum_i N(u; x_i, h^2 I) over M training examples, h in units of the data, or of levels.

    capacity: largest M, over all labels; a uniform random subset of the training set. bandwidth: h; None: the best one.
    num_scored: examples whose leave-one-out likelihood finds it, among all M.
    """

    paper = "10.1214/aoms/1177704472"
    max_epochs = 1
    takes_missing = False

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        capacity: Count = 10_000,
        bandwidth: Positive | None = None,
        num_scored: Count = 500,
    ) -> None:
        share = math.ceil(capacity / max(1, num_labels(spec)))
        super().__init__(spec, training, lambda plain: KDE(plain, None, share, bandwidth, num_scored))
        self.given, self.num_scored = bandwidth, num_scored
        self._found: tuple[int, float] | None = None  # a number of examples seen, and its bandwidth
        if not self.per_label:
            self.reservoir = Reservoir(spec, capacity)

    @property
    def likelihood(self) -> Likelihood:
        return Likelihood.LOWER_BOUND if self.spec.is_discrete else Likelihood.EXACT

    def learn(self, x: Tensor) -> None:
        self.reservoir.offer(x)

    def loss(self, batch: Any) -> dict[str, Tensor]:
        """`loss` is 0: nothing is minimised."""
        return {"loss": torch.zeros((), device=self.device)}

    # -- bandwidth

    @property
    def bandwidth(self) -> float:
        """h: given, or that of the examples stored now."""
        if self.given is not None:
            return self.given
        seen = int(self.reservoir.count)
        if self._found is None or self._found[0] != seen:
            self._found = (seen, self.best_bandwidth())
        return self._found[1]

    def _load_from_state_dict(self, *args: Any) -> None:
        self._found = None
        super()._load_from_state_dict(*args)

    @torch.no_grad()
    def best_bandwidth(self) -> float:
        """The maximum of the leave-one-out likelihood: a grid of logarithms, then golden-section search."""
        squared = self.squared_distances_to_others()
        scale = (
            (squared[squared.isfinite()].mean() / self.spec.num_dims / 2.0).sqrt().item() if len(squared) > 1 else 0.0
        )
        if not scale > 0.0:  # one example, or all alike
            return (self.spec.num_levels or 1) / 12.0**0.5
        grid = torch.linspace(math.log(NARROWEST * scale), math.log(2.0 * scale), GRID).tolist()
        scores = [self.leave_one_out(squared, math.exp(each)) for each in grid]
        best = max(range(GRID), key=scores.__getitem__)
        low, high, ratio = grid[max(0, best - 1)], grid[min(GRID - 1, best + 1)], (5.0**0.5 - 1.0) / 2.0
        for _ in range(REFINEMENTS):
            left, right = high - ratio * (high - low), low + ratio * (high - low)
            left_is_better = self.leave_one_out(squared, math.exp(left)) > self.leave_one_out(squared, math.exp(right))
            low, high = (low, right) if left_is_better else (left, high)
        return math.exp(0.5 * (low + high))

    def squared_distances_to_others(self) -> Tensor:
        """(n, M) float64 of the first n stored examples, dequantised with noise of a fixed seed; infinite to oneself."""
        centres = self.centres()
        first = centres[: self.num_scored]
        if self.spec.is_discrete:
            noise = torch.rand(first.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
            first = first + noise.to(first.device) - 0.5
        squared = squared_distances(first, centres)
        return squared.fill_diagonal_(math.inf)

    def leave_one_out(self, squared: Tensor, bandwidth: float) -> float:
        """Mean log-likelihood, nats, of examples under the kernels of all M - 1 others; squared (n, M): their distances."""
        return log_kernels(squared, bandwidth, self.spec.num_dims, squared.shape[1] - 1).mean().item()

    # -- density

    def centres(self) -> Tensor:
        """(M, D) float64; an integer level stands for the middle of its bin."""
        return self._points(self.reservoir.memory[: self.reservoir.size])

    def _points(self, x: Tensor) -> Tensor:
        return x.flatten(1).double() + (0.5 if self.spec.is_discrete else 0.0)

    def _log_density(self, u: Tensor) -> Tensor:
        """log p(u), (N,) float64 nats, of points u (N, ...)."""
        centres, bandwidth = self.centres(), self.bandwidth
        parts = (squared_distances(part, centres) for part in u.flatten(1).double().split(CHUNK))
        return torch.cat([log_kernels(part, bandwidth, self.spec.num_dims, len(centres)) for part in parts])

    def log_p(self, x: Tensor, num_samples: int) -> Tensor:
        """(N,) nats: exact for continuous data, else the importance-weighted bound of `num_samples` draws of noise."""
        if not self.spec.is_discrete:
            return self._log_density(x).float()
        return log_mean_exp(self.log_w(x, num_samples))

    def log_p_of_u(self, u: Tensor) -> Tensor:
        levels, log_scale = dequantised_levels(u, self.spec)
        return (self._log_density(levels) + log_scale).to(u.dtype)

    def log_w(self, x: Tensor, num_samples: int) -> Tensor:
        """Equal rows where the likelihood is exact."""
        if not self.spec.is_discrete:
            return self.log_p(x, 1).expand(num_samples, -1)
        levels = x.flatten(1).double()
        return torch.stack([self._log_density(levels + torch.rand_like(levels)) for _ in range(num_samples)]).float()

    def estimator(self, num_samples: int = 1) -> dict[str, Any]:
        if not self.spec.is_discrete:
            return {"method": "closed form"}
        method = "importance-weighted over dequantisation noise"
        return {"method": method, "dequantisation": "uniform", "dequantisation_draws": num_samples}

    def layers(self, x: Tensor) -> dict[str, Tensor]:
        """`distances`: to the first 100 places for examples, in bandwidths per dimension; one that is empty is at 0."""
        squared = squared_distances(self._points(x), self._points(self.reservoir.memory[:100]))
        return {"distances": (squared / self.spec.num_dims).sqrt().float() / self.bandwidth}

    # -- samples

    def draw(self, num_samples: int) -> Tensor:
        index = torch.randint(self.reservoir.size, (num_samples,), device=self.device)
        chosen = self._points(self.reservoir.memory[index])
        u = (chosen + self.bandwidth * torch.randn(chosen.shape, device=self.device)).unflatten(1, self.spec.shape)
        return quantise(u / self.spec.num_levels, self.spec.num_levels) if self.spec.is_discrete else u.float()


def squared_distances(u: Tensor, centres: Tensor) -> Tensor:
    """(N, M) of points u (N, D) to the centres (M, D), float64."""
    cross = u.square().sum(1, keepdim=True) + centres.square().sum(1) - 2.0 * u @ centres.T
    return cross.clamp_min(0.0)


def log_kernels(squared: Tensor, bandwidth: float, num_dims: int, num_centres: int) -> Tensor:
    """log of the mean over `num_centres` kernels, (N,) nats, at squared distances (N, M)."""
    constant = math.log(num_centres) + num_dims * math.log(bandwidth * math.sqrt(2.0 * math.pi))
    return torch.logsumexp(-squared / (2.0 * bandwidth**2), 1) - constant
