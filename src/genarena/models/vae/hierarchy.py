"""The base of hierarchical models of this family: the bound over all layers of codes, samples, codes and reconstructions."""

from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from genarena.distributions import PixelDistribution
from genarena.likelihood import Likelihood, Parts, log_mean_exp
from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Decodes, Encodes, Weighs
from genarena.models.sampler import Temperature
from genarena.models.splitting import Splits
from genarena.models.vae.aggregate_posterior import index_information, log_densities
from genarena.models.vae.diagonal_normal import Gaussian, noise_of_draws
from genarena.models.vae.latent_model import Mode, parts_of
from genarena.models.vae.stochastic_layers import (
    Choose,
    Layer,
    expected,
    free_bits,
    generated,
    given,
    inferred,
    inferred_by,
    joined,
    kl_by_layer,
)
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training


class Pass(NamedTuple):
    """The layers of a pass from the top down, and what the head turns into p(x|z), (N, ...)."""

    layers: list[Layer]
    outputs: Tensor


class Objective(NamedTuple):
    """warmup: share of the training over which the weight of the KL rises from 0 to 1. free_bits: nats per layer below which
    the loss does not reward a smaller KL (batch average)."""

    warmup: float
    free_bits: float


def repeated(rows: Tensor, size: int) -> Tensor:
    """All rows (N, ...) so often, one batch after the other: (size N, ...)."""
    return rows.expand(size, *rows.shape).flatten(0, 1)


