"""Gated PixelCNN (van den Oord et al. 2016, arXiv 1606.05328).

Differs from the paper
- Shifted one-sided kernels instead of masks: the same functions for half of the arithmetic. Kernels are dilated.
- The vertical stack has residual connections too, and a learned bias per position.
- Levels enter as values and as learned embeddings.
- 8-bit colours have a mixture of discretised logistics (Salimans et al. 2017, arXiv 1701.05517) instead of 256 classes.
- The channels of a pixel are chained in the head, not by groups of features.
A condition is added to every gate, the same at all places (sec. 2.3, eq. 4); every place attends to the words of a caption.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.distributions import PixelHead
from genarena.likelihood import to_unit
from genarena.models.autoregressive.conditional_product import ConditionalProduct
from genarena.models.autoregressive.degrees import raster_degrees
from genarena.models.autoregressive.level_choice import TopP
from genarena.models.autoregressive.row_cache import RowCache
from genarena.models.capabilities import Factorises, Represents
from genarena.models.keeping import Choose, Select, draw, move
from genarena.models.sampler import Temperature
from genarena.nets.conditioning import sizes
from genarena.nets.layers import recorded
from genarena.nets.masked import GatedPixelStack
from genarena.options.values import Count, Share, Whole
from genarena.spec import DataSpec
from genarena.training.module import Training


class ChannelHead(nn.Module):
    """Parameters of the distribution of a pixel's channel k, from the pixel's features and its channels 0 .. k-1."""

    def __init__(self, in_features: int, num_previous: int, hidden: int, out_features: int, precise: bool) -> None:
        super().__init__()
        self.precise = precise  # the output layer uses float32, also under autocast
        self.hidden = nn.Linear(in_features, hidden)
        self.out = nn.Linear(hidden, out_features)
        if num_previous:
            self.previous_hidden = nn.Linear(num_previous, hidden, bias=False)
            self.previous_out = nn.Linear(num_previous, out_features, bias=False)

    def forward(self, features: Tensor, previous: Tensor) -> Tensor:
        """features (..., in_features), previous (..., num_previous) in [-1, 1]: (..., out_features)."""
        hidden = self.hidden(features)
        mixed = torch.is_autocast_enabled(features.device.type) and not self.precise
        with torch.autocast(features.device.type, enabled=mixed):
            hidden = hidden if mixed else hidden.float()
            if not previous.shape[-1]:
                return self.out(F.relu(hidden))
            return self.out(F.relu(hidden + self.previous_hidden(previous))) + self.previous_out(previous)


def default_pixels(spec: DataSpec) -> str:
    """What `pixels=auto` stands for: bernoulli, categorical or logistic_mixture.

    Grey images of any number of levels are categorical, because their histograms have spikes. Colours with many levels are
    a mixture of logistics, which knows the order of the levels.
    """
    if spec.num_levels == 2:
        return "bernoulli"
    return "categorical" if spec.num_levels <= 32 or spec.shape[0] == 1 else "logistic_mixture"


class PixelCNN(ConditionalProduct, Factorises, Represents):
    """log p(x) = sum_i log p(x_i | x_1, ..., x_{i-1}), rows first, then columns, then channels."""

    paper = "1606.05328"
    mixed_precision = True

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        hidden_channels: Count = 32,
        num_blocks: Count = 5,
        kernel_size: Count = 3,
        first_kernel_size: Count = 7,
        dilations: Sequence[Count] = (1, 2, 4, 8),
        head_channels: Count = 64,
        pixels: str = "auto",
        num_mixtures: Count = 10,
        level_embedding: Whole = 8,
        sample_chunk: Count = 512,
        sampler: Temperature | TopP = Temperature(),  # noqa: B008 - frozen
        condition_dropout: Share = 0.0,
    ) -> None:
        """pixels: bernoulli, categorical, logistic, logistic_mixture, or auto (`default_pixels`).

        level_embedding: size of a learned embedding of each level, an input beside the level's value. It separates
            neighbouring levels, which bfloat16 values hardly do. 0 leaves it out; it is not used for two levels.
        """
        super().__init__(spec, training, condition_dropout)
        spec.require_image("pixelcnn")
        self.use(sampler)
        if pixels == "auto":
            pixels = default_pixels(spec)
        self.sample_chunk = sample_chunk
        channels, height, width = spec.shape
        self.pixel = PixelHead(pixels, DataSpec((1, height, width), spec.num_levels), num_mixtures)
        self.embedding = (
            nn.Embedding(spec.num_levels, level_embedding) if spec.num_levels > 2 and level_embedding else None
        )
        self.in_channels = channels * (1 if self.embedding is None else 1 + level_embedding)
        self.stack = GatedPixelStack(
            self.in_channels,
            hidden_channels,
            num_blocks,
            kernel_size,
            first_kernel_size,
            tuple(dilations),
            (height, width),
            *sizes(spec.condition, condition_dropout),
        )
        precise = pixels.startswith("logistic")  # bfloat16 cannot tell the means of neighbouring levels apart
        self.heads = nn.ModuleList(
            ChannelHead(self.stack.out_channels, k, head_channels, self.pixel.out_channels, precise)
            for k in range(channels)
        )
        if pixels == "logistic_mixture":
            self._spread_mixtures(num_mixtures)

    @torch.no_grad()
    def _spread_mixtures(self, num_mixtures: int) -> None:
        """Start with the means of the components evenly spaced over the range, so that each gets data to learn from."""
        for head in self.heads:
            _, mean, log_scale = head.out.bias.view(3, num_mixtures)
            mean.copy_(torch.linspace(-1.0, 1.0, num_mixtures))
            log_scale.fill_(-2.0)

    def inputs(self, x: Tensor) -> Tensor:
        """Inputs of the stack, (N, in_channels, ...), from levels (N, C, ...): values in [-1, 1], and embeddings."""
        unit = to_unit(x, self.spec.num_levels)
        if self.embedding is None:
            return unit
        return torch.cat([unit, self.embedding(x.nan_to_num().long()).movedim(-1, 2).flatten(1, 2)], 1)

    def outputs(self, x: Tensor, y: Tensor | None = None) -> list[Tensor]:
        """Per channel the parameters (N, P, H, W) of every pixel's distribution; x (N, C, H, W) levels."""
        features = self.stack(self.inputs(x), self.context(y, len(x))).permute(0, 2, 3, 1)
        values = to_unit(x, self.spec.num_levels).permute(0, 2, 3, 1)
        return [head(features, values[..., :k]).permute(0, 3, 1, 2) for k, head in enumerate(self.heads)]

    def log_prob(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        """Exact, (N,) nats; x (N, C, H, W) levels."""
        outputs = self.outputs(x, y)
        return sum(self.pixel(output).log_prob(x[:, k : k + 1]).flatten(1).sum(1) for k, output in enumerate(outputs))

    def draw_pixel(self, features: Tensor, choose: Callable[..., Tensor] = draw) -> Tensor:
        """Levels (N, C) of one pixel from its features (N, F); `choose` gives them channel by channel."""
        levels: list[Tensor] = []
        for channel, head in enumerate(self.heads):
            previous = to_unit(torch.stack(levels, 1), self.spec.num_levels) if levels else features[:, :0]
            outputs = head(features, previous)[:, :, None, None]
            levels.append(choose(self.pixel(outputs), channel=channel))
        return torch.stack(levels, 1)

    def features(self, x: Tensor, y: Tensor | None = None) -> dict[str, Tensor]:
        """The horizontal stack after each block, averaged over positions."""
        return recorded(lambda: self.stack(self.inputs(x), self.context(y, len(x))), self.stack.layers())

    def order(self) -> Tensor:
        return raster_degrees(self.spec.shape).argsort()

    def unroll(self, num_images: int, choose: Choose, y: Tensor | None = None, select: Select | None = None) -> Tensor:
        """Levels (num_images, C, H, W) that `choose` gives: rows first, then columns, then channels."""
        _, height, width = self.spec.shape
        cache = RowCache(self.stack, num_images, width, self.context(y, num_images))
        above, rows = cache.zeros(num_images, self.in_channels, width), []
        for row in range(height):
            cache.start_row(above)
            left, pixels = cache.zeros(num_images, self.in_channels), []
            for column in range(width):
                features = cache.step(column, left)
                pixels.append(self.draw_pixel(features, partial(choose, row=row, column=column)))
                if select is not None and (index := select()) is not None:
                    cache.select(index)
                    move(index, *pixels, *rows)
                left = self.inputs(pixels[-1])
            rows.append(torch.stack(pixels, 2))
            above = self.inputs(rows[-1])
        return torch.stack(rows, 2)

    @property
    def nfe(self) -> int:
        return self.spec.shape[1] * self.spec.shape[2] * self.sampler.predictions
