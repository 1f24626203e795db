"""Very deep variational autoencoder (Child 2020, arXiv 2011.10650).

Differs from the paper: q is given as its distance to p (Vahdat & Kautz 2020, arXiv 2007.03898, sec. 3.2), so that a layer that
has learnt nothing costs nothing, bit for bit; log-variances are bounded; pixels are Bernoulli for two levels, and else
(mixtures of) discretised logistics whose channels are independent given the codes; the image may be read in patches; sides are
halved down to one pixel, with no blocks where a size has none. A step whose gradient is too large is skipped as in the paper,
but not for ever: after five in a row one is made, with the gradient clipped.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.distributions import PixelHead
from genarena.likelihood import to_space
from genarena.models.sampler import Temperature
from genarena.models.vae.diagonal_normal import GaussianHead
from genarena.models.vae.hierarchy import HierarchicalModel, Objective, Pass
from genarena.models.vae.latent_model import Mode
from genarena.models.vae.networks import rows_of
from genarena.models.vae.stochastic_layers import Choose, Layer, shifted
from genarena.nets.bottleneck import Bottleneck, BottomUp, blocks_at, resolutions
from genarena.nets.conditioning import linear, num_features
from genarena.nets.patches import patch_of
from genarena.nets.resnet import Upsample
from genarena.options.values import Count, NonNegative, Positive, Share, Whole
from genarena.spec import DataSpec
from genarena.training.module import Training
from genarena.training.players import Player


class VDVAE(HierarchicalModel):
    """log p(x) >= E_q[log p(x|z)] - sum_l KL( q(z_l | z_<l, x) || p(z_l | z_<l) ), z_l maps from 1x1 to the finest size.

    A block adds to the state h: what p's network says, a projection of z_l, and a residual block (fig. 3).

    channels, middle_channels: of the state, and within blocks. z_channels: of each z_l. patch: the finest size is 1 / patch
        of the image's, rounded up; None: 4 for two levels, else 2. encoder_blocks, decoder_blocks: of each size, the finest
        first; the last entry holds for all coarser ones, down to 1x1. Each decoder block is a layer of codes.
    gradient_skip: norm of the gradient above which a step is skipped; None: no step is. Skipped steps are counted with those
        that are not finite.
    pixels, num_mixtures: of `PixelHead`. warmup, free_bits: of `Objective`. sampler: of `HierarchicalModel`.
    """

    paper = "2011.10650"
    mixed_precision = True

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        channels: Count = 64,
        middle_channels: Count = 32,
        z_channels: Count = 8,
        patch: Count | None = None,
        encoder_blocks: Sequence[Whole] = (1,),
        decoder_blocks: Sequence[Whole] = (1,),
        pixels: Literal["auto", "bernoulli", "categorical", "logistic", "logistic_mixture"] = "auto",
        num_mixtures: Count = 5,
        warmup: Share = 0.0,
        free_bits: NonNegative = 0.0,
        gradient_skip: Positive | None = None,
        sampler: Temperature | Mode = Temperature(),  # noqa: B008 - frozen
    ) -> None:
        super().__init__(spec, training, Objective(warmup, free_bits), sampler)
        spec.require_image("vdvae")
        self.gradient_skip, self.head = gradient_skip, PixelHead(pixels, spec, num_mixtures)
        in_channels, *image = spec.shape
        patch, context = patch_of(patch, image, 4 if spec.num_levels == 2 else 2), num_features(spec.condition)
        sizes, self.chosen = resolutions(*image, patch), {"patch": patch}
        up, down = (
            blocks_at(encoder_blocks, sizes, "encoder_blocks"),
            blocks_at(decoder_blocks, sizes, "decoder_blocks"),
        )
        self.encoder = BottomUp(in_channels, channels, middle_channels, sizes, up, patch, context)
        self.decoder = TopDown(channels, middle_channels, z_channels, sizes, down, context)
        self.output = Upsample(channels, self.head.out_channels, tuple(image), 1 if patch > 1 else 3, patch)
        self.max_rows = rows_of(spec, self.head.out_channels)
        self.code_shapes = [(z_channels, *size) for size, num in zip(sizes, down, strict=True) for _ in range(num)]

    def players(self) -> list[Player]:
        return [Player("", self.parameters(), self.loss, skip=self.gradient_skip)]

    def bottom_up(self, x: Tensor, context: Tensor | None) -> list[Tensor]:
        return self.encoder(to_space(x, self.spec), context)

    def top_down(self, choose: Choose, num: int, context: Tensor | None, features: list[Tensor] | None = None) -> Pass:
        layers, h = self.decoder(choose, num, context, features)
        return Pass(layers, self.output(h))


class TopDown(nn.Module):
    """The state h (N, channels, h, w) from 1x1 to the finest size: bias of the size + h of the coarser one, then blocks."""

    def __init__(
        self,
        channels: int,
        middle: int,
        z_channels: int,
        sizes: Sequence[tuple[int, int]],
        blocks: Sequence[int],
        context_features: int,
    ) -> None:
        super().__init__()
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(1, channels, *size)) for size in sizes)
        self.context, scale = linear(context_features, channels), sum(blocks) ** -0.5
        self.levels = nn.ModuleList(
            nn.ModuleList(TopDownBlock(channels, middle, z_channels, min(size) > 2, scale) for _ in range(num))
            for size, num in zip(sizes, blocks, strict=True)
        )

    def forward(
        self, choose: Choose, num: int, context: Tensor | None, features: list[Tensor] | None
    ) -> tuple[list[Layer], Tensor]:
        layers: list[Layer] = []
        h = self.biases[0].expand(num, -1, -1, -1)
        if self.context is not None:
            h = h + self.context(context)[:, :, None, None]
        for index, (level, bias) in enumerate(zip(self.levels, self.biases, strict=True)):
            h = F.interpolate(h, bias.shape[2:]) + bias if index else h
            for block in level:
                h, layer = block(h, features[index] if features else None, choose, len(layers))
                layers.append(layer)
        return layers, h


class TopDownBlock(nn.Module):
    """One layer of codes: p from the state, q from the state and the map of the encoder beside it."""

    def __init__(self, channels: int, middle: int, z_channels: int, spatial: bool, scale: float) -> None:
        super().__init__()
        self.parameters_of_p = 2 * z_channels
        self.prior = Bottleneck(channels, middle, 2 * z_channels + channels, spatial, scale=0.0)
        self.posterior = Bottleneck(2 * channels, middle, 2 * z_channels, spatial)
        self.projection = nn.Conv2d(z_channels, channels, 1)
        self.residual = Bottleneck(channels, middle, channels, spatial, scale)
        self.projection.weight.data *= scale
        nn.init.zeros_(self.projection.bias)

    def forward(self, h: Tensor, features: Tensor | None, choose: Choose, index: int) -> tuple[Tensor, Layer]:
        outputs = self.prior(h)
        prior, posterior = GaussianHead()(outputs[:, : self.parameters_of_p]), None
        if features is not None:
            posterior = shifted(prior, GaussianHead()(self.posterior(torch.cat([h, features], 1))))
        z = choose(index, prior, posterior)
        h = h + outputs[:, self.parameters_of_p :] + self.projection(z)
        return h + self.residual(h), Layer(z, prior, posterior)
