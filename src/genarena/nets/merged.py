"""A stack of gated dilated convolutions as matrix products over all examples at once: the same numbers as layer by layer, and
faster on a CPU, whose convolutions of few channels spend most of their time on copies.

The sounds of a batch lie in one row per channel, with zeros between them as wide as a kernel reaches:

    | zeros | sound 1 | zeros | sound 2 | zeros | ... | zeros |            (C, positions)

What the taps of a dilated convolution read are copies of these rows, moved by multiples of the dilation, in one matrix, above a
row of ones that carries the bias. A layer is one product with it, and one with what the gates let through, which adds to the
residual and to the sum of skips in place. Autograd would not allow sums in place, so the gradient is written out.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable


@dataclass(frozen=True)
class Lane:
    """Where `num` sounds of `length` positions lie in a row, with `gap` zeros around each."""

    num: int
    length: int
    gap: int

    @property
    def between(self) -> int:
        """Zeros after each sound; none after a single one."""
        return self.gap if self.num > 1 else 0

    @property
    def size(self) -> int:
        """Positions from the first sound to the end of the gap after the last."""
        return self.num * (self.length + self.between)

    def row(self, x: Tensor, ends: bool = False) -> Tensor:
        """(N, C, T) to (C, size), zero in the gaps; ends: (C, size + 2 gap), with the gaps at both ends that taps read."""
        row = x[0] if self.num == 1 else F.pad(x.transpose(0, 1), (0, self.between)).flatten(1)
        return F.pad(row, (self.gap, self.gap)) if ends else row

    def sounds(self, row: Tensor) -> Tensor:
        """(C, size) to (N, C, T)."""
        return row.unflatten(1, (self.num, -1))[:, :, : self.length].transpose(0, 1)

    def tap(self, row: Tensor, offset: int) -> Tensor:
        """(C, size): the positions of (C, size + 2 gap) that lie `offset` later."""
        return row[:, self.gap + offset : self.gap + offset + self.size]

    def clear(self, row: Tensor) -> None:
        """Zero the gaps between sounds of (C, size + 2 gap), in place."""
        self.tap(row, 0).unflatten(1, (self.num, -1))[:, :, self.length :].zero_()


@dataclass(frozen=True)
class Shape:
    """Of a layer: the offset of each tap, and the factor on h + R a."""

    offsets: tuple[int, ...]
    scale: float


def with_bias(weight: Tensor, bias: Tensor) -> Tensor:
    """The matrix of a convolution W (M, C, K) for stacked taps and a row of ones, (M, K C + 1)."""
    return torch.cat([weight.transpose(1, 2).flatten(1), bias[:, None]], 1)


class MergedStack(torch.autograd.Function):
    """Skips (S, size) of h (C, size + 2 gap).

    context, projection: c (F, size) and V (2 C L, F), or None; steps: what each layer adds to its input, (L, C, N), or None;
    kept: whether a gradient may be asked for. weights: of each layer that of W * h + V c, (2 C, K C + 1), and (R; S), (C + S,
    C + 1), without R in the last one, as `with_bias` makes them.
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        h: Tensor,
        context: Tensor | None,
        projection: Tensor | None,
        steps: Tensor | None,
        lane: Lane,
        shapes: list[Shape],
        kept: bool,
        *weights: Tensor,
    ) -> Tensor:
        channels, inputs, gates, last = len(h), [], [], len(shapes) - 1
        state = F.pad(h, (0, 0, 0, len(weights[-1])))  # h, and the sum of skips
        h, product = state[:channels], _above_ones(channels, state, lane)
        stack = gated = None
        for index, shape in enumerate(shapes):
            taps, mix = weights[2 * index : 2 * index + 2]
            inner = h if steps is None else _stepped(h, steps[index], lane)
            stack = _stacked(stack, inner, lane, shape)
            gated = h.new_empty(2 * channels, lane.size) if kept or gated is None else gated
            if context is None:
                torch.mm(taps, stack, out=gated)
            else:
                torch.mm(_part(projection, index, channels), context, out=gated).addmm_(taps, stack)
            inputs += [inner.clone() if steps is None else inner] if kept else []
            gates += [gated] if kept else []
            torch.mul(gated[:channels].tanh_(), gated[channels:].sigmoid_(), out=product[:-1])
            lane.tap(state[channels:] if index == last else state, 0).addmm_(mix, product)
            if index < last:
                lane.clear(h.mul_(shape.scale) if shape.scale != 1.0 else h)
        ctx.save_for_backward(context, projection, *inputs, *gates, *weights)
        ctx.lane, ctx.shapes, ctx.has_steps = lane, shapes, steps is not None
        return lane.tap(state[channels:], 0)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, to_total: Tensor) -> tuple[Tensor | None, ...]:
        num, lane, (context, projection, *saved) = len(ctx.shapes), ctx.lane, ctx.saved_tensors
        inputs, gates, weights = saved[:num], saved[num : 2 * num], saved[2 * num :]
        channels = len(inputs[0])
        to_state = F.pad(to_total, (lane.gap, lane.gap, channels, 0))  # of h and of the sum of skips
        to_h, to_steps, to_weights = to_state[:channels], [], []
        to_context, to_projection = (None if part is None else torch.zeros_like(part) for part in (context, projection))
        for index in reversed(range(num)):
            taps, mix = weights[2 * index : 2 * index + 2]
            if index < num - 1 and ctx.shapes[index].scale != 1.0:
                to_h *= ctx.shapes[index].scale
            to_sum = lane.tap(to_state[channels:] if index == num - 1 else to_state, 0)
            to_gated, to_mix = _back_to_gates(gates[index], mix, to_sum)
            to_inner = torch.zeros_like(to_h) if ctx.has_steps else to_h
            to_weights = [
                _back_to_input(to_inner, inputs[index], taps, to_gated, lane, ctx.shapes[index]),
                to_mix,
                *to_weights,
            ]
            if context is not None:
                to_context.addmm_(_part(projection, index, channels).T, to_gated)
                torch.mm(to_gated, context.T, out=_part(to_projection, index, channels))
            if ctx.has_steps:
                to_steps.insert(0, lane.sounds(lane.tap(to_inner, 0)).sum(2).T)
                to_h += to_inner
        to_steps = torch.stack(to_steps) if ctx.has_steps else None
        return to_h, to_context, to_projection, to_steps, None, None, None, *to_weights


