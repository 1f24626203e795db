"""The base of all flow models: loss, likelihood and samples of a dequantiser followed by a bijection."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from genarena.likelihood import (
    Likelihood,
    bits_per_dim,
    cell_to_unit,
    dequantisation_log_det,
    quantise,
    unit_to_cell,
)
from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Decodes, Differentiates, Emits, Encodes, Weighs
from genarena.models.flow.bijection import Bijection, Chain
from genarena.models.flow.dequantisation import UniformDequantisation
from genarena.models.flow.multiscale import MultiScale
from genarena.models.flow.priors import LearnedPrior
from genarena.models.sampler import Temperature
from genarena.nets.conditioning import num_features
from genarena.nets.layers import numbered, recorded
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training

FINE = 256  # levels; of 16-bit sound 100 draws take less than 0.001 bits a sample away


class NormalisingFlow(GenerativeModel, Encodes, Decodes, Emits, Differentiates, Weighs):
    """log p(x) = log N(f(x); 0, I) + log |det df/dx|; for integers the bound E_q[log p(u) - log q(u|x)].

    With a condition y, the flow f depends on it, and so does the distribution of z before it: N(mean_y, scale_y^2), as in
    Glow's reference code (`ycond`), here over all of z; not if y is a mel. The noise of dequantisation does not depend on y.

    flow: maps (N, *shape) to (N, D). dequantisation: for integer data, levels to u in [0, 1); None for floats.
    sampler: its temperature T, z ~ N(0, T^2 I).
    """

    family = "flow"
    mixed_precision = True
    conditional = True
    samplers = Temperature

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None,
        flow: Bijection,
        dequantisation: nn.Module | None,
        sampler: Temperature,
    ) -> None:
        super().__init__(spec, training)
        vector = spec.condition and not spec.is_sound
        prior = LearnedPrior((spec.num_dims,), num_features(spec.condition)) if vector else None
        self.flow = Chain(flow, prior) if prior else flow
        self.dequantisation = dequantisation
        self.use(sampler)

    @property
    def likelihood(self) -> Likelihood:
        return Likelihood.LOWER_BOUND if self.spec.is_discrete else Likelihood.EXACT

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """`loss` is in bits per dimension; `latent` and `log_det` are its parts in nats, log p = latent + log_det."""
        latent, log_det = self._terms(*batch)
        loss = bits_per_dim(latent + log_det, self.spec.num_dims).mean()
        return {"loss": loss, "latent": latent.mean(), "log_det": log_det.mean()}

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """An estimate, which is no bound, is named `objective` too, so that weights are chosen by it."""
        terms = self.loss(batch)
        estimated = {"objective": terms["loss"]} if self.likelihood is Likelihood.ESTIMATE else {}
        return terms | {"bits_per_dim": terms["loss"]} | estimated

    @property
    def draws_matter(self) -> bool:
        """Not where uniform noise within one of many levels is all that is drawn: densities of sound hardly change there."""
        uniform = isinstance(self.dequantisation, UniformDequantisation)
        return not uniform or self.spec.num_levels <= FINE

    def log_prob(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        """(N,) nats. Integers: the importance-weighted bound over `num_samples` draws of noise, one draw in memory at a
        time. Floats: exact; `num_samples` is not used."""
        total = sum(self._terms(x, y))
        for _ in range(1, num_samples if self.spec.is_discrete else 1):
            total = torch.logaddexp(total, sum(self._terms(x, y)))
        return total - math.log(num_samples) if self.spec.is_discrete else total

    def log_weights(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        """log p(u) - log q(u|x), u = x + noise; (num_samples, N) nats, all draws in memory at once."""
        repeated = (None if part is None else part.expand(num_samples, *part.shape).flatten(0, 1) for part in (x, y))
        return sum(self._terms(*repeated)).view(num_samples, len(x))

    def estimator(self, num_samples: int = 1) -> dict[str, Any]:
        if self.dequantisation is None:
            return {"method": "change of variables"}
        return {
            "method": "change of variables, importance-weighted over dequantisation noise",
            "dequantisation": self.dequantisation.name,
            "dequantisation_draws": num_samples,
        }

    @torch.no_grad()
    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        return self.decode(self.sampler.code(num_samples, self.spec.num_dims, self.device), y)

    @property
    def latent_dim(self) -> int:
        return self.spec.num_dims

    @property
    def bijective(self) -> bool:
        return True

    def emit(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """f^-1(z) (N, *shape), not rounded."""
        x = self.flow.inverse(z, self.context(y, len(z)))
        return cell_to_unit(x, self.spec.num_levels) if self.spec.is_discrete else x

    def log_density(self, u: Tensor, y: Tensor | None = None) -> Tensor:
        """log p(u), (N,) nats, normalised. Integer levels: of dequantised data, -inf outside of the cells of the levels."""
        spec, levels, outside = self.spec, self.spec.num_levels, torch.zeros(len(u), dtype=torch.bool, device=u.device)
        if spec.is_discrete:
            u = unit_to_cell(u, levels)
            outside = ((u < 0.0) | (u > 1.0)).flatten(1).any(1)
            u = u.clamp(0.0, 1.0 - 2.0**-24)
        z, log_det = self.flow(u, self.context(y, len(u)))
        scale = spec.num_dims * math.log((levels - 1) / (2.0 * levels)) if spec.is_discrete else 0.0
        return (self.log_prior(z) + log_det + scale).masked_fill(outside, -math.inf)

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Data (N, *shape) to z (N, D); an integer level stands for the middle of its bin."""
        u = (x.float() + 0.5) / self.spec.num_levels if self.spec.is_discrete else x
        return self.flow(u, self.context(y, len(x)))[0]

    @torch.no_grad()
    def features(self, x: Tensor, y: Tensor | None = None) -> dict[str, Tensor]:
        """What leaves each level of the flow, or a chain of steps after a third and two thirds of them, flattened; and `code`,
        z."""
        return recorded(lambda: self.encode(x, y), middle(self.flow), pooled=False) | super().features(x, y)

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        x = self.flow.inverse(z, self.context(y, len(z)))
        return quantise(x, self.spec.num_levels) if self.spec.is_discrete else x

    def _terms(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        """log N(z; 0, I), and log |det| plus the terms of dequantisation; (N,) nats each."""
        u, log_q = self.dequantisation(x) if self.dequantisation else (x, 0.0)
        z, log_det = self.flow(u, self.context(y, len(x)))
        latent = -0.5 * (z.square() + math.log(2.0 * math.pi)).sum(1)
        return latent, log_det - log_q + dequantisation_log_det(self.spec)


def middle(flow: Bijection) -> dict[str, nn.Module]:
    """Levels of a flow of several scales but the last, or the steps at a third and two thirds of its longest chain."""
    for part in flow.modules():
        if isinstance(part, MultiScale):
            return numbered(part.levels[:-1], "level")
    chain = max((part.bijections for part in flow.modules() if isinstance(part, Chain)), key=len)
    return {f"step {place}": chain[place - 1] for place in (len(chain) // 3, 2 * len(chain) // 3) if place}
