"""The gated convolutions of a causal `GatedStack` one sample at a time: what no later sample changes is computed once.

Le Paine et al. 2016 (Fast WaveNet, arXiv 1611.09482). Weights are read once, without their normalisation, and the skips of all
layers are one matrix product.
"""

from collections import deque

import torch
from torch import Tensor

from genarena.nets.wavenet import GatedLayer, GatedStack

BLOCK = 1024  # places whose condition is projected together: for all of a long sound it would be a gigabyte


class SampleCache:
    """Keeps of every layer the inputs that its kernel still reaches. `step` gives what a full pass would give at this place.

    local: the condition at every sample, (N, F, T), or None.
    """

    def __init__(self, stack: GatedStack, num_sounds: int, local: Tensor | None = None) -> None:
        self.local, self.contexts = local, stack.contexts
        self.first, self.first_bias = _matrix(stack.first), stack.first.bias
        self.layers = [LayerCache(layer, num_sounds) for layer in stack.layers]
        outputs = [(layer, _matrix(layer.output)) for layer in stack.layers]
        self.skips = torch.cat([matrix[:, _residual(layer) :] for layer, matrix in outputs])
        self.skips_bias = sum(layer.output.bias[_residual(layer) :] for layer in stack.layers)
        self.place = -1

    def step(self, x: Tensor) -> Tensor:
        """x (N, in_channels): the input at the next place; gives the sum of skips there, (N, skip_channels)."""
        self.place += 1
        if self.local is not None and self.place % BLOCK == 0:
            parts = self.contexts(self.local[:, :, self.place : self.place + BLOCK])
            for layer, part in zip(self.layers, parts, strict=True):
                layer.listen(part)
        h, gates = torch.addmm(self.first_bias, x, self.first), []
        for layer in self.layers:
            h, gated = layer.step(h, self.place % BLOCK)
            gates.append(gated)
        return torch.addmm(self.skips_bias, torch.cat(gates, 1), self.skips)


class LayerCache:
    """One layer and its last inputs, the newest last."""

    def __init__(self, layer: GatedLayer, num_sounds: int) -> None:
        kernel, width = layer.conv.weight, _residual(layer)  # (2 C, C, taps)
        self.weight, self.bias = kernel.permute(2, 1, 0).flatten(0, 1).contiguous(), layer.conv.bias
        self.context: tuple[Tensor, ...] | None = None
        self.residual, self.residual_bias = _matrix(layer.output)[:, :width].contiguous(), layer.output.bias[:width]
        self.last, self.scale = layer.last, layer.scale
        self.back = [
            layer.dilation * tap for tap in range(kernel.shape[2] - 1, -1, -1)
        ]  # how long ago, the oldest first
        silent = kernel.new_zeros(num_sounds, layer.channels)
        self.past = deque([silent] * (self.back[0] + 1), maxlen=self.back[0] + 1)

    def listen(self, context: Tensor) -> None:
        """V c (N, 2 C, T) of the next T places."""
        self.context = (context.permute(2, 0, 1) + self.bias).contiguous().unbind(0)

    def step(self, h: Tensor, place: int) -> tuple[Tensor | None, Tensor]:
        """h (N, C) at a place, counted from the last `listen`, to the next h, None after the last layer, and what the
        gates let through, (N, C)."""
        self.past.append(h)
        window = torch.cat([self.past[-1 - back] for back in self.back], 1)
        inner = torch.addmm(self.bias if self.context is None else self.context[place], window, self.weight)
        filters, gates = inner.chunk(2, 1)
        gated = torch.tanh(filters) * torch.sigmoid(gates)
        if self.last:
            return None, gated
        return self.scale * (torch.addmm(h, gated, self.residual) + self.residual_bias), gated


def _residual(layer: GatedLayer) -> int:
    """Channels of the output that go on to the next layer; the others are the skip."""
    return 0 if layer.last else layer.channels


def _matrix(convolution: torch.nn.Conv1d) -> Tensor:
    """Of a kernel of one place, (in, out)."""
    return convolution.weight[:, :, 0].T.contiguous()
