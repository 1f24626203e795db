"""The U-Net of DDPM (Ho, Jain & Abbeel 2020, arXiv 2006.11239, appendix B), as in the authors' code.

35.7 million parameters with its default sizes, of 32 x 32 x 3. Differs from the code: the first step has the time features
of 1, theirs those of 0; maps of odd size are padded on both sides, and grow to the size that they had; fewer than
128 channels have fewer groups; a condition is added to the time embedding, and the coarsest maps attend to the states of words
where it has some.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.nets.attention import Backend, MapTextAttention, attend
from genarena.nets.conditioning import states
from genarena.nets.layers import Layered
from genarena.nets.patches import require_image
from genarena.nets.time_embedding import TIME_SCALE, TimeEmbedding
from genarena.options.values import Count, Positive, Share


def _norm(channels: int) -> nn.GroupNorm:
    """32 groups, or fewer so that each has at least 4 channels."""
    return nn.GroupNorm(math.gcd(32, channels // 4), channels, eps=1e-6)


class ResidualBlock(nn.Module):
    """x + conv(dropout(silu(norm(conv(silu(norm(x))) + linear(time))))); x through a 1x1 convolution if its width changes."""

    def __init__(self, in_channels: int, out_channels: int, embedding_channels: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = _norm(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.time = nn.Linear(embedding_channels, out_channels)
        self.norm2 = _norm(out_channels)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.shortcut = nn.Identity() if in_channels == out_channels else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x))) + self.time(embedding)[:, :, None, None]
        return self.shortcut(x) + self.conv2(self.dropout(F.silu(self.norm2(h))))


class SelfAttention(nn.Module):
    """x + projection(attention(norm(x))) over all positions, with one head."""

    def __init__(self, channels: int, backend: Backend) -> None:
        super().__init__()
        self.backend = backend
        self.norm = _norm(channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.projection = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.qkv(self.norm(x)).flatten(2).mT[:, None].chunk(3, -1)  # (N, 1, H W, channels) each
        h = attend(query, key, value, backend=self.backend)
        return x + self.projection(h[:, 0].mT.reshape(x.shape))


class Stage(nn.Module):
    """A residual block, followed by self-attention if `attention`."""

    def __init__(
        self, widths: tuple[int, int], embedding_channels: int, attention: bool, dropout: float, backend: Backend
    ) -> None:
        super().__init__()
        self.block = ResidualBlock(*widths, embedding_channels, dropout)
        self.attention = SelfAttention(widths[1], backend) if attention else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        return self.attention(self.block(x, embedding))


class Shrink(nn.Conv2d):
    """A convolution of stride 2, to half the size, rounded up. An even size is padded at its end, an odd one at both ends."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]  # as TensorFlow's SAME
        return super().forward(F.pad(x, (width % 2, 1, height % 2, 1)))


