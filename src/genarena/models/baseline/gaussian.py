"""Gaussian with the mean and the covariance of the training set, fitted in closed form in one pass.

Batches are merged by the update of Chan, Golub & LeVeque (1979, doi 10.1007/978-3-642-51461-6_3), in float64.
Integer data is modelled through its dequantised version u = x + U[0, 1)^D. Its moments are known without drawing noise:
mean(x) + 1/2 and cov(x) + I/12. With `covariance: diagonal` the mass of a level is an exact difference of normal
distribution functions; the two edge levels are open-ended, so that the masses sum to one. With `covariance: full` the mass
is an integral over a D-dimensional cell without a closed form; the density in the cell gives a lower bound instead. Mass
that the Gaussian puts outside [0, L)^D is lost.
With holes in the training rows (`data.missing`) the two are those of expectation-maximisation, over all rows at once.
With `data.condition=label` there is a Gaussian per label: quadratic discriminant analysis.
The covariance is shrunk towards the average variance, with the weight of `shrinkage` * D observations. Without this, pixels
that are constant in the training set would dominate the score.
"""

import math
from typing import Any

import torch
from torch import Tensor

from genarena.errors import counted
from genarena.likelihood import Likelihood, dequantised_levels, log_mean_exp, quantise
from genarena.models.baseline.by_label import ByLabel, num_labels
from genarena.models.capabilities import Correlates
from genarena.spec import Batch, DataSpec
from genarena.statistics import gaussian_em
from genarena.training.module import Training

LARGEST_FULL = 4096  # dimensions: 128 MiB of float64


