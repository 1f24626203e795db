"""MADE: masked autoencoder for distribution estimation (Germain, Gregor, Murray & Larochelle 2015, arXiv 1502.03509).

Differs from the paper: trained with Adam; inputs in [-1, 1]; pixels may have any distribution of
`genarena.distributions`, vectors have mixtures of Gaussians; the natural order is the raster scan of this family; a sample
costs the arithmetic of one pass instead of D. Without hidden layers and with direct connections it is the fully visible
sigmoid belief network (Neal 1992). A linear map of the condition is added to every layer, as the paper does not do. In rows
with holes the terms of hidden dimensions are skipped; which entries are observed is an input too, with zeros in the holes.
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.distributions import PixelDistribution, PixelHead
from genarena.likelihood import as_levels, log_mean_exp, to_space, to_unit
from genarena.models.autoregressive.conditional_product import ConditionalProduct
from genarena.models.autoregressive.degrees import draw_degrees
from genarena.models.autoregressive.gaussian_mixture import GaussianMixture, spread
from genarena.models.autoregressive.level_choice import TopP, drawing, sampled
from genarena.models.capabilities import Factorises, Represents
from genarena.models.keeping import Choose, Select, draw, move
from genarena.models.sampler import Temperature
from genarena.nets.conditioning import given, linear, num_features
from genarena.nets.masked import shifted
from genarena.options.values import Count, Share
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training


class MADE(ConditionalProduct, Factorises, Represents):
    """log p(x) = log 1/K sum_k prod_d p_k(x_d | x_<d), one autoregressive network p_k per mask (K = num_masks).

    A hidden unit of degree m is connected to the units of degree <= m in the layer below. The output for the dimension at
    position d is connected to the hidden units of degree < d (sec. 4), so it depends only on the dimensions before d.
    """

    paper = "1502.03509"
    takes_missing = True

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        hidden: Sequence[Count] = (500,),
        num_masks: Count = 1,
        order_agnostic: bool = False,
        direct: bool = False,
        pixels: str = "auto",
        num_mixtures: Count = 5,
        sampler: Temperature | TopP = Temperature(),  # noqa: B008 - frozen
        condition_dropout: Share = 0.0,
    ) -> None:
        """hidden: width of each hidden layer; may be empty if `direct`.
        num_masks: number of networks that share the weights and differ in the degrees of their hidden units (sec. 4.3).
            Training batches use them in turn. The model is their equal mixture; a sample first chooses one of them.
        order_agnostic: each mask has its own random order of the dimensions (sec. 4.2).
        direct: add connections from inputs to outputs (sec. 4.1).
        pixels: one of `genarena.distributions.KINDS`; auto is bernoulli for 2 levels, categorical up to 32, and
            logistic_mixture for more. Vectors have mixtures of `num_mixtures` Gaussians.
        """
        super().__init__(spec, training, condition_dropout)
        if num_masks < 1 or num_mixtures < 1 or min(hidden, default=1) < 1:
            sizes = f"hidden={list(hidden)}, num_masks={num_masks}, num_mixtures={num_mixtures}"
            raise ValueError(f"{sizes}: expected numbers that are at least 1")
        if not hidden and not direct:
            raise ValueError("hidden=[]: without hidden layers the outputs need direct=true")
        self.num_masks, self.hidden, self.pixel = num_masks, tuple(hidden), None
        self.copies = 2 if spec.missing else 1  # inputs per dimension: its value, and with holes whether it is observed
        dims, per_dim = spec.num_dims, 3 * num_mixtures
        if spec.is_discrete:
            default = "auto" if spec.num_levels == 2 else "categorical" if spec.num_levels <= 32 else "logistic_mixture"
            kind = default if pixels == "auto" else pixels
            self.pixel = PixelHead(kind, DataSpec((1, 1, dims), spec.num_levels), num_mixtures)
            per_dim = self.pixel.out_channels
        widths = [dims * self.copies, *hidden]
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))
        self.out = nn.Linear(widths[-1], per_dim * dims) if hidden else None
        self.direct = nn.Linear(widths[0], per_dim * dims, bias=not hidden) if direct else None
        context = num_features(spec.condition, condition_dropout)
        self.contexts = nn.ModuleList(linear(context, width) for width in (*hidden, per_dim * dims) if context)
        if per_dim == 3 * num_mixtures and (not spec.is_discrete or self.pixel.kind == "logistic_mixture"):
            spread((self.out or self.direct).bias, num_mixtures, -2.0 if spec.is_discrete else -1.0)
        for level, degrees in enumerate(draw_degrees(spec, self.hidden, num_masks, order_agnostic)):
            self.register_buffer(f"degrees_{level}", degrees)
        self._keep_masks()
        self.register_load_state_dict_post_hook(lambda model, _: model._keep_masks())
        self.use(sampler)

    def use(self, sampler: Temperature | TopP) -> None:
        super().use(sampler)
        if self.pixel is None and (drawing(sampler) is not draw or sampler.guidance != 1.0):
            raise ValueError(
                "sampler: made draws vectors of floats at temperature=1 and guidance=1 only, without top_p"
            )

    @property
    def factorises(self) -> bool:
        return self.num_masks == 1

    @property
    def mixed_precision(self) -> bool:
        return self.spec.num_levels == 2  # bfloat16 cannot resolve many levels

    def degrees(self, mask: int) -> list[Tensor]:
        """Degrees of the inputs, then of every hidden layer, under one mask; (width,) each."""
        return [getattr(self, f"degrees_{level}")[mask] for level in range(len(self.layers) + 1)]

    def _keep_masks(self) -> None:
        """Store the masks of a single network as buffers, because making them takes a quarter of a training step. The masks
        of several networks would fill the memory; they are made anew each time."""
        for index, seen in enumerate(self._make_masks(0) if self.num_masks == 1 else []):
            self.register_buffer(f"mask_{index}", seen.float(), persistent=False)

    def _make_masks(self, mask: int) -> list[Tensor]:
        """Boolean masks (units, inputs) of every hidden layer, then of the output layer, then of direct connections."""
        order, *degrees = self.degrees(mask)
        inputs = order.repeat(self.copies)
        hidden = [own[:, None] >= below for below, own in pairwise([inputs, *degrees])]
        ends = [(layer, below) for layer, below in ((self.out, [inputs, *degrees][-1]), (self.direct, inputs)) if layer]
        copies = ends[0][0].out_features // len(order)  # parameters of one dimension's distribution
        return hidden + [(order[:, None] > below).repeat(copies, 1) for _, below in ends]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Under the mask whose turn it is."""
        return self.terms(self.mask_log_prob(batch.x, self.batches_seen % self.num_masks, batch.y))

    def log_prob(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        """Exact, (N,) nats: the mixture over all masks; x levels (N, C, H, W), or floats (N, D)."""
        return log_mean_exp(torch.stack([self.mask_log_prob(x, mask, y) for mask in range(self.num_masks)]))

    def mask_log_prob(self, x: Tensor, mask: int, y: Tensor | None = None) -> Tensor:
        """(N,) nats under one mask; with holes, NaN, the sum of the terms of what is observed."""
        outputs = self.outputs(self.inputs(x), mask, self.context(y, len(x)))
        if self.spec.missing:
            return (self.distribution(outputs).log_prob(x.nan_to_num()) * ~x.isnan()).sum(1)
        values = x.flatten(1) if self.pixel is None else x.reshape(len(x), 1, 1, -1)
        return self.distribution(outputs).log_prob(values).flatten(1).sum(1)

    def inputs(self, x: Tensor) -> Tensor:
        """Inputs of the network, (N, D): levels scaled to [-1, 1], or floats; with holes (N, 2 D), of values and mask."""
        x = to_space(x, self.spec).flatten(1)
        return torch.cat([x.nan_to_num(), (~x.isnan()).float()], 1) if self.spec.missing else x

    def outputs(self, values: Tensor, mask: int, context: Tensor | None = None) -> Tensor:
        """Parameters (N, P, D) of every dimension's distribution, from inputs (N, D)."""
        return self._layers(values, mask, context)[-1].unflatten(1, (-1, self.spec.num_dims))

    def _layers(self, values: Tensor, mask: int, context: Tensor | None) -> list[Tensor]:
        """Every hidden layer (N, width), then the outputs (N, P D)."""
        kept = [
            getattr(self, f"mask_{index}") for index in range(len(self.layers) + 2) if hasattr(self, f"mask_{index}")
        ]
        masks = iter(kept or self._make_masks(mask))
        hidden, (*shifts, outputs) = [values], self._shifts(context)
        for layer, shift in zip(self.layers, shifts, strict=True):
            hidden.append(F.relu(shifted(F.linear(hidden[-1], layer.weight * next(masks), layer.bias), shift)))
        for layer, source in ((self.out, hidden[-1]), (self.direct, values)):
            if layer is not None:
                outputs = shifted(F.linear(source, layer.weight * next(masks), layer.bias), outputs)
        return [*hidden[1:], outputs]

    @torch.no_grad()
    def features(self, x: Tensor, y: Tensor | None = None) -> dict[str, Tensor]:
        """Hidden layers under the first mask; the outputs where there is none."""
        layers = self._layers(self.inputs(x), 0, self.context(y, len(x)))
        return {f"layer {number}": layer.float() for number, layer in enumerate(layers[:-1] or layers, 1)}

    def _shifts(self, context: Tensor | None) -> list[Tensor | None]:
        """What the condition adds to each hidden layer and to the outputs, (N, width) each; None without one."""
        return [layer(context) for layer in self.contexts] or [None] * (len(self.layers) + 1)

    def distribution(self, outputs: Tensor) -> PixelDistribution | GaussianMixture:
        """The distribution of D' dimensions with parameters (N, P, D')."""
        return GaussianMixture.of(outputs) if self.pixel is None else self.pixel(outputs.unsqueeze(2))

    @torch.no_grad()
    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        """(num_samples, *shape): uint8 levels, or floats. D small steps, which compute each unit of the network once."""
        y = given(self.conditioning, num_samples, y)
        masks = torch.randint(self.num_masks, (num_samples,), device=self.device)
        samples = torch.empty(num_samples, self.spec.num_dims, device=self.device)
        for mask in masks.unique().tolist():
            for rows in (masks == mask).nonzero().squeeze(1).split(self.sample_chunk):
                unroll = partial(self._one_by_one, mask)
                samples[rows] = sampled(self, len(rows), None if y is None else y[rows], unroll)
        samples = samples.view(num_samples, *self.spec.shape)
        return as_levels(samples, self.spec.num_levels) if self.spec.is_discrete else samples

    def order(self) -> Tensor:
        if not self.factorises:
            raise ValueError(f"num_masks={self.num_masks}: a mixture of autoregressive models does not factorise")
        return self.degrees(0)[0].argsort()

    def unroll(self, num_images: int, choose: Choose, y: Tensor | None = None, select: Select | None = None) -> Tensor:
        self.order()  # raises ValueError
        return self._one_by_one(0, num_images, choose, y, select).view(num_images, *self.spec.shape)

    def _one_by_one(
        self, mask: int, num_samples: int, choose: Choose, y: Tensor | None = None, select: Select | None = None
    ) -> Tensor:
        """(num_samples, D) under one mask, in its order of dimensions.

        A unit of degree t depends on the dimensions at positions 1 .. t. It is computed when these are drawn, and is zero
        until then. Inputs that a unit or an output must not see are therefore still zero, and no mask is needed.
        """
        order, *hidden_degrees = self.degrees(mask)
        *of_hidden, of_outputs = self._shifts(self.context(y, num_samples))
        units = [[(own == t).nonzero().squeeze(1) for t in range(1, len(order) + 1)] for own in hidden_degrees]
        layers = (order.repeat(self.copies), *hidden_degrees)
        activations = [torch.zeros(num_samples, len(own), device=self.device) for own in layers]
        drawn = torch.zeros(num_samples, len(order), device=self.device)
        height, width = self.spec.shape[1:] if self.spec.is_image else (1, 1)
        for t, dim in enumerate(order.argsort().tolist()):
            outputs = of_outputs[:, dim :: len(order)] if self.contexts else 0.0
            for layer, source in ((self.out, activations[-1]), (self.direct, activations[0])):
                if layer is not None:
                    bias = None if layer.bias is None else layer.bias[dim :: len(order)]
                    outputs = outputs + F.linear(source, layer.weight[dim :: len(order)], bias)
            channel, (row, column) = dim // (height * width), divmod(dim % (height * width), width)
            value = choose(self.distribution(outputs.unsqueeze(2)), channel=channel, row=row, column=column)
            drawn[:, dim] = value
            activations[0][:, dim :: len(order)] = 1.0  # with holes: it is observed
            activations[0][:, dim] = to_unit(value, self.spec.num_levels) if self.spec.is_discrete else value
            for level, layer in enumerate(self.layers):
                if len(ready := units[level][t]):
                    new = F.linear(activations[level], layer.weight[ready], layer.bias[ready])
                    shift = of_hidden[level][:, ready] if self.contexts else 0.0
                    activations[level + 1][:, ready] = F.relu(new + shift)
            if select is not None and (index := select()) is not None:
                move(index, drawn, *activations)
        return drawn

    @property
    def nfe(self) -> int:
        return self.spec.num_dims * self.sampler.predictions
