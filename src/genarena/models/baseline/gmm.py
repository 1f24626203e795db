"""Mixture of Gaussians, fitted by expectation-maximisation (Dempster, Laird & Rubin 1977).

EM runs on batches (Cappe & Moulines 2009, arXiv 0712.4273): the responsibilities of a batch under the present parameters are
averaged into running statistics, from which the parameters follow in closed form. Batch t enters with the weight
t^-forgetting. The start is k-means++ (Arthur & Vassilvitskii 2007) and a few steps of k-means on the first batch.

Integer data is modelled through its dequantised version u = x + U[0, 1)^D, and no noise is drawn in training: the
responsibilities use E log N(u), and the moments of u are those of x + 1/2, plus I/12. That is EM on a lower bound of
E log p(u) (Jensen). With `covariance: diagonal` the mass of a level is exact, with `full` it is bounded, as in `Gaussian`.

Rows with holes enter with the responsibilities of what is observed of them, and with the moments that are expected given it
(Ghahramani & Jordan 1994, "Supervised learning from incomplete data via an EM approach").

Differs from the paper
- A covariance is mixed with the average over all components, and with its own average variance. EM alone gives a component
  with few examples a singular covariance, and images a likelihood that only constant pixels decide.
- The weights of the evaluated model are the best on validation, because a mixture with many parameters overfits.
With `data.condition=label` there is a mixture of `num_components` per label.
"""

import math
from typing import Any, Literal

import torch
from torch import Tensor

from genarena.distributions import discretised_gaussian_log_prob
from genarena.errors import counted
from genarena.likelihood import Likelihood, bits_per_dim, dequantised_levels, log_mean_exp, quantise
from genarena.models.baseline import normals, observed
from genarena.models.baseline.by_label import ByLabel, num_labels
from genarena.models.baseline.k_means import k_means
from genarena.models.mixing import Mixes
from genarena.options.values import Count, Share
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training

LARGEST_FULL = 2**24  # numbers in all covariances: 128 MiB of float64
LEAST_WEIGHT = 1e-8  # of a component, and of the examples that belong to it


