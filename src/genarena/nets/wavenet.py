"""Gated dilated convolutions over time, causal or not, with a local condition: the network of WaveNet, WaveGlow and DiffWave.

Van den Oord et al. 2016 (arXiv 1609.03499), sec. 2; Prenger, Valle & Catanzaro 2018 (arXiv 1811.00002), sec. 2.2. A layer is

    a = tanh(W_f * h + V_f c) sigmoid(W_g * h + V_g c),    h <- h + R a,    skip <- skip + S a

One matrix projects the condition for all layers. The last layer has no R, whose result nothing would read. On a CPU, in full
precision, all layers run in `merged.py`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from genarena.nets.merged import Lane, MergedStack, Shape, with_bias


class GatedLayer(nn.Module):
    """One layer: from h (N, C, T) to the next h, or None after the last layer, and the skip (N, skip_channels, T).

    scale: factor on h + R a; DiffWave has sqrt(1/2).
    """

    def __init__(
        self, channels: int, skip_channels: int, kernel_size: int, dilation: int, causal: bool, last: bool, scale: float
    ) -> None:
        super().__init__()
        self.channels, self.dilation, self.last, self.scale = channels, dilation, last, scale
        reach = (kernel_size - 1) * dilation
        self.padding = (reach, 0) if causal else (reach // 2, reach // 2)
        self.offsets = tuple(place * dilation - self.padding[0] for place in range(kernel_size))  # of each tap
        self.conv = weight_norm(nn.Conv1d(channels, 2 * channels, kernel_size, dilation=dilation))
        self.output = weight_norm(nn.Conv1d(channels, skip_channels + (0 if last else channels), 1))

    def forward(self, h: Tensor, context: Tensor | None = None) -> tuple[Tensor | None, Tensor]:
        """context: V c (N, 2 C, T), or None."""
        return self.advance(h, F.pad(h, self.padding), context)

    def advance(self, h: Tensor, window: Tensor, context: Tensor | None = None) -> tuple[Tensor | None, Tensor]:
        """The layer where its padded input is `window` (N, C, T + reach): zeros at the ends, or what a cache of a causal
        network holds of the past."""
        gated = self.conv(window)
        if context is not None:
            gated = gated + context
        filters, gates = gated.chunk(2, 1)
        out = self.output(torch.tanh(filters) * torch.sigmoid(gates))
        if self.last:
            return None, out
        residual, skip = out.split([self.channels, out.shape[1] - self.channels], 1)
        return self.scale * (h + residual), skip


class GatedStack(nn.Module):
    """x (N, in_channels, T) to the sum of skips (N, skip_channels, T), for a model's own last layers.

    dilation_cycle: dilations are 1, 2, 4, ... and begin anew after so many layers; None: never.
    context_channels: of the condition (N, context_channels, T), at the resolution of x; 0: none.
    step_features: of a vector per example (N, step_features), the time of a diffusion: each layer adds a linear map of it to
        its input before the convolution, as DiffWave does; 0: none.
    reach: (left, right), positions on each side of a place that its output depends on.
    merged: on a CPU by `merged.py`, which is faster and has no second and no forward-mode derivatives.
    Raises ValueError for an even kernel that is not causal.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        skip_channels: int,
        num_layers: int,
        kernel_size: int = 3,
        dilation_cycle: int | None = None,
        causal: bool = False,
        context_channels: int = 0,
        step_features: int = 0,
        scale: float = 1.0,
        merged: bool = True,
    ) -> None:
        super().__init__()
        self.merged = merged
        if not causal and kernel_size % 2 == 0:
            raise ValueError(f"kernel_size={kernel_size}: expected an odd size, the convolutions are not causal")
        self.first = weight_norm(nn.Conv1d(in_channels, channels, 1))
        dilations = [2 ** (index % (dilation_cycle or num_layers)) for index in range(num_layers)]
        self.layers = nn.ModuleList(
            GatedLayer(channels, skip_channels, kernel_size, dilation, causal, index == num_layers - 1, scale)
            for index, dilation in enumerate(dilations)
        )
        self.context = (
            weight_norm(nn.Conv1d(context_channels, 2 * channels * num_layers, 1)) if context_channels else None
        )
        self.step = nn.Linear(step_features, channels * num_layers) if step_features else None

    @property
    def reach(self) -> tuple[int, int]:
        return sum(layer.padding[0] for layer in self.layers), sum(layer.padding[1] for layer in self.layers)

    def forward(self, x: Tensor, context: Tensor | None = None, step: Tensor | None = None) -> Tensor:
        if self.merged and x.device.type == "cpu" and not torch.is_autocast_enabled("cpu"):
            return self._merged(x, context, step)
        contexts = self.contexts(context)
        steps = [None] * len(self.layers) if self.step is None else self.step(step).chunk(len(self.layers), 1)
        h, total = self.first(x), None
        for layer, local, vector in zip(self.layers, contexts, steps, strict=True):
            inner = h if vector is None else h + vector[:, :, None]
            h, skip = layer.advance(h, F.pad(inner, layer.padding), local)
            total = skip if total is None else total + skip
        return total

    def _merged(self, x: Tensor, context: Tensor | None, step: Tensor | None) -> Tensor:
        """The same, by the matrix products of `merged.py`."""
        lane = Lane(len(x), x.shape[2], max(max(layer.padding) for layer in self.layers))
        biases = [layer.conv.bias for layer in self.layers]
        given = projection = steps = None
        if self.context is not None:
            given, projection = lane.row(context), self.context.weight[:, :, 0]
            parts = self.context.bias.chunk(len(self.layers))
            biases = [bias + part for bias, part in zip(biases, parts, strict=True)]
        if self.step is not None:
            steps = self.step(step).view(len(x), len(self.layers), -1).permute(1, 2, 0)
        weights = []
        for layer, bias in zip(self.layers, biases, strict=True):
            weights += [with_bias(layer.conv.weight, bias), with_bias(layer.output.weight, layer.output.bias)]
        shapes = [Shape(layer.offsets, layer.scale) for layer in self.layers]
        h = self.first.weight[:, :, 0] @ x.transpose(0, 1).flatten(1) + self.first.bias[:, None]
        h = lane.row(h.unflatten(1, (len(x), -1)).transpose(0, 1), ends=True)
        return lane.sounds(
            MergedStack.apply(h, given, projection, steps, lane, shapes, torch.is_grad_enabled(), *weights)
        )

    def contexts(self, context: Tensor | None) -> tuple[Tensor | None, ...]:
        """V c of each layer, (N, 2 C, T) each; Nones without a condition."""
        if self.context is None:
            return (None,) * len(self.layers)
        return self.context(context).chunk(len(self.layers), 1)
