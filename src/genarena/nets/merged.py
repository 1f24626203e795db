"""A stack of gated dilated convolutions as matrix products over all examples at once: the same numbers as layer by layer, and
faster on a CPU, whose convolutions of few channels spend most of their time on copies.

The sounds of a batch lie in one row per channel, with zeros between them as wide as a kernel reaches:

    | zeros | sound 1 | zeros | sound 2 | zeros | ... | zeros |            (C, positions)

A tap of a dilated convolution is then one product of its matrix with the row, moved by a multiple of the dilation, and nothing
is padded or copied. Products add up in place, which autograd would not allow, so the gradient is written out.
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
    def size(self) -> int:
        """Positions from the first sound to the end of the gap after the last."""
        return self.num * (self.length + self.gap)

    def row(self, x: Tensor, ends: bool = False) -> Tensor:
        """(N, C, T) to (C, size), zero in the gaps; ends: (C, size + 2 gap), with the gaps at both ends that taps read."""
        row = F.pad(x.transpose(0, 1), (0, self.gap)).flatten(1)
        return F.pad(row, (self.gap, self.gap)) if ends else row

    def sounds(self, row: Tensor) -> Tensor:
        """(C, size) to (N, C, T)."""
        return row.unflatten(1, (self.num, -1))[:, :, : self.length].transpose(0, 1)

    def tap(self, row: Tensor, offset: int) -> Tensor:
        """(C, size): the positions of (C, size + 2 gap) that lie `offset` later."""
        return row[:, self.gap + offset : self.gap + offset + self.size]

    def clear(self, row: Tensor) -> Tensor:
        """Zero the gaps between sounds of (C, size + 2 gap), in place."""
        self.tap(row, 0).unflatten(1, (self.num, -1))[:, :, self.length :].zero_()
        return row


@dataclass(frozen=True)
class Shape:
    """Of a layer: the offset of each tap, and the factor on h + R a."""

    offsets: tuple[int, ...]
    scale: float


class MergedStack(torch.autograd.Function):
    """Skips (S, size) of h (C, size + 2 gap).

    context, projection: c (F, size) and V (2 C L, F), or None; steps: what each layer adds to its input, (L, C, N), or None;
    weights: of each layer W (2 C, C, K), the bias of W * h + V c, (R; S) (C + S, C), its bias.
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
        *weights: Tensor,
    ) -> Tensor:
        channels, inputs, gates, total = len(h), [], [], None
        for index, shape in enumerate(shapes):
            taps, bias, mix, mix_bias = weights[4 * index : 4 * index + 4]
            inner = h if steps is None else _stepped(h, steps[index], lane)
            gated = _start(bias, context, _part(projection, index, channels), lane)
            for tap, offset in zip(taps.unbind(2), shape.offsets, strict=True):
                gated.addmm_(tap.contiguous(), lane.tap(inner, offset))
            product = gated[:channels].tanh_() * gated[channels:].sigmoid_()
            inputs.append(inner)
            gates.append(gated)
            skip, skip_bias = mix[-_skips(weights) :], mix_bias[-_skips(weights) :, None]
            total = (
                torch.addmm(skip_bias, skip, product) if total is None else total.add_(skip_bias).addmm_(skip, product)
            )
            if index < len(shapes) - 1:
                h = h.clone()
                lane.tap(h, 0).add_(mix_bias[:channels, None]).addmm_(mix[:channels], product)
                h = lane.clear(h.mul_(shape.scale) if shape.scale != 1.0 else h)
        ctx.save_for_backward(context, projection, *inputs, *gates, *weights)
        ctx.lane, ctx.shapes, ctx.has_steps = lane, shapes, steps is not None
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, to_total: Tensor) -> tuple[Tensor | None, ...]:
        num, lane, (context, projection, *saved) = len(ctx.shapes), ctx.lane, ctx.saved_tensors
        inputs, gates, weights = saved[:num], saved[num : 2 * num], saved[2 * num :]
        channels, to_total = len(inputs[0]), to_total.contiguous()
        to_h, to_steps, to_weights = None, [], []  # to_h: of h + R a of the layer
        to_context, to_projection = (None if part is None else torch.zeros_like(part) for part in (context, projection))
        for index in reversed(range(num)):
            taps, _, mix, _ = weights[4 * index : 4 * index + 4]
            residual = None if to_h is None else lane.tap(to_h, 0)
            to_gated, to_mix, to_mix_bias = _back_to_gates(gates[index], mix, residual, to_total)
            to_inner, to_taps = _back_to_input(inputs[index], taps, to_gated, lane, ctx.shapes[index])
            to_weights = [to_taps, to_gated.sum(1), to_mix, to_mix_bias, *to_weights]
            if context is not None:
                to_context.addmm_(_part(projection, index, channels).T, to_gated)
                torch.mm(to_gated, context.T, out=_part(to_projection, index, channels))
            if ctx.has_steps:
                to_steps.insert(0, lane.sounds(lane.tap(to_inner, 0)).sum(2).T)
            to_h = to_inner if to_h is None else to_inner.add_(to_h)
            if index and ctx.shapes[index - 1].scale != 1.0:
                to_h = to_h.mul_(ctx.shapes[index - 1].scale)
        to_steps = torch.stack(to_steps) if ctx.has_steps else None
        return to_h, to_context, to_projection, to_steps, None, None, *to_weights