class GMM(ByLabel, Mixes):
    """p(u) = sum_k pi_k N(u; mean_k, C_k),  C_k = (1 - shrinkage) ((1 - pooling) S_k + pooling S) + shrinkage v I  (+ I/12).

    S_k: covariance of the examples of component k, S = sum_k pi_k S_k, v: the average variance of the mixed S_k.
    num_components: number K of Gaussians. covariance: "full" or "diagonal".
    shrinkage, pooling: see above; they do not shrink as the examples get more, because passes over the data repeat them.
    forgetting: the exponent above, 0.5 to 1; 1 weighs all batches alike.
    Raises ValueError for full covariances of more than 2^24 numbers.
    """

    paper = "0712.4273"
    max_epochs = 30

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        num_components: Count = 100,
        covariance: Literal["full", "diagonal"] = "diagonal",
        shrinkage: Share = 0.001,
        pooling: Share = 0.2,
        forgetting: Share = 0.7,
    ) -> None:
        dims, is_full = spec.num_dims, covariance == "full"
        if is_full and max(1, num_labels(spec)) * num_components * dims**2 > LARGEST_FULL:
            labels = f" for each of {counted(num_labels(spec), 'label')}" * bool(num_labels(spec))
            asked = f"{counted(num_components, 'component')} of {counted(dims, 'dimension')}{labels}"
            raise ValueError(
                f"covariance=full: {asked} have more than {LARGEST_FULL} numbers; use diagonal, or fewer components"
            )
        options = (num_components, covariance, shrinkage, pooling, forgetting)
        super().__init__(spec, training, lambda plain: GMM(plain, None, *options))
        self.num_components, self.shrinkage, self.pooling = num_components, shrinkage, pooling
        self.is_full, self.forgetting = is_full, forgetting
        if self.per_label:
            return
        shape = (num_components, dims, dims) if self.is_full else (num_components, dims)
        levels = spec.num_levels or 0
        uniform = levels**2 / 12 if levels else 1.0  # its variance, before any data
        start = torch.full((dims,), uniform, dtype=torch.float64)
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("weight", torch.full((num_components,), 1.0 / num_components, dtype=torch.float64))
        self.register_buffer("mean", torch.full((num_components, dims), levels / 2, dtype=torch.float64))
        self.register_buffer("spread", (start.diag() if self.is_full else start).expand(shape).clone())

    @property
    def likelihood(self) -> Likelihood:
        return Likelihood.LOWER_BOUND if self.is_full and self.spec.is_discrete else Likelihood.EXACT

    def learn(self, x: Tensor) -> None:
        """EM takes a step; the first one starts at the clusters of k-means."""
        x = self._points(x)
        if self.count == 0:
            self._update(x, self._clusters(x), 1.0)
        log_joint = self._expected_log_joint(x)
        self.count += len(x)
        self._update(x, torch.softmax(log_joint, 1), (len(x) / self.count) ** self.forgetting)

    def _clusters(self, x: Tensor) -> Tensor:
        """Memberships (N, K) of k-means. Rows with holes are filled, and weighed, by the Gaussian of the batch."""
        if not self.spec.missing:
            return k_means(x, self.num_components)
        x, mean, covariance = observed.completed(x, self.is_full)
        self.mean.copy_(mean.expand_as(self.mean))
        self.spread.copy_(covariance.expand_as(self.spread))
        return k_means(x, self.num_components)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """`loss` is the bound that EM raises, in bits/dim, without a gradient."""
        log_prob = self._joined(lambda model, rows: model._bound(batch.x[rows]), batch.y, len(batch.x))
        return {"loss": bits_per_dim(log_prob, self.spec.num_dims).mean().float()}

    def _bound(self, x: Tensor) -> Tensor:
        return torch.logsumexp(self._expected_log_joint(self._points(x)), 1)

    def _update(self, x: Tensor, share: Tensor, step: float | Tensor) -> None:
        """Average the moments of x (N, D), with responsibilities `share` (N, K), into the running ones, with weight `step`.

        Moments (n, m, S) of a batch with the weight g: n' = (1 - g) n + g n_b, r = g n_b / n', m' = m + r (m_b - m),
        S' = (1 - r) S + r S_b + r (1 - r) (m_b - m)(m_b - m)^T  (Chan, Golub & LeVeque 1979).
        """
        size = share.mean(0)
        total = (1.0 - step) * self.weight + step * size
        rate, shares = step * size / total.clamp_min(LEAST_WEIGHT), share / (len(x) * size.clamp_min(LEAST_WEIGHT))
        if self.is_full or self.spec.missing:
            self._move_each(x, shares, rate)
        else:
            mean, variance = normals.diagonal_moments(x, shares)
            delta, rate = mean - self.mean, rate[:, None]
            self.spread.lerp_(variance + (1.0 - rate) * delta.square(), rate)
            self.mean += rate * delta
        self.weight.copy_(total)

    def _move_each(self, x: Tensor, shares: Tensor, rate: Tensor) -> None:
        """One component after the other; shares (N, K): weights of the examples within each."""
        covariances = self.covariances() if self.spec.missing else None
        for k in range(self.num_components):
            weights, points, left = shares[:, k], x, 0.0
            if self.spec.missing:
                points, left = observed.expected(x, weights, self.mean[k], covariances[k])
            mean, new = normals.moments(points, weights, self.is_full)
            delta = mean - self.mean[k]
            rest = (1.0 - rate[k]) * (torch.outer(delta, delta) if self.is_full else delta.square())
            self.spread[k].lerp_(new + rest + left, rate[k])
            self.mean[k] += rate[k] * delta

    def covariances(self) -> Tensor:
        """C_k (K, D, D), or their diagonals (K, D); for integers, of the dequantised data."""
        average = torch.tensordot(self.weight, self.spread, 1)
        mixed = torch.lerp(self.spread, average.expand_as(self.spread), self.pooling)
        variances = mixed.diagonal(dim1=1, dim2=2) if self.is_full else mixed
        ridge = self.shrinkage * variances.mean(1, keepdim=True).expand_as(variances)
        ridge = ridge + (1 / 12 if self.spec.is_discrete else 1e-12)
        return (1.0 - self.shrinkage) * mixed + (ridge.diag_embed() if self.is_full else ridge)

    # -- density

    def log_p(self, x: Tensor, num_samples: int) -> Tensor:
        """(N,) nats. Diagonal, or continuous data: exact. Full on integers: the importance-weighted bound of
        `num_samples` draws of dequantisation noise."""
        if self.likelihood is Likelihood.EXACT:
            return torch.logsumexp(self._log_masses(x) if self.spec.is_discrete else self._log_joint(x), 1).float()
        return log_mean_exp(self.log_w(x, num_samples))

    def log_p_of_u(self, u: Tensor) -> Tensor:
        x, log_scale = dequantised_levels(u, self.spec)
        return (torch.logsumexp(self._log_joint(x), 1) + log_scale).to(u.dtype)

    def log_w(self, x: Tensor, num_samples: int) -> Tensor:
        """Equal rows where the likelihood is exact."""
        if self.likelihood is Likelihood.EXACT:
            return self.log_p(x, 1).expand(num_samples, -1)
        factors, levels = self._factors(), x.flatten(1).double()
        draws = (levels + torch.rand_like(levels) for _ in range(num_samples))
        return torch.stack([torch.logsumexp(self._log_joint(u, factors), 1) for u in draws]).float()

    def estimator(self, num_samples: int = 1) -> dict[str, Any]:
        if self.likelihood is Likelihood.EXACT:
            return {"method": "closed form"}
        method = "importance-weighted over dequantisation noise"
        return {"method": method, "dequantisation": "uniform", "dequantisation_draws": num_samples}

    def _points(self, x: Tensor) -> Tensor:
        """(N, D) float64; an integer level stands for the middle of its bin."""
        return x.flatten(1).double() + (0.5 if self.spec.is_discrete else 0.0)

    def _factors(self) -> Tensor:
        """Cholesky factors (K, D, D), or standard deviations (K, D). NaN if the statistics of damaged weights have none."""
        if not self.is_full:
            return self.covariances().sqrt()
        factors, failed = torch.linalg.cholesky_ex(self.covariances())
        return torch.where(failed[:, None, None] > 0, math.nan, factors)

    def _log_joint(self, u: Tensor, factors: Tensor | None = None) -> Tensor:
        """log pi_k + log N(u; mean_k, C_k), (N, K) nats, of u (N, D)."""
        u = u.flatten(1).double()
        if self.spec.missing and u.isnan().any():  # of what is observed
            return self._log_weight() + observed.log_densities(u, self.mean, self.covariances())
        return normals.log_joint(u, self._log_weight(), self.mean, self._factors() if factors is None else factors)

    def _expected_log_joint(self, u: Tensor) -> Tensor:
        """log pi_k + E log N(u + noise), noise ~ U[-1/2, 1/2)^D for integers: its variance costs tr(C_k^-1) / 24."""
        factors = self._factors()
        log_joint = self._log_joint(u, factors)
        if not self.spec.is_discrete:
            return log_joint
        precision = torch.cholesky_inverse(factors).diagonal(dim1=1, dim2=2) if self.is_full else factors.pow(-2)
        return log_joint - precision.sum(1) / 24

    def _log_masses(self, x: Tensor) -> Tensor:
        """log pi_k + sum_d log of the mass of the level under a Gaussian, the edge levels open-ended; (N, K) nats."""
        levels, scale = x.flatten(1).double(), 2.0 / (self.spec.num_levels - 1)
        unit = levels * scale - 1.0  # as `to_unit`, in float64
        masses = [
            discretised_gaussian_log_prob(unit, (mean - 0.5) * scale - 1.0, (std * scale).log(), self.spec.num_levels)
            for mean, std in zip(self.mean, self._factors(), strict=True)
        ]
        return torch.stack([mass.sum(1) for mass in masses], 1) + self._log_weight()

    def _log_weight(self) -> Tensor:
        kept = self.weight.clamp_min(LEAST_WEIGHT)
        return (kept / kept.sum()).log() + 0.0 * self.weight  # NaN stays NaN

    def components(self, y: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Of integers, without the variance 1/12 of the dequantisation noise."""
        if self.per_label:
            return self.of_one(y).components()
        covariances, weight = self.covariances(), self._log_weight().exp()
        if not self.spec.is_discrete:
            return weight, self.mean, covariances
        scale, uniform = 2.0 / (self.spec.num_levels - 1), torch.full_like(self.mean[0], 1 / 12)
        noise = uniform.diag() if self.is_full else uniform
        return weight, scale * (self.mean - 0.5) - 1.0, scale**2 * (covariances - noise)

    def layers(self, x: Tensor) -> dict[str, Tensor]:
        """`responsibilities`: P(component | x). `log-joint`: log pi_k + log N(u; mean_k, C_k), u the middle of a cell."""
        log_joint = self._log_joint(self._points(x), self._factors())
        return {"responsibilities": log_joint.softmax(1).float(), "log-joint": log_joint.float()}

    def draw(self, num_samples: int) -> Tensor:
        chosen = torch.multinomial(self.weight.nan_to_num().clamp_min(LEAST_WEIGHT), num_samples, replacement=True)
        noise = torch.randn(num_samples, self.spec.num_dims, device=self.device).double()  # samples are no finer
        factors = self._factors()
        for k in chosen.unique().tolist() if self.is_full else ():
            rows = chosen == k
            noise[rows] = noise[rows] @ factors[k].T
        x = self.mean[chosen] + (noise if self.is_full else noise * factors[chosen])
        x = x.unflatten(1, self.spec.shape)
        return quantise(x / self.spec.num_levels, self.spec.num_levels) if self.spec.is_discrete else x.float()
