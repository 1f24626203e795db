"""Residual flow (Chen, Behrmann, Duvenaud & Jacobsen 2019, arXiv 1906.02735): an invertible residual network with an unbiased
estimate of its log-determinant.

Differs from the paper
- Up to `exact_dims` dimensions the determinant is computed in full in evaluation, and the likelihood is that of any flow: a
  bound for levels, exact for floats. Above, it is an estimate, as all of the paper's numbers are.
- Images are squeezed before the first scale too; no scale has fully connected blocks; nothing is factored out.
- The spectral norms of all layers are Euclidean, found until they no longer change by 1e-5 (1e-3 there).
- Pixels first pass a learned elementwise map to a normal distribution (`Gaussianise`), unless the paper's logit is chosen.
- Activation normalisation before every block on vectors too. The last layer is a mean and a scale per dimension.
- With a condition, a linear map of it is added after the first layer of every block, and a mean and a scale of all latents.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from genarena.likelihood import Likelihood
from genarena.models.flow.bijection import Bijection, Chain
from genarena.models.flow.convolutions import ActNorm
from genarena.models.flow.density import NormalisingFlow
from genarena.models.flow.dequantisation import build_dequantisation, pixel_bijection
from genarena.models.flow.multiscale import Shape, num_scales, steps_of_flow
from genarena.models.sampler import Temperature
from genarena.nets.conditioning import num_features
from genarena.nets.lipschitz import lipschitz_convolutions, lipschitz_mlp
from genarena.options.values import Count, Positive, Share, Whole
from genarena.spec import DataSpec
from genarena.statistics import traces
from genarena.training.module import Training


class ResidualFlow(NormalisingFlow):
    """log p(x) = log N(f(x); 0, I) + sum over blocks of tr sum_k (-1)^(k+1) / k J^k,  z = x + g(x), Lip(g) < 1 (eq. 4-6).

    Training takes one probe per block and a random number of terms; the gradient is the Neumann series of eq. 8.

    lipschitz: of every g, below 1. num_levels, num_steps: scales, as in Glow, and blocks per scale on images;
    hidden_channels: of their networks. num_blocks, hidden: blocks on vectors, and the width of each hidden layer of their
    networks.
    num_exact: terms that are always summed in training; evaluation_terms: in evaluation. stop: probability that the series ends
    after each further term. exact_dims: up to so many dimensions evaluation takes the full Jacobian.
    pixels, logit_alpha, dequantisation: as in Glow.
    Several draws of an estimate are averaged as importance weights are, and its noise, which has no mean, then counts upward.
    Raises ValueError unless 0 < lipschitz < 1 and 0 < stop < 1, for vectors of levels, and for images of odd size.
    """

    paper = "1906.02735"
    mixed_precision = False

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        lipschitz: Positive = 0.97,
        num_levels: Count | None = None,
        num_steps: Count = 4,
        hidden_channels: Count = 64,
        num_blocks: Count = 10,
        hidden: Sequence[Count] = (64, 64),
        num_exact: Whole = 2,
        evaluation_terms: Count = 20,
        stop: Share = 0.5,
        exact_dims: Whole = 64,
        pixels: Literal["gaussianised", "logit", "centred"] = "gaussianised",
        logit_alpha: Positive | None = None,
        dequantisation: Literal["uniform", "variational"] = "uniform",
        sampler: Temperature = Temperature(),  # noqa: B008 - frozen
    ) -> None:
        for name, value in (("lipschitz", lipschitz), ("stop", stop)):
            if not 0.0 < value < 1.0:
                raise ValueError(f"{name}={value}: expected a number between 0 and 1")
        if not hidden:
            raise ValueError("hidden=[]: expected at least one layer")
        context, dequantiser, chosen = num_features(spec.condition), None, {}
        series = Series(num_exact, evaluation_terms, stop, exact_dims)
        if spec.is_image or spec.is_discrete:
            spec.require_image("residual_flow, beside vectors of floats,")
            dequantiser = build_dequantisation(dequantisation, spec)
            networks = partial(
                lipschitz_convolutions, hidden_channels=hidden_channels, limit=lipschitz, context_features=context
            )
            step = partial(block, networks=networks, series=series)
            chosen = {"num_levels": num_scales(spec.shape, num_levels)}
            flow = steps_of_flow(spec.shape, chosen["num_levels"], num_steps, step, factor_out=False)
            flow = Chain(pixel_bijection(pixels, logit_alpha, spec), flow)
        else:
            make = partial(lipschitz_mlp, spec.num_dims, hidden, lipschitz, context)
            blocks = (block((spec.num_dims,), lambda _: make(), series) for _ in range(num_blocks))
            flow = Chain(*blocks, ActNorm(spec.num_dims))
        super().__init__(spec, training, flow, dequantiser, sampler)
        self.series, self.chosen = series, chosen

    @property
    def likelihood(self) -> Likelihood:
        return super().likelihood if self.spec.num_dims <= self.series.exact_dims else Likelihood.ESTIMATE

    def estimator(self, num_samples: int = 1) -> dict[str, Any]:
        if self.spec.num_dims <= self.series.exact_dims:
            return super().estimator(num_samples) | {"log_determinant": "exact"}
        series = {
            "log_determinant": "power series, Russian roulette",
            "terms": self.series.evaluation_terms,
            "probes": 1,
        }
        return super().estimator(num_samples) | series | {"stop": self.series.stop}

    @torch.no_grad()
    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        with parametrize.cached():
            return super().sample(num_samples, y)


class Series:
    """How log |det(I + dg/dx)| is found: see `ResidualFlow`."""

    def __init__(self, num_exact: int, evaluation_terms: int, stop: float, exact_dims: int) -> None:
        self.num_exact, self.evaluation_terms, self.stop, self.exact_dims = (
            num_exact,
            evaluation_terms,
            stop,
            exact_dims,
        )

    def log_det(self, value: Tensor, x: Tensor, training: bool, create_graph: bool) -> Tensor:
        """(N,), of value = g(x)."""
        if not training and x[0].numel() <= self.exact_dims:
            return traces.log_det(value, x, create_graph)
        weights = traces.roulette(self.num_exact if training else self.evaluation_terms, self.stop)
        return traces.log_det_series(value, x, traces.signs(x, 1), weights, create_graph)


class ResidualBlock(Bijection):
    """z = x + g(x); the inverse is the fixed point of x = z - g(x), to within `PRECISION` in every entry."""

    PRECISION, ROUNDS = 1e-6, 1000

    def __init__(self, network: nn.Module, series: Series) -> None:
        super().__init__()
        self.network, self.series = network, series

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        recorded = torch.is_grad_enabled()
        with torch.inference_mode(False), torch.enable_grad():
            at = x if recorded and x.requires_grad else x.detach().clone().requires_grad_()
            value = self.network(at, context)
            log_det = self.series.log_det(value, at, self.training, recorded)
        return (x + value, log_det) if recorded else (x + value.detach(), log_det.detach())

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        with parametrize.cached():
            x = z
            for _ in range(self.ROUNDS):
                before, x = x, z - self.network(x, context)
                if not ((x - before).detach().abs() > self.PRECISION * (1.0 + x.detach().abs())).any():
                    break
        return x


def block(shape: Shape, networks: partial, series: Series) -> Bijection:
    """Activation normalisation and a residual block."""
    return Chain(ActNorm(shape[0]), ResidualBlock(networks(shape), series))
