"""Ladder variational autoencoder (Sonderby, Raiko, Maaloe, Sonderby & Winther 2016, arXiv 1602.02282).

Differs from the paper: the layer nearest to the data has the convolutional networks of `vae`, unless `perceptron` asks for
tanh layers; the layers above have MLPs with SiLU, and layer
normalisation of what is passed up in place of batch normalisation; log-variances are bounded; the KL weight rises over
a share of the budget; free bits per layer (Kingma et al. 2016, arXiv 1606.04934, eq. 15) are an option.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from genarena.likelihood import to_space
from genarena.models.sampler import Temperature
from genarena.models.vae.diagonal_normal import Gaussian, GaussianHead
from genarena.models.vae.hierarchy import HierarchicalModel, Objective, Pass
from genarena.models.vae.latent_model import Mode
from genarena.models.vae.networks import ImageNetworks, networks_for
from genarena.models.vae.stochastic_layers import Choose, Layer, precision_weighted
from genarena.nets.conditioning import linear, num_features
from genarena.nets.resnet import initialise
from genarena.options.values import Count, NonNegative, Share, Whole
from genarena.spec import DataSpec
from genarena.training.module import Training


class LVAE(HierarchicalModel):
    """p(z) = p(z_1) prod_l p(z_l | z_(l-1)), p(x|z) = p(x|z_L), z_1 at the top, and q(z_l | z_(l-1), x) is the normalised
    product of p(z_l | z_(l-1)) and of a normal that a deterministic pass from the bottom up gives (eq. 17-19).

    latent_dims: sizes of the layers from the bottom up, as in the paper's "64-32-16". With one it is `vae`.
    width: of the MLPs between layers. channels, blocks, hidden, patch, pixels, num_mixtures, perceptron: as in `VAE`, of the
        networks between the data and the lowest layer. warmup, free_bits: of `Objective`. sampler: of `HierarchicalModel`.
    Raises ValueError for no layers, or an empty one.
    """

    paper = "1602.02282"
    mixed_precision = True
    shardable = True

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        latent_dims: Sequence[Count] = (64, 32),
        width: Count = 256,
        channels: Count = 32,
        blocks: Sequence[Whole] = (0,),
        hidden: Count = 256,
        patch: Count | None = None,
        pixels: Literal["auto", "bernoulli", "categorical", "logistic", "logistic_mixture"] = "auto",
        num_mixtures: Count = 5,
        perceptron: Sequence[Count] = (),
        warmup: Share = 0.1,
        free_bits: NonNegative = 0.0,
        sampler: Temperature | Mode = Temperature(),  # noqa: B008 - frozen
    ) -> None:
        if not latent_dims or min(latent_dims) < 1:
            raise ValueError(
                f"latent_dims={list(latent_dims)}: expected at least one layer, of at least 1 dimension each"
            )
        super().__init__(spec, training, Objective(warmup, free_bits), sampler)
        self.latent_dims, above = list(latent_dims), list(latent_dims)[1:]
        images = ImageNetworks(channels, blocks, hidden, patch, pixels, num_mixtures, perceptron)
        passed_on = width if above else 0
        self.encoder, self.decoder, self.head, self.max_rows = networks_for(spec, latent_dims[0], images, passed_on)
        self.upward = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.SiLU(), *_mlp(width, width, 2 * dim + (width if dim_above else 0)))
            for dim, dim_above in zip(above, [*above[1:], 0], strict=False)
        )
        self.downward = nn.ModuleList(_mlp(upper, width, 2 * lower) for lower, upper in pairwise(latent_dims))
        for network in self.downward:  # p starts at N(0, I): no noise of upper layers that say nothing yet
            nn.init.zeros_(network[-1].weight)
            nn.init.zeros_(network[-1].bias)
        self.prior_head = linear(num_features(spec.condition), 2 * latent_dims[-1])
        self.code_shapes = [(dim,) for dim in reversed(self.latent_dims)]

    def bottom_up(self, x: Tensor, context: Tensor | None) -> list[Tensor]:
        """Parameters of a normal for each layer, (N, 2 D_l), from the top down."""
        found = [self.encoder(to_space(x, self.spec), context)]
        for dim, network in zip(self.latent_dims, self.upward, strict=False):
            found[-1], features = found[-1].tensor_split([2 * dim], 1)
            found.append(network(features))
        return found[::-1]

    def top_down(self, choose: Choose, num: int, context: Tensor | None, features: list[Tensor] | None = None) -> Pass:
        layers: list[Layer] = []
        for index in range(len(self.latent_dims)):
            prior, posterior = self._prior(layers, num, context), None
            if features:
                seen = GaussianHead()(features[index])
                posterior = precision_weighted(seen, prior) if layers else seen
            layers.append(Layer(choose(index, prior, posterior), prior, posterior))
        return Pass(layers, self.decoder(layers[-1].z, context))

    def _prior(self, layers: list[Layer], num: int, context: Tensor | None) -> Gaussian:
        """p of the next layer; at the top N(0, I), or p(z_1 | y)."""
        if layers:
            return GaussianHead()(self.downward[-len(layers)](layers[-1].z))
        if self.prior_head is not None:
            return GaussianHead()(self.prior_head(context))
        zeros = torch.zeros(num, self.latent_dims[-1], device=self.device)
        return Gaussian(zeros, zeros)


def _mlp(in_features: int, width: int, out_features: int) -> nn.Sequential:
    network = nn.Sequential(
        nn.Linear(in_features, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, out_features)
    )
    initialise(network)
    return network