class DDPMUNet(Layered, nn.Module):
    """(N, in_channels, H, W), t (N,) or (N, num_times), and a context (N, F) -> (N, out_channels, H, W).

    The output is zero before training.
    with_states: the context (N, 1 + L, F) has states of words too.
    hidden_channels, multipliers: level k has hidden_channels * multipliers[k] channels and half the size of level k - 1.
    num_blocks: residual blocks per level on the way down; on the way up there is one more.
    attention: heights of the feature maps with self-attention after each block; there is always one in the middle.
    backend: of the attention; "math" has forward-mode and second derivatives.
    time_scale: the highest frequency of the time's features (`nets/time_embedding.py`).
    Raises ValueError for other data than images, without multipliers, and unless `hidden_channels` is a multiple of 4.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        shape: Sequence[int],
        context_features: int = 0,
        with_states: bool = False,
        num_times: int = 1,
        hidden_channels: Count = 128,
        multipliers: Sequence[int] = (1, 2, 2, 2),
        num_blocks: Count = 2,
        attention: Sequence[int] = (16,),
        dropout: Share = 0.1,
        backend: Backend = "fused",
        time_scale: Positive = TIME_SCALE,
    ) -> None:
        super().__init__()
        height, _ = require_image(shape, "ddpm_unet")
        if not multipliers or min(multipliers) < 1 or hidden_channels % 4 or hidden_channels < 4:
            raise ValueError(
                f"hidden_channels={hidden_channels}, multipliers={tuple(multipliers)}: expected a positive multiple of 4, "
                "and at least one multiplier from 1"
            )
        widths = [hidden_channels * multiplier for multiplier in multipliers]
        embedding_channels, levels = 4 * hidden_channels, range(len(widths))
        self.embedding = TimeEmbedding(
            embedding_channels, hidden_channels, context_features, time_scale, True, num_times
        )
        self.stem = nn.Conv2d(in_channels, hidden_channels, 3, padding=1)

        def stages(level: int, ends: Sequence[int]) -> nn.ModuleList:
            """One per input width; each has the level's width as its output."""
            attended = math.ceil(height / 2**level) in attention
            options = (embedding_channels, attended, dropout, backend)
            return nn.ModuleList(Stage((width, widths[level]), *options) for width in ends)

        entering = [hidden_channels, *widths[:-1]]  # the width of the map that comes to a level from above
        self.down = nn.ModuleList(
            stages(level, [entering[level]] + [widths[level]] * (num_blocks - 1)) for level in levels
        )
        self.shrink = nn.ModuleList(Shrink(width) for width in widths[:-1])
        deepest = (widths[-1], widths[-1]), embedding_channels
        self.middle = nn.ModuleList([Stage(*deepest, True, dropout, backend), Stage(*deepest, False, dropout, backend)])
        text = (_norm(widths[-1]), widths[-1], context_features, backend)
        self.middle_text = MapTextAttention(*text) if with_states else None
        below = [*widths[1:], widths[-1]]  # the width of the map that comes to a level from below
        self.up = nn.ModuleList(
            stages(
                level,
                [below[level] + widths[level]]
                + [2 * widths[level]] * (num_blocks - 1)
                + [widths[level] + entering[level]],
            )
            for level in levels
        )
        self.grow = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for width in widths[1:])
        self.head_norm = _norm(hidden_channels * multipliers[0])
        self.head = nn.Conv2d(widths[0], out_channels, 3, padding=1)
        self._start()

    def _start(self) -> None:
        """Glorot's weights, no bias; zero in the last layer of each residual branch and of the network."""
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d) or type(layer) is nn.Linear:
                nn.init.xavier_uniform_(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        for layer in self.modules():
            last = {ResidualBlock: "conv2", SelfAttention: "projection", DDPMUNet: "head"}.get(type(layer))
            if last:
                nn.init.zeros_(getattr(layer, last).weight)
        if self.middle_text is not None:
            self.middle_text.attention.start()

    def forward(self, x: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
        embedding = self.embedding(t, context)
        h = self.stem(x)
        skips = [h]
        for level, stages in enumerate(self.down):
            if level:
                h = self.shrink[level - 1](h)
                skips.append(h)
            for stage in stages:
                h = stage(h, embedding)
                skips.append(h)
        h = self.middle[0](h, embedding)
        if self.middle_text is not None:
            h = self.middle_text(h, states(context))
        h = self.middle[1](h, embedding)
        for level in reversed(range(len(self.up))):
            for stage in self.up[level]:
                h = stage(torch.cat([h, skips.pop()], 1), embedding)
            if level:
                h = self.grow[level - 1](F.interpolate(h, size=skips[-1].shape[-2:], mode="nearest"))
        return self.head(F.silu(self.head_norm(h)))

    def layers(self) -> dict[str, nn.Module]:
        """The last block of each level, on the way down, in the middle and on the way up."""
        down = {f"down {level}": stages[-1] for level, stages in enumerate(self.down)}
        up = {f"up {level}": self.up[level][-1] for level in reversed(range(len(self.up)))}
        return {**down, "middle": self.middle[-1], **up}