def _skips(weights: tuple[Tensor, ...]) -> int:
    """S: the last layer has no R."""
    return len(weights[-1])


def _part(projection: Tensor | None, index: int, channels: int) -> Tensor | None:
    """V of a layer, (2 C, F)."""
    return None if projection is None else projection[2 * channels * index : 2 * channels * (index + 1)]


def _stepped(h: Tensor, step: Tensor, lane: Lane) -> Tensor:
    """h + step (C, N) at every place of a sound."""
    h = h.clone()
    lane.tap(h, 0).unflatten(1, (lane.num, -1))[:, :, : lane.length] += step[:, :, None]
    return h


def _start(bias: Tensor, context: Tensor | None, projection: Tensor | None, lane: Lane) -> Tensor:
    """V c and the bias, (2 C, size)."""
    if context is None:
        return bias[:, None].expand(-1, lane.size).clone()
    return torch.addmm(bias[:, None], projection, context)


def _back_to_gates(
    gated: Tensor, mix: Tensor, to_residual: Tensor | None, to_total: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of what tanh and sigmoid take, of (R; S) and of its bias."""
    tanh, sigmoid = gated.chunk(2)
    product, skip = tanh * sigmoid, mix[-len(to_total) :]
    to_product = skip.T @ to_total
    to_mix, to_bias = to_total @ product.T, to_total.sum(1)
    if to_residual is not None:
        to_product.addmm_(mix[: -len(to_total)].T, to_residual)
        to_mix, to_bias = torch.cat([to_residual @ product.T, to_mix]), torch.cat([to_residual.sum(1), to_bias])
    to_gated, half = torch.empty_like(gated), len(product)
    torch.ops.aten.tanh_backward.grad_input(to_product * sigmoid, tanh, grad_input=to_gated[:half])
    torch.ops.aten.sigmoid_backward.grad_input(to_product * tanh, sigmoid, grad_input=to_gated[half:])
    return to_gated, to_mix, to_bias


def _back_to_input(inner: Tensor, taps: Tensor, to_gated: Tensor, lane: Lane, shape: Shape) -> tuple[Tensor, Tensor]:
    """Gradients of the input of a layer, zero in the gaps, and of its taps."""
    to_inner, to_taps = torch.zeros_like(inner), torch.empty_like(taps)
    for k, offset in enumerate(shape.offsets):
        lane.tap(to_inner, offset).addmm_(taps[:, :, k].T.contiguous(), to_gated)
        to_taps[:, :, k] = to_gated @ lane.tap(inner, offset).T
    return lane.clear(to_inner), to_taps
