"""Networks that are chosen by the shape of the data."""

from collections.abc import Sequence

from torch import nn

from genarena.nets.attention import Backend
from genarena.nets.mlp import TimeMLP
from genarena.nets.time_embedding import TIME_SCALE
from genarena.nets.unet import UNet
from genarena.options.values import Count, Positive, Share


def unet_or_mlp(
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
    num_layers: Count = 3,
    backend: Backend = "fused",
    time_scale: Positive = TIME_SCALE,
    zero_output: bool = False,
) -> nn.Module:
    """The U-Net for images (C, H, W), the residual MLP for vectors (D,). Raises ValueError for another shape.

    hidden_channels, time_scale, zero_output: of both. num_layers: of the MLP. The others are options of the U-Net.
    """
    ends = (in_channels, out_channels, shape, context_features, with_states, num_times)
    if len(shape) == 1:
        return TimeMLP(*ends, hidden_channels, num_layers, time_scale, zero_output)
    if len(shape) == 3:
        sizes = (hidden_channels, multipliers, num_blocks, attention, patch, dropout)
        return UNet(*ends, *sizes, backend, time_scale, zero_output)
    raise ValueError(f"unet: shape={tuple(shape)}: expected images (C, H, W) or vectors (D,)")