class HierarchicalModel(GenerativeModel, Encodes, Decodes, Weighs, Splits):
    """p(x) = E_{z ~ p(z_1) .. p(z_L | z_<L)} p(x|z), bounded through q(z_l | z_<l, x); a subclass writes the two networks.

    head, max_rows: of `Networks`. code_shapes: of z_l, from the top down. objective, sampler: as in `Objective`, and how z and
    x are drawn: the temperature T multiplies the standard deviation of every p(z_l | z_<l).
    Codes, `encode`, are the means of q from the top down, each given the means above it, as one vector.
    """

    family = "vae"
    likelihood = Likelihood.LOWER_BOUND
    conditional = True
    samplers = Temperature | Mode

    head: Callable[[Tensor], PixelDistribution | Gaussian]
    max_rows: int
    code_shapes: list[tuple[int, ...]]

    def __init__(
        self, spec: DataSpec, training: Training | None, objective: Objective, sampler: Temperature | Mode
    ) -> None:
        super().__init__(spec, training)
        self.ramp, self.free_bits = objective
        self.bound_is_loss = not objective.free_bits
        self.use(sampler)

    @abstractmethod
    def bottom_up(self, x: Tensor, context: Tensor | None) -> list[Tensor]:
        """What q reads of data x (N, *shape), in any order that `top_down` knows."""

    @abstractmethod
    def top_down(self, choose: Choose, num: int, context: Tensor | None, features: list[Tensor] | None = None) -> Pass:
        """A pass of `num` rows; without features nothing is inferred, and `choose` is given no q."""

    def infer(self, x: Tensor, y: Tensor | None = None, choose: Choose = inferred) -> Pass:
        """The pass whose layers are chosen of q, by default drawn."""
        context = self.context(y, len(x))
        return self.top_down(choose, len(x), context, self.bottom_up(x, context))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """-E_q[log p(x|z)] + w_t sum_l max(free_bits, KL_l), averaged over the batch, nats; w_t rises to 1."""
        layers, outputs = self.infer(*batch)
        reconstruction = -self._log_likelihood(batch.x, outputs).mean()
        kls = [layer.kl() for layer in layers]
        loss = reconstruction + self.ramped * free_bits(kls, self.free_bits)
        by_layer = kl_by_layer(kls)
        return {"loss": loss, "reconstruction": reconstruction, "kl": sum(by_layer.values()), **by_layer}

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        terms = super().validate(batch)
        return terms if self.bound_is_loss else terms | {"objective": terms["loss"]}

    def _log_likelihood(self, x: Tensor, outputs: Tensor) -> Tensor:
        return self.head(outputs).log_prob(x).flatten(1).sum(1)

    def log_prob(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        """Importance-weighted bound (Burda et al. 2016, arXiv 1509.00519, eq. 8), (N,) nats; with one draw the ELBO, with the
        KL of each layer in closed form given the draws above it. At most `max_rows` examples are decoded at once."""
        if num_samples < 1:
            raise ValueError(f"num_samples={num_samples}: must be at least 1")
        if num_samples > 1:
            return log_mean_exp(self.log_weights(x, y, num_samples))
        distortion, rate, *_ = self.parts(x, y)
        return -distortion - rate.sum(1)

    def parts(self, x: Tensor, y: Tensor | None = None) -> Parts:
        found = zip(*map(self._parts, parts_of(self, x, y)), strict=True)
        return Parts(*map(torch.cat, found), tuple(torch.Size(shape).numel() for shape in self.code_shapes))

    def _parts(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        layers, outputs = self.infer(*batch)
        rate, shift = (torch.cat(part, 1) for part in zip(*((each.kl(), each.shift()) for each in layers), strict=True))
        return -self._log_likelihood(batch.x, outputs), rate, shift

    def information(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        tops = [self.infer(*part).layers[0] for part in parts_of(self, x, y)]
        z = torch.cat([top.z for top in tops]).flatten(1)
        q = Gaussian(
            *(torch.cat([getattr(top.posterior, name) for top in tops]).flatten(1) for name in ("mean", "log_var"))
        )
        return index_information(z, q.log_prob(z).sum(1), lambda part: log_densities(part, q).sum(2))

    def estimator(self, num_samples: int = 1) -> dict[str, Any]:
        method = "evidence lower bound, analytic KL" if num_samples == 1 else "importance-weighted bound"
        return {"method": f"{method} of each layer" if num_samples == 1 else method, "importance_samples": num_samples}

    def log_weights(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        """log p(x, z) - log q(z|x) for z ~ q, (num_samples, N) nats; at most `max_rows` codes are decoded at once."""
        return torch.cat([self._log_weights(part, num_samples) for part in parts_of(self, x, y)], 1)

    def _log_weights(self, batch: Batch, num_samples: int) -> Tensor:
        context = self.context(batch.y, len(batch.x))
        features, at_once = self.bottom_up(batch.x, context), max(1, self.max_rows // len(batch.x))
        sizes = [min(at_once, num_samples - first) for first in range(0, num_samples, at_once)]
        return torch.cat([self._draws(batch.x, context, features, size) for size in sizes])

    def _draws(self, x: Tensor, context: Tensor | None, features: list[Tensor], size: int) -> Tensor:
        """(size, N) of so many passes, made at once."""
        again, choose = partial(repeated, size=size), inferred_by(self.noise(size, len(x)))
        told = None if context is None else again(context)
        layers, outputs = self.top_down(choose, size * len(x), told, [again(part) for part in features])
        log_ratio = sum(layer.log_ratio() for layer in layers)
        return (self._log_likelihood(again(x), outputs) + log_ratio).view(size, -1)

    def noise(self, size: int, num: int) -> list[Tensor]:
        """Standard normal numbers of each layer, (size num, *shape), by `noise_of_draws`."""
        counts = [torch.Size(shape).numel() for shape in self.code_shapes]
        parts = noise_of_draws(size * num, self.latent_dim, self.device).split(counts, 1)
        return [part.unflatten(1, shape) for part, shape in zip(parts, self.code_shapes, strict=True)]

    @torch.no_grad()
    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        """x ~ p(x|z) of codes z ~ p(z|y), or its mode if the sampler is `Mode`."""
        rows = torch.empty(num_samples, 0)
        choose = generated(self.sampler.temperature)
        return torch.cat([self._rendered(choose, len(part.x), part.y) for part in parts_of(self, rows, y)])

    def _rendered(self, choose: Choose, num: int, y: Tensor | None, mode: bool | None = None) -> Tensor:
        found = self.head(self.top_down(choose, num, self.context(y, num)).outputs)
        return found.mode() if isinstance(self.sampler, Mode) or mode else found.sample()

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The means of q from the top down, (N, latent_dim)."""
        return joined(self.infer(x, y, expected).layers)

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """The mode of p(x|z), codes of all layers (N, latent_dim): levels (N, C, H, W), or the Gaussian's mean (N, D)."""
        return self._rendered(given(z, self.code_shapes), len(z), y, mode=True)

    @property
    def latent_dim(self) -> int:
        """Numbers in all layers."""
        return sum(torch.Size(shape).numel() for shape in self.code_shapes)