def _stacked(stack: Tensor | None, inner: Tensor, lane: Lane, shape: Shape) -> Tensor:
    """What the taps read of (C, size + 2 gap), above a row of ones: (K C + 1, size), in the memory of `stack`."""
    stack = _above_ones(len(shape.offsets) * len(inner), inner, lane) if stack is None else stack
    for part, offset in zip(stack[:-1].split(len(inner)), shape.offsets, strict=True):
        part.copy_(lane.tap(inner, offset))
    return stack


def _back_to_gates(gated: Tensor, mix: Tensor, to_sum: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of what tanh and sigmoid take, and of (R; S) with its bias."""
    tanh, sigmoid = gated.chunk(2)
    product, to_product, to_gated = tanh * sigmoid, mix[:, :-1].T @ to_sum, torch.empty_like(gated)
    torch.ops.aten.tanh_backward.grad_input(to_product * sigmoid, tanh, grad_input=to_gated[: len(tanh)])
    torch.ops.aten.sigmoid_backward.grad_input(to_product * tanh, sigmoid, grad_input=to_gated[len(tanh) :])
    return to_gated, torch.cat([to_sum @ product.T, to_sum.sum(1, keepdim=True)], 1)


def _back_to_input(to_inner: Tensor, inner: Tensor, taps: Tensor, to_gated: Tensor, lane: Lane, shape: Shape) -> Tensor:
    """Adds to the gradient of the input of a layer, which stays zero in the gaps; the gradient of its taps and bias."""
    channels, to_taps = len(inner), torch.empty_like(taps)
    torch.sum(to_gated, 1, out=to_taps[:, -1])
    for k, offset in enumerate(shape.offsets):
        here = slice(k * channels, (k + 1) * channels)
        torch.mm(to_gated, lane.tap(inner, offset).T, out=to_taps[:, here])
        lane.tap(to_inner, offset).addmm_(taps[:, here].T, to_gated)
    lane.clear(to_inner)
    return to_taps


def _above_ones(rows: int, like: Tensor, lane: Lane) -> Tensor:
    """(rows + 1, size): room, and a row of ones."""
    found = like.new_empty(rows + 1, lane.size)
    found[-1] = 1.0
    return found


def _part(projection: Tensor, index: int, channels: int) -> Tensor:
    """What belongs to a layer of (2 C L, ...), (2 C, ...)."""
    return projection[2 * channels * index : 2 * channels * (index + 1)]


def _stepped(h: Tensor, step: Tensor, lane: Lane) -> Tensor:
    """h + step (C, N) at every place of a sound."""
    h = h.clone()
    lane.tap(h, 0).unflatten(1, (lane.num, -1))[:, :, : lane.length] += step[:, :, None]
    return h
