"""MADE: masked autoencoder for distribution estimation (Germain, Gregor, Murray & Larochelle 2015, arXiv 1502.03509).

Differs from the paper: Adam; inputs in [-1, 1]; besides Bernoulli pixels the distributions of `genarena.distributions`,
and mixtures of Gaussians for vectors; the natural order is the family's raster scan; sampling in one pass' arithmetic
instead of D passes. Without hidden layers and with direct connections it is the fully visible sigmoid belief network
(Neal 1992). Unconditional.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.distributions import PixelDistribution, PixelHead
from genarena.likelihood import Likelihood, as_levels, bits_per_dim, log_mean_exp, to_unit
from genarena.models.autoregressive.gaussian_mixture import GaussianMixture
from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Choose, Factorises
from genarena.options.values import Count
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training

MASKS_SEED = 1502  # the degrees are part of the model, not of the run
SAMPLE_CHUNK = 512


def raster_degrees(shape: Sequence[int]) -> Tensor:
    """Place 1 .. D of every dimension in the raster scan, channels innermost; (D,) in the order of `x.flatten(1)`."""
    channels, positions = (shape[0], shape[1] * shape[2]) if len(shape) == 3 else (1, shape[0])
    return (torch.arange(positions) * channels + torch.arange(channels)[:, None] + 1).flatten()


class MADE(GenerativeModel, Factorises):
    """log p(x) = log 1/K sum_k prod_d p_k(x_d | x_<d), one autoregressive network p_k per mask (K = num_masks).

    A unit of degree m is connected to units of degree <= m of the layer below, and the output of the dimension at
    place d to hidden units of degree < d (sec. 4): it sees the dimensions at places before d and no other.
    """

    family = "autoregressive"
    likelihood = Likelihood.EXACT
    paper = "1502.03509"
    selection = "val/bits_per_dim"

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        hidden: Sequence[int] = (500,),
        num_masks: Count = 1,
        order_agnostic: bool = False,
        direct: bool = False,
        pixels: str = "auto",
        num_mixtures: Count = 5,
    ) -> None:
        """hidden: width of each hidden layer; none are needed where there are direct connections.

        num_masks: networks that share the weights, each with its own degrees of the hidden units (sec. 4.3). Training
            batches take turns, and the model is their equal mixture: exact, and drawn from by choosing one first.
        order_agnostic: each mask has an order of the dimensions of its own, drawn at random (sec. 4.2).
        direct: connections from inputs to outputs as well (sec. 4.1).
        pixels: one of `genarena.distributions.KINDS`; auto is bernoulli for 2 levels, categorical up to 32, and
            logistic_mixture for more. Vectors have mixtures of `num_mixtures` Gaussians.
        """
        super().__init__(spec, training)
        if num_masks < 1 or num_mixtures < 1 or min(hidden, default=1) < 1:
            raise ValueError(
                f"hidden={list(hidden)}, num_masks={num_masks}, num_mixtures={num_mixtures}: expected "
                f"numbers that are at least 1"
            )
        if not hidden and not direct:
            raise ValueError("hidden=[]: without hidden layers the outputs need direct=true")
        self.num_masks, self.hidden = num_masks, tuple(hidden)
        self.factorises = num_masks == 1
        self.mixed_precision = spec.num_levels == 2  # bfloat16 cannot tell neighbouring levels of many apart
        dims, per_dim = spec.num_dims, 3 * num_mixtures
        self.pixel: PixelHead | None = None
        if spec.is_discrete:
            kind = pixels if pixels != "auto" or spec.num_levels == 2 else _default_pixels(spec)
            self.pixel = PixelHead(kind, DataSpec((1, 1, dims), spec.num_levels), num_mixtures)
            per_dim = self.pixel.out_channels
        widths = [dims, *hidden]
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))
        self.out = nn.Linear(widths[-1], per_dim * dims) if hidden else None
        self.direct = nn.Linear(dims, per_dim * dims, bias=not hidden) if direct else None
        if per_dim == 3 * num_mixtures and (not spec.is_discrete or self.pixel.kind == "logistic_mixture"):
            self._spread_mixtures(num_mixtures)
        for level, degrees in enumerate(self._draw_degrees(order_agnostic)):
            self.register_buffer(f"degrees_{level}", degrees)
        self._keep_masks()
        self.register_load_state_dict_post_hook(lambda model, _: model._keep_masks())

    @torch.no_grad()
    def _spread_mixtures(self, num_mixtures: int) -> None:
        """Start from components side by side over the range, so that each has something to learn."""
        bias = (self.out or self.direct).bias.view(3, num_mixtures, -1)
        bias[1] = torch.linspace(-1.0, 1.0, num_mixtures)[:, None] if num_mixtures > 1 else 0.0
        bias[2] = -2.0 if self.spec.is_discrete else -1.0

    def _draw_degrees(self, order_agnostic: bool) -> list[Tensor]:
        """Degrees (num_masks, width) of the inputs, then of every hidden layer."""
        generator, dims = torch.Generator().manual_seed(MASKS_SEED), self.spec.num_dims
        orders = raster_degrees(self.spec.shape).expand(self.num_masks, -1)
        if order_agnostic:
            orders = torch.stack([order[torch.randperm(dims, generator=generator)] for order in orders])
        degrees = [orders.to(torch.int16 if dims < 2**15 else torch.int32)]
        for width in self.hidden:
            lowest = degrees[-1].min(1).values  # below it a unit would see nothing
            rows = [
                torch.randint(int(low), max(dims - 1, int(low)) + 1, (width,), generator=generator) for low in lowest
            ]
            degrees.append(torch.stack(rows).to(degrees[0].dtype))
        return degrees

    def degrees(self, mask: int) -> list[Tensor]:
        """Of the inputs, then of every hidden layer, under one mask."""
        return [getattr(self, f"degrees_{level}")[mask] for level in range(len(self.layers) + 1)]

    def _keep_masks(self) -> None:
        """Those of a single network, as many numbers as weights: to make them costs a quarter of a step. Those of several
        networks would fill the memory, and are made each time."""
        for index, seen in enumerate(self._make_masks(0) if self.num_masks == 1 else []):
            self.register_buffer(f"mask_{index}", seen.float(), persistent=False)

    def _make_masks(self, mask: int) -> list[Tensor]:
        """Which inputs (columns) each unit (row) sees: layer by layer, then of the outputs, then of direct connections."""
        degrees = self.degrees(mask)
        hidden = [own[:, None] >= below for below, own in pairwise(degrees)]
        ends = [(layer, below) for layer, below in ((self.out, degrees[-1]), (self.direct, degrees[0])) if layer]
        copies = ends[0][0].out_features // len(degrees[0])  # of the outputs, one per parameter of a distribution
        return hidden + [(degrees[0][:, None] > below).repeat(copies, 1) for _, below in ends]

    # -- likelihood

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """`loss` in bits/dim under the mask whose turn it is, the same scale for every data set; `nll` in nats."""
        nll = -self.mask_log_prob(batch.x, self.batches_seen % self.num_masks).mean()
        return {"loss": bits_per_dim(-nll, self.spec.num_dims), "nll": nll}

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        value = bits_per_dim(self.log_prob(batch.x), self.spec.num_dims).mean()
        return {"loss": value, "bits_per_dim": value}

    def log_prob(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        """Exact, (N,) nats: the mixture over all masks; x levels (N, C, H, W), or floats (N, D)."""
        return log_mean_exp(torch.stack([self.mask_log_prob(x, mask) for mask in range(self.num_masks)]))

    def mask_log_prob(self, x: Tensor, mask: int) -> Tensor:
        """(N,) nats under one mask."""
        outputs = self.outputs(self.inputs(x), mask)
        values = x.flatten(1) if self.pixel is None else x.reshape(len(x), 1, 1, -1)
        return self.distribution(outputs).log_prob(values).flatten(1).sum(1)

    def inputs(self, x: Tensor) -> Tensor:
        """What the network sees, (N, D)."""
        return to_unit(x, self.spec.num_levels).flatten(1) if self.spec.is_discrete else x.float().flatten(1)

    def outputs(self, values: Tensor, mask: int) -> Tensor:
        """Parameters (N, P, D) of every dimension's distribution, from inputs (N, D)."""
        kept = [
            getattr(self, f"mask_{index}") for index in range(len(self.layers) + 2) if hasattr(self, f"mask_{index}")
        ]
        masks = iter(kept or self._make_masks(mask))
        hidden = values
        for layer in self.layers:
            hidden = F.relu(F.linear(hidden, layer.weight * next(masks), layer.bias))
        outputs = 0.0
        for layer, source in ((self.out, hidden), (self.direct, values)):
            if layer is not None:
                outputs = outputs + F.linear(source, layer.weight * next(masks), layer.bias)
        return outputs.unflatten(1, (-1, self.spec.num_dims))

    def distribution(self, outputs: Tensor) -> PixelDistribution | GaussianMixture:
        """p of some dimensions from their parameters (N, P, D')."""
        return GaussianMixture.of(outputs) if self.pixel is None else self.pixel(outputs.unsqueeze(2))

    # -- sampling

    @torch.no_grad()
    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        """(num_samples, *shape): uint8 levels, or floats; D small steps, each unit of the network computed once."""
        masks = torch.randint(self.num_masks, (num_samples,), device=self.device)
        samples = torch.empty(num_samples, self.spec.num_dims, device=self.device)
        for mask in masks.unique().tolist():
            for rows in (masks == mask).nonzero().squeeze(1).split(SAMPLE_CHUNK):
                samples[rows] = self._one_by_one(len(rows), mask, self._drawn)
        samples = samples.view(num_samples, *self.spec.shape)
        return as_levels(samples) if self.spec.is_discrete else samples

    def _drawn(self, distribution: PixelDistribution | GaussianMixture, dim: int) -> Tensor:
        return distribution.sample() if self.pixel is None else distribution.draw()

    @torch.no_grad()
    def traverse(self, num_images: int, choose: Choose) -> Tensor:
        """Images (num_images, C, H, W), uint8, whose levels `choose` gives, one dimension after the other. Raises ValueError
        for several masks, whose mixture does not factorise."""
        if not self.factorises:
            raise ValueError(f"num_masks={self.num_masks}: a mixture of autoregressive models does not factorise")
        _, height, width = self.spec.shape

        def at(distribution: PixelDistribution, dim: int) -> Tensor:
            channel, place = divmod(dim, height * width)
            return choose(distribution, channel=channel, row=place // width, column=place % width)

        return self._one_by_one(num_images, 0, at).to(torch.uint8).view(num_images, *self.spec.shape)

    def _one_by_one(
        self, num_samples: int, mask: int, value_of: Callable[[PixelDistribution | GaussianMixture, int], Tensor]
    ) -> Tensor:
        """(N, D) under one mask, in its order: `value_of` gives each dimension, from its distribution and its index.

        Units of degree t are fixed once the dimensions at places 1 .. t are drawn, and until then they are kept at
        zero. What an output or a unit may not see is therefore zero when it is computed, and no mask is needed.
        """
        order, *hidden_degrees = self.degrees(mask)
        units = [[(own == t).nonzero().squeeze(1) for t in range(1, len(order) + 1)] for own in hidden_degrees]
        activations = [torch.zeros(num_samples, len(own), device=self.device) for own in (order, *hidden_degrees)]
        drawn = torch.zeros_like(activations[0])
        for t, dim in enumerate(order.argsort().tolist()):
            outputs = 0.0
            for layer, source in ((self.out, activations[-1]), (self.direct, activations[0])):
                if layer is not None:
                    bias = None if layer.bias is None else layer.bias[dim :: len(order)]
                    outputs = outputs + F.linear(source, layer.weight[dim :: len(order)], bias)
            value = value_of(self.distribution(outputs.unsqueeze(2)), dim).view(num_samples)
            drawn[:, dim] = value
            activations[0][:, dim] = to_unit(value, self.spec.num_levels) if self.spec.is_discrete else value
            for level, layer in enumerate(self.layers):
                ready = units[level][t]
                if len(ready):
                    new = F.linear(activations[level], layer.weight[ready], layer.bias[ready])
                    activations[level + 1][:, ready] = F.relu(new)
        return drawn

    @property
    def nfe(self) -> int:
        return self.spec.num_dims


def _default_pixels(spec: DataSpec) -> str:
    return "categorical" if spec.num_levels <= 32 else "logistic_mixture"
