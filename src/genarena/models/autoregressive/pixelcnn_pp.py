"""PixelCNN++ (Salimans et al. 2017, arXiv 1701.05517).

Differs from the paper: convolutions without weight normalisation and its data-dependent start; the means of the components
start evenly spaced; sizes are rounded up where they are odd.
A condition is added before every gate (sec. 2.6), the same at all places.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from genarena.likelihood import to_unit
from genarena.models.autoregressive.chained_logistics import ChainedLogistics
from genarena.models.autoregressive.conditional_product import ConditionalProduct
from genarena.models.autoregressive.degrees import raster_degrees
from genarena.models.autoregressive.level_choice import TopP
from genarena.models.autoregressive.strided_cache import StridedCache
from genarena.models.capabilities import Factorises, Represents
from genarena.models.keeping import Choose, Select, draw, move
from genarena.models.sampler import Temperature
from genarena.nets.causal_streams import CausalStreams
from genarena.nets.conditioning import num_features
from genarena.nets.layers import recorded
from genarena.options.values import Count, Share, Whole
from genarena.spec import DataSpec
from genarena.training.module import Training


class PixelCNNPP(ConditionalProduct, Factorises, Represents):
    """log p(x) = sum_i log p(x_i | x_1, ..., x_{i-1}) over pixels i, each a mixture of logistics over its channels.

    hidden_channels, num_blocks, halvings, dropout: of `CausalStreams`. num_mixtures: components of a pixel.
    """

    paper = "1701.05517"

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        hidden_channels: Count = 32,
        num_blocks: Count = 1,
        halvings: Whole = 2,
        num_mixtures: Count = 10,
        dropout: Share = 0.0,
        sample_chunk: Count = 512,
        sampler: Temperature | TopP = Temperature(),  # noqa: B008 - frozen
        condition_dropout: Share = 0.0,
    ) -> None:
        super().__init__(spec, training, condition_dropout)
        spec.require_image(type(self).__name__)
        self.use(sampler)
        self.sample_chunk = sample_chunk
        self.pixel = ChainedLogistics(spec.shape[0], num_mixtures, spec.num_levels)
        context = num_features(spec.condition, condition_dropout)
        in_channels = spec.shape[0] + 1
        self.streams = CausalStreams(
            in_channels, hidden_channels, num_blocks, halvings, spec.shape[1:], dropout, context
        )
        self.head = nn.Conv2d(hidden_channels, self.pixel.out_channels, 1)
        with torch.no_grad():
            self.pixel.start(self.head.bias)

    def inputs(self, x: Tensor) -> Tensor:
        """Inputs of the streams, (N, C + 1, ...), from levels (N, C, ...): values in [-1, 1], and ones, which tell pixels from
        the zeros around the image."""
        unit = to_unit(x, self.spec.num_levels)
        return torch.cat([unit, torch.ones_like(unit[:, :1])], 1)

    def outputs(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The parameters (N, P, H, W) of every pixel's distribution; x (N, C, H, W) levels."""
        return self.head(self.streams(self.inputs(x), self.context(y, len(x))))

    def log_prob(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        """Exact, (N,) nats; x (N, C, H, W) levels."""
        return self.pixel.log_prob(self.outputs(x, y), x).flatten(1).sum(1)

    def features(self, x: Tensor, y: Tensor | None = None) -> dict[str, Tensor]:
        """What leaves the last block of the second stream at every size, on the way back, averaged over positions."""
        layers = {f"level{level}": blocks[-1] for level, blocks in enumerate(self.streams.right.decoder)}
        return recorded(lambda: self.outputs(x, y), layers)

    # -- samples

    def draw_pixel(self, features: Tensor, choose: Callable[..., Tensor] = draw) -> Tensor:
        """Levels (N, C) of one pixel from its features (N, F); `choose` gives them channel by channel."""
        outputs, levels = self.head(features[:, :, None, None]), features[:, :0, None, None]
        for channel in range(self.spec.shape[0]):
            chosen = choose(self.pixel.channel(outputs, levels), channel=channel)
            levels = torch.cat([levels, chosen[:, None, None, None]], 1)
        return levels[:, :, 0, 0]

    def order(self) -> Tensor:
        return raster_degrees(self.spec.shape).argsort()

    def unroll(self, num_images: int, choose: Choose, y: Tensor | None = None, select: Select | None = None) -> Tensor:
        """Levels (num_images, C, H, W) that `choose` gives: rows first, then columns, then channels."""
        _, height, width = self.spec.shape
        cache = StridedCache(self.streams, num_images, width, self.context(y, num_images))
        rows, left = [], cache.inputs[:, :, 0, 0]
        for row in range(height):
            cache.start_row()
            pixels: list[Tensor] = []
            for column in range(width):
                features = cache.step(column, left)
                pixels.append(self.draw_pixel(features, partial(choose, row=row, column=column)))
                if select is not None and (index := select()) is not None:
                    cache.select(index)
                    move(index, *pixels, *rows)
                left = self.inputs(pixels[-1])
            cache.end_row(left)
            rows.append(torch.stack(pixels, 2))
        return torch.stack(rows, 2)

    @property
    def nfe(self) -> int:
        return self.spec.shape[1] * self.spec.shape[2] * self.sampler.predictions
