"""Traces, log-determinants and volumes of Jacobians, exact or by random probes.

    tr J = E[e^T J e]  for E[e e^T] = I                             (Hutchinson 1989)
    log det(I + J) = sum_k (-1)^(k+1) / k tr(J^k),  |J| < 1         (Chen et al. 2019, arXiv 1906.02735, eq. 5)

Batches: x (N, *shape), and no row depends on another. Probes (K, N, *shape) have E[sum_k e_k e_k^T] = I, so that a sum over
them estimates a trace; the axes make it exact. The trace is that of the map's own Jacobian: the divergence of x + g(x) is D +
tr(dg/dx).
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.autograd import forward_ad

FEW, TOGETHER = 8, 16  # probes: pulled one by one up to FEW, and on a processor so many at once, which fit its cache


def axes(x: Tensor) -> Tensor:
    """All D axes (D, N, *shape): the trace is exact."""
    dims = x[0].numel()
    return torch.eye(dims, device=x.device, dtype=x.dtype).view(dims, 1, *x.shape[1:]).expand(dims, *x.shape)


def signs(x: Tensor, num: int) -> Tensor:
    """`num` probes of random signs, scaled by 1 / sqrt(num); from torch's global generator."""
    drawn = torch.randint(2, (num, *x.shape), device=x.device).to(x.dtype)
    return (2.0 * drawn - 1.0) / math.sqrt(num)


def orthogonal(x: Tensor, num: int) -> Tensor:
    """`num` <= D orthogonal probes of vectors x (N, D), of length sqrt(D / num), so that num = D makes the trace exact."""
    gauss = torch.randn(*x.shape, num, device=x.device, dtype=x.dtype)
    unit = torch.nn.functional.normalize(gauss, dim=1) if num == 1 else torch.linalg.qr(gauss).Q
    return math.sqrt(x.shape[1] / num) * unit.movedim(-1, 0)


def trace(value: Tensor, x: Tensor, probes: Tensor, create_graph: bool = False) -> Tensor:
    """sum_k e_k^T (dvalue/dx) e_k, (N,), of `value` (N, *shape), computed from x with gradients; K backward passes.

    create_graph: it can be differentiated itself. Else the graph of `value` is kept for the caller. More than `FEW` probes are
    pulled in batched passes, for which fused attention is not made.
    """
    if len(probes) > FEW:
        return (pull(value, x, probes, create_graph) * probes).flatten(2).sum((0, 2))
    total = value.new_zeros(len(value))
    for probe in probes:
        (pulled,) = torch.autograd.grad(value, x, probe, create_graph=create_graph, retain_graph=True)
        total = total + dot(pulled, probe)
    return total


def pull(value: Tensor, x: Tensor, probes: Tensor, create_graph: bool = False) -> Tensor:
    """e_k^T (dvalue/dx), (K, N, *shape), in batched backward passes; with `axes` the rows of the Jacobian."""
    options = {"create_graph": create_graph, "retain_graph": True, "is_grads_batched": True}
    parts = probes.split(TOGETHER if x.device.type == "cpu" else len(probes))
    return torch.cat([torch.autograd.grad(value, x, part, **options)[0] for part in parts])


def dot(a: Tensor, b: Tensor) -> Tensor:
    """(N,) of (N, *shape)."""
    return (a * b).flatten(1).sum(1)


# -- log det(I + J) ---------------------------------------------------------------------------------------------------------


def roulette(num_exact: int, stop: float) -> list[float]:
    """Weights 1 / P(K >= k) of the terms k = 1 .. K of a series, so that its expectation is the infinite sum.

    The first `num_exact` terms are always there, and after each further one the series ends with probability `stop`, 0 <
    stop < 1 (Chen et al. 2019, eq. 6). One draw, from torch's global generator.
    """
    weights, alive = [1.0] * num_exact, 1.0
    while float(torch.rand(())) >= stop:
        alive *= 1.0 - stop
        weights.append(1.0 / alive)
    return weights


def log_det_series(
    value: Tensor, x: Tensor, probes: Tensor, weights: Sequence[float], create_graph: bool = False
) -> Tensor:
    """sum_k weights_k (-1)^(k+1) / k sum_e e^T J^k e, (N,), J = dvalue/dx; unbiased for log |det(I + J)| with `roulette`.

    create_graph: its gradient is not that of this sum but another unbiased one (Chen et al. 2019, eq. 8),
    d log det(I + J) = tr((I + J)^-1 dJ) = E[sum_k weights_k (-1)^k e^T J^k dJ e], k = 0, 1, ..., weights_0 = 1: the powers need
    no graph, only the last derivative keeps one, and memory does not grow with the number of terms.
    """
    total = value.new_zeros(len(value))
    for probe in probes:
        pulled = left = probe
        for k, weight in enumerate(weights, 1):
            (pulled,) = torch.autograd.grad(value, x, pulled, retain_graph=True)
            total = total + (-1) ** (k + 1) * weight / k * dot(pulled, probe)
            left = left + (-1) ** k * weight * pulled
        if create_graph:
            (last,) = torch.autograd.grad(value, x, left, create_graph=True)
            surrogate = dot(last, probe)
            total = total + surrogate - surrogate.detach()
    return total


def log_det(value: Tensor, x: Tensor, create_graph: bool = False) -> Tensor:
    """log |det(I + J)| (N,) of the full J."""
    axis = axes(x)
    rows = pull(value, x, axis, create_graph)
    return torch.linalg.slogdet(rows.flatten(2).transpose(0, 1) + torch.eye(len(axis)).to(x)).logabsdet


# -- Jacobians by columns ---------------------------------------------------------------------------------------------------


def push(function: Callable[[Tensor], Tensor], at: Tensor, tangent: Tensor) -> tuple[Tensor, Tensor]:
    """function(at), and its directional derivative along `tangent`, in one forward-mode pass."""
    with forward_ad.dual_level():
        value, derivative = forward_ad.unpack_dual(function(forward_ad.make_dual(at, tangent)))
    return value, torch.zeros_like(value) if derivative is None else derivative


def columns(function: Callable[[Tensor], Tensor], at: Tensor) -> tuple[Tensor, Tensor]:
    """function(at) (N, ...), and its Jacobian (N, outputs, d) at vectors (N, d): one forward-mode pass per column.

    Differentiable in the gradient mode of the caller; forward mode refuses inference tensors, so a copy is used there.
    """
    recorded = torch.is_grad_enabled()
    with torch.inference_mode(False), torch.set_grad_enabled(recorded):
        at = at.clone() if at.is_inference() else at
        pushed = [push(function, at, axis.expand_as(at)) for axis in torch.eye(at.shape[1]).to(at)]
    return pushed[0][0], torch.stack([derivative.flatten(1) for _, derivative in pushed], 2)


def log_volume(jacobian: Tensor) -> Tensor:
    """1/2 log det(J^T J) (N,) of J (N, D, d), d <= D, in float64: log |det J| where d = D."""
    if jacobian.shape[1] == jacobian.shape[2]:
        return torch.linalg.slogdet(jacobian.double()).logabsdet
    return torch.linalg.qr(jacobian.double()).R.diagonal(dim1=1, dim2=2).abs().log().sum(1)