class Gaussian(ByLabel, Correlates):
    """log p(u) = -1/2 [(u - mean)^T C^-1 (u - mean) + log det C + D log 2 pi],  C = ((n S + k v I) / (n + k)) + I/12.

    S is the sample covariance of n examples, v its average variance, k = shrinkage * D; I/12 for integer data only.
    Raises ValueError for an unknown `covariance`, and for full ones, of all labels, of more than 4096^2 numbers.
    """

    takes_sound = True
    paper = "10.1007/978-3-642-51461-6_3"
    max_epochs = 1

    def __init__(
        self, spec: DataSpec, training: Training | None = None, covariance: str = "full", shrinkage: float = 0.01
    ) -> None:
        if covariance not in ("full", "diagonal"):
            raise ValueError(f"covariance={covariance!r}: expected full or diagonal")
        if covariance == "full":
            _check_size(spec)
        if shrinkage <= 0:
            raise ValueError(f"shrinkage={shrinkage}: expected a positive number")
        super().__init__(spec, training, lambda plain: Gaussian(plain, None, covariance, shrinkage))
        self.is_full, self.shrinkage = covariance == "full", shrinkage
        if self.per_label:
            return
        dims, centre = spec.num_dims, (spec.num_levels - 1) / 2 if spec.is_discrete else 0.0
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("mean", torch.full((dims,), centre, dtype=torch.float64))
        self.register_buffer("scatter", torch.zeros((dims, dims) if self.is_full else (dims,), dtype=torch.float64))

    @property
    def likelihood(self) -> Likelihood:
        return Likelihood.LOWER_BOUND if self.is_full and self.spec.is_discrete else Likelihood.EXACT

    def learn(self, x: Tensor) -> None:
        """Adds the examples to the statistics. With holes they are those of `training_data`; ValueError if that was not
        called."""
        if self.spec.missing:
            if self.count == 0:
                raise ValueError("rows with holes are fitted all at once: call training_data(data) first")
            return
        self._update(x.flatten(1).double())

    def training_data(self, data: Any, device: torch.device) -> Any:
        """With holes the model is fitted here, to all training rows."""
        if self.spec.missing:
            x = data.training_split.x.flatten(1).double()
            for model, rows in self.parts(data.training_split.given(self.spec.condition), len(x)):
                model._fit(x[rows])
        return data

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """`loss` is 0: nothing is minimised."""
        return {"loss": torch.zeros((), device=self.device)}

    def draw(self, num_samples: int) -> Tensor:
        noise = torch.randn(num_samples, self.spec.num_dims, device=self.device, dtype=torch.float64)
        spread = noise @ self._factor().T if self.is_full else noise * self._factor()
        x = (self._centre() + spread).unflatten(1, self.spec.shape)
        return quantise(x / self.spec.num_levels, self.spec.num_levels) if self.spec.is_discrete else x.float()

    def log_p(self, x: Tensor, num_samples: int) -> Tensor:
        """(N,) nats. Diagonal, or continuous data: exact. Full on integers: a bound, see `_log_mass_bound`."""
        x = x.flatten(1).double()
        if not self.spec.is_discrete:
            if self.spec.missing and x.isnan().any():  # of what is observed
                covariance = self.covariance() if self.is_full else self.covariance().diag()
                return gaussian_em.conditional(x, self.mean, covariance).log_prob.float()
            return self._log_density(x, self._factor()).float()
        return (self._log_mass_bound(x, num_samples) if self.is_full else self._log_mass(x)).float()

    def log_p_of_u(self, u: Tensor) -> Tensor:
        x, log_scale = dequantised_levels(u, self.spec)
        return (self._log_density(x, self._factor()) + log_scale).to(u.dtype)

    def log_w(self, x: Tensor, num_samples: int) -> Tensor:
        """For integers and a full covariance."""
        return self._log_weights(x.flatten(1).double(), self._factor(), num_samples).float()

    def layers(self, x: Tensor) -> dict[str, Tensor]:
        """`whitened`: L^-1 (u - mean) with C = L L^T, u the middle of a level's cell."""
        u = x.flatten(1).double() + (0.5 if self.spec.is_discrete else 0.0)
        return {"whitened": self._white(u, self._factor()).float()}

    def estimator(self, num_samples: int = 1) -> dict[str, Any]:
        if self.likelihood is Likelihood.EXACT:
            return {"method": "closed form"}
        if num_samples == 1:
            return {"method": "closed form of the mean over dequantisation noise", "dequantisation": "uniform"}
        return {
            "method": "importance-weighted over dequantisation noise",
            "dequantisation": "uniform",
            "dequantisation_draws": num_samples,
        }

    def covariance(self) -> Tensor:
        """Covariance (D, D), or its diagonal (D,), after shrinkage; for integers, of the dequantised data."""
        dims, levels = self.spec.num_dims, self.spec.num_levels
        prior = self.shrinkage * dims
        diagonal = self.scatter.diagonal() if self.is_full else self.scatter
        expected = levels**2 / 12 if levels else 1.0  # one pseudo-observation: defined before any data
        average = (diagonal.mean() + expected) / (self.count + 1)
        covariance = self.scatter / (self.count + prior)
        ridge = average * prior / (self.count + prior) + (1 / 12 if levels else 0.0)
        return covariance + (ridge * torch.eye(dims, device=self.device) if self.is_full else ridge)

    def moments(self, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Of the levels themselves: without the variance 1/12 of the dequantisation noise."""
        if self.per_label:
            return self.of_one(y).moments()
        mean, covariance = self.mean, self.covariance()
        if not self.spec.is_discrete:
            return mean, covariance
        scale = 2.0 / (self.spec.num_levels - 1)
        uniform = torch.eye(len(mean), device=self.device, dtype=mean.dtype) / 12 if self.is_full else 1 / 12
        return scale * mean - 1.0, scale**2 * (covariance - uniform)

    def _fit(self, x: Tensor) -> None:
        """The scatter of rows x (N, D) with NaN, expected given what is observed; the prior of EM is taken out of it again."""
        num, prior = len(x), self.shrinkage * x.shape[1]
        if self.is_full:
            mean, covariance, _ = gaussian_em.fit(x, prior)
            average = gaussian_em.average_variance(x)
            scatter = (num + prior) * covariance - prior * average * torch.eye(x.shape[1], dtype=x.dtype)
        else:
            mean = x.nanmean(0)
            scatter = num * (x - mean).square().nanmean(0)
        for buffer, value in ((self.mean, mean), (self.scatter, scatter), (self.count, torch.tensor(float(num)))):
            buffer.copy_(value)

    def _update(self, x: Tensor) -> None:
        """Merge the moments of a batch: n_AB = n_A + n_B, M_AB = M_A + M_B + delta delta^T n_A n_B / n_AB."""
        size, batch_mean = len(x), x.mean(0)
        delta, centred, total = batch_mean - self.mean, x - batch_mean, self.count + size
        weight = self.count * size / total
        if self.is_full:
            self.scatter.addmm_(centred.T, centred).addr_(delta * weight, delta)
        else:
            self.scatter.add_(centred.square().sum(0) + weight * delta.square())
        self.mean.add_(delta * size / total)
        self.count.copy_(total)

    def _centre(self) -> Tensor:
        return self.mean + (0.5 if self.spec.is_discrete else 0.0)

    def _factor(self) -> Tensor:
        """Cholesky factor (D, D), or standard deviations (D,). NaN if the covariance of damaged weights has none."""
        if not self.is_full:
            return self.covariance().sqrt()
        factor, failed = torch.linalg.cholesky_ex(self.covariance())
        return torch.where(failed > 0, math.nan, factor)

    def _log_density(self, u: Tensor, factor: Tensor) -> Tensor:
        white, scales = self._white(u, factor), factor.diagonal() if self.is_full else factor
        return -0.5 * white.square().sum(1) - scales.log().sum() - 0.5 * self.spec.num_dims * math.log(2 * math.pi)

    def _white(self, u: Tensor, factor: Tensor) -> Tensor:
        centred = u - self._centre()
        return torch.linalg.solve_triangular(factor, centred.T, upper=False).T if self.is_full else centred / factor

    def _log_mass_bound(self, x: Tensor, num_samples: int) -> Tensor:
        """log P(x) >= E log p(x + noise), in closed form for one draw; else the importance-weighted bound of k draws.

        E log p(x + noise) = log p(x + 1/2) - tr(C^-1) / 24: the noise has mean 1/2 and variance 1/12 per dimension.
        """
        factor = self._factor()
        if num_samples == 1:
            return self._log_density(x + 0.5, factor) - torch.cholesky_inverse(factor).trace() / 24
        return log_mean_exp(self._log_weights(x, factor, num_samples))

    def _log_weights(self, x: Tensor, factor: Tensor, num_samples: int) -> Tensor:
        return torch.stack([self._log_density(x + torch.rand_like(x), factor) for _ in range(num_samples)])

    def _log_mass(self, x: Tensor) -> Tensor:
        """sum_i log[Phi((x_i + 1 - centre) / s) - Phi((x_i - centre) / s)], the edge levels open-ended."""
        centred, scale = x - self._centre(), self._factor()
        lower = torch.where(x <= 0, -math.inf, centred / scale)
        upper = torch.where(x >= self.spec.num_levels - 1, math.inf, (centred + 1) / scale)
        flip = lower > 0  # differences in the upper tail cancel; mirrored into the lower tail they do not
        lower, upper = torch.where(flip, -upper, lower), torch.where(flip, -lower, upper)
        log_lower, log_upper = torch.special.log_ndtr(lower), torch.special.log_ndtr(upper)
        return (log_upper + torch.log(-torch.expm1(log_lower - log_upper))).sum(1)


def _check_size(spec: DataSpec) -> None:
    dims, labels = spec.num_dims, num_labels(spec)
    if dims > LARGEST_FULL:
        raise ValueError(f"covariance=full: {counted(dims, 'dimension')}, at most {LARGEST_FULL}; use diagonal")
    if labels * dims**2 > LARGEST_FULL**2:
        raise ValueError(
            f"covariance=full: those of {counted(labels, 'label')} in {counted(dims, 'dimension')} "
            f"have more than {LARGEST_FULL**2:,} numbers; "
            "use diagonal"
        )
