"""U-Net with a time input (Ronneberger et al. 2015, arXiv 1505.04597; Ho et al. 2020, arXiv 2006.11239, appendix B).

Differs from Ho et al.
- Time enters as a scale and a shift after the second GroupNorm (Dhariwal & Nichol 2021, arXiv 2105.05233, sec. 3).
- A 1x1 convolution merges each skip connection before the next block, so that a block keeps its width.
- Upsampling is a 1x1 convolution, then nearest neighbour.
- Where a condition has states of words, the coarsest maps attend to them once, starting at zero.
- `patch` first folds p x p pixels into channels. On a CPU, more width and depth are worth more than full resolution.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.nets.attention import Backend, MapTextAttention, attend, heads_of
from genarena.nets.conditioning import states
from genarena.nets.layers import Layered
from genarena.nets.patches import fold, patch_of, require_image, unfold
from genarena.nets.time_embedding import TIME_SCALE, TimeEmbedding
from genarena.options.values import Count, Positive, Share

GROUPS = 8


def _scaled(layer: nn.Conv2d, gain: float) -> nn.Conv2d:
    """`layer`, its weights multiplied by `gain` and its bias zero.

    Small weights, not zeros: a block starts near the identity, and every parameter still gets a gradient.
    """
    with torch.no_grad():
        layer.weight.mul_(gain)
        layer.bias.zero_()
    return layer


class ResidualBlock(nn.Module):
    """x + conv(silu((1 + scale(t)) norm(conv(silu(norm(x)))) + shift(t)))."""

    def __init__(self, channels: int, embedding_channels: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(GROUPS, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.modulation = nn.Linear(embedding_channels, 2 * channels)
        self.norm2 = nn.GroupNorm(GROUPS, channels)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = _scaled(nn.Conv2d(channels, channels, 3, padding=1), 0.1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        scale, shift = self.modulation(embedding)[:, :, None, None].chunk(2, 1)
        h = self.conv1(F.silu(self.norm1(x)))
        h = torch.addcmul(shift, self.norm2(h), 1.0 + scale)
        return x + self.conv2(self.dropout(F.silu(h)))


class SelfAttention(nn.Module):
    """x + projection(attention(norm(x))) over all positions; heads of at most `head_channels` channels."""

    def __init__(self, channels: int, head_channels: int = 64, backend: Backend = "fused") -> None:
        super().__init__()
        self.backend = backend
        self.num_heads = heads_of(channels, head_channels)
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.projection = _scaled(nn.Conv2d(channels, channels, 1), 0.1)

    def forward(self, x: Tensor) -> Tensor:
        heads = self.qkv(self.norm(x)).flatten(2).unflatten(1, (3, self.num_heads, -1)).transpose(-1, -2)
        h = attend(*heads.unbind(1), backend=self.backend)  # (N, heads, H W, channels / heads)
        return x + self.projection(h.transpose(-1, -2).reshape(x.shape))


class Stage(nn.Module):
    """A residual block, followed by self-attention if `attention`."""

    def __init__(
        self, channels: int, embedding_channels: int, attention: bool, dropout: float, backend: Backend
    ) -> None:
        super().__init__()
        self.block = ResidualBlock(channels, embedding_channels, dropout)
        self.attention = SelfAttention(channels, backend=backend) if attention else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        return self.attention(self.block(x, embedding))


class UNet(Layered, nn.Module):
    """(N, in_channels, H, W), t (N,) or (N, num_times), and a context (N, F) -> (N, out_channels, H, W), any H and W.

    shape: (C, H, W) of the data.
    with_states: the context (N, 1 + L, F) has states of words too, and the coarsest maps attend to them.
    hidden_channels, multipliers: level k has hidden_channels * multipliers[k] channels and half the size of level k - 1.
    num_blocks: residual blocks per level, both on the way down and on the way up.
    attention: heights of the feature maps that get self-attention after each block. The coarsest level always has one
        self-attention, between the way down and the way up.
    patch: side of the squares of pixels that are folded into channels; None: 2 for 16 pixels and more, else 1.
    backend: of the attention; "math" has forward-mode and second derivatives.
    time_scale: the highest frequency of the time's features (`nets/time_embedding.py`).
    zero_output: the last layer starts at zero, and so does the output.
    Raises ValueError for other data than images, and unless `hidden_channels` is a positive multiple of 8, there is a
    multiplier, and every number is at least 1.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        shape: Sequence[int],
        context_features: int = 0,
        with_states: bool = False,
        num_times: int = 1,
        hidden_channels: Count = 48,
        multipliers: Sequence[int] = (1, 2),
        num_blocks: Count = 1,
        attention: Sequence[int] = (),
        patch: Count | None = None,
        dropout: Share = 0.0,
        backend: Backend = "fused",
        time_scale: Positive = TIME_SCALE,
        zero_output: bool = False,
    ) -> None:
        super().__init__()
        size = require_image(shape, "unet")
        patch = patch_of(None, size) if patch is None else patch  # any size comes back
        if hidden_channels < GROUPS or hidden_channels % GROUPS:
            raise ValueError(f"hidden_channels={hidden_channels}: expected a positive multiple of {GROUPS}")
        if not multipliers or min(*multipliers, num_blocks, patch) < 1:
            raise ValueError(
                f"multipliers={tuple(multipliers)}, num_blocks={num_blocks}, patch={patch}: expected at "
                "least one multiplier, and every number at least 1"
            )
        widths = [hidden_channels * multiplier for multiplier in multipliers]
        heights = [math.ceil(size[0] / patch / 2**level) for level in range(len(widths))]
        embedding_channels = 4 * hidden_channels
        self.patch, self.num_blocks, self.chosen = patch, num_blocks, {"patch": patch}

        def stages(level: int) -> nn.ModuleList:
            return nn.ModuleList(
                Stage(widths[level], embedding_channels, heights[level] in attention, dropout, backend)
                for _ in range(num_blocks)
            )

        levels = range(len(widths))
        self.embedding = TimeEmbedding(embedding_channels, 64, context_features, time_scale, num_times=num_times)
        self.stem = nn.Conv2d(in_channels * patch**2, widths[0], 3, padding=1)
        self.down = nn.ModuleList(stages(level) for level in levels)
        self.shrink = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(widths))
        self.middle_attention = SelfAttention(widths[-1], backend=backend)
        norm, ends = nn.GroupNorm(GROUPS, widths[-1]), (widths[-1], context_features, backend)
        self.middle_text = MapTextAttention(norm, *ends) if with_states else None
        self.middle = ResidualBlock(widths[-1], embedding_channels, dropout)
        self.fuse = nn.ModuleList(
            nn.ModuleList(nn.Conv2d(2 * width, width, 1) for _ in range(num_blocks)) for width in widths
        )
        self.up = nn.ModuleList(stages(level) for level in levels)
        self.grow = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(widths))
        self.head_norm = nn.GroupNorm(GROUPS, widths[0])
        self.head = _scaled(nn.Conv2d(widths[0], out_channels * patch**2, 3, padding=1), 0.0 if zero_output else 0.1)

    def forward(self, x: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
        h = self.stem(fold(x, self.patch))
        embedding, skips = self.embedding(t, context), []
        for level, stages in enumerate(self.down):
            if level:
                h = self.shrink[level - 1](h)
            for stage in stages:
                h = stage(h, embedding)
                skips.append(h)
        h = self.middle_attention(h)
        if self.middle_text is not None:
            h = self.middle_text(h, states(context))
        h = self.middle(h, embedding)
        for level in reversed(range(len(self.up))):
            for fuse, stage in zip(self.fuse[level], self.up[level], strict=True):
                h = stage(fuse(torch.cat([h, skips.pop()], 1)), embedding)
            if level:
                h = F.interpolate(self.grow[level - 1](h), size=skips[-1].shape[-2:], mode="nearest")
        return unfold(self.head(F.silu(self.head_norm(h))), self.patch, x.shape[-2:])

    def layers(self) -> dict[str, nn.Module]:
        """The last block of each level, on the way down, in the middle and on the way up."""
        down = {f"down {level}": stages[-1] for level, stages in enumerate(self.down)}
        up = {f"up {level}": self.up[level][-1] for level in reversed(range(len(self.up)))}
        return {**down, "middle": self.middle, **up}
