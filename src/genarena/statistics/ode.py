"""Ordinary differential equations: the method of Dormand and Prince, and densities that are carried along.

The density changes by the integrated divergence of the velocity (Chen et al. 2018, arXiv 1806.07366, eq. 8), whose trace
Hutchinson's estimator gives with one draw of probes for the whole path (Grathwohl et al. 2019, arXiv 1810.01367).

The solver is ours because its steps are differentiated. Gradients through torchdiffeq's go through the choice of its steps too:
at a tolerance of 1e-5 the Jacobian of y' = tanh(A y), A (2, 2), was wrong by 2e-4 there, and is by 2e-6 here.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from genarena.statistics import traces

SOLVER = "RK45 (Dormand-Prince)"
EXACT_DIMS = 8  # up to this many dimensions the trace is exact instead of estimated
# Of the step: factor, and limits of its change (Hairer, Norsett & Wanner, II.4).
SAFETY, SLOWEST, FASTEST = 0.9, 0.2, 10.0
TIMES = (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0)
STAGES = (
    (),
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
)
FIFTH = (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84)
ERROR = (-71 / 57600, 0.0, 71 / 16695, -71 / 1920, 17253 / 339200, -22 / 525, 1 / 40)  # fifth minus fourth order

Field = Callable[[Tensor, float], Tensor]  # (state, time) to d state / d time, of the same shape
Velocity = Field  # of (N, *shape), where no row depends on another


class Solution(NamedTuple):
    """`state` at the last time, NaN if the solver failed, and `nfe` evaluations of the field."""

    state: Tensor
    nfe: int


def integrate(field: Field, state: Tensor, times: tuple[float, float], tolerance: float) -> Solution:
    """The state at times[1], in adaptive steps: the root mean square of their errors, over all entries, stays below
    `tolerance`, absolute and relative. Differentiable through the accepted steps, whose sizes count as constants.
    """
    time, end = times
    direction = math.copysign(1.0, end - time)
    slope = field(state, time)
    size, nfe, rejected = _first_step(field, state, slope, times, tolerance), 2, False
    while time != end:
        size = min(size, abs(end - time))
        new_time = end if size == abs(end - time) else time + direction * size
        if not math.isfinite(size) or size <= 10.0 * math.ulp(time):
            return Solution(state * math.nan, nfe)
        new, new_slope, error = _step(field, state, slope, time, new_time - time)
        nfe += 6
        norm = _norm(error, tolerance * (1.0 + torch.maximum(state.abs(), new.abs())))
        if norm < 1.0:
            growth = FASTEST if norm == 0.0 else min(FASTEST, SAFETY * norm**-0.2)
            size *= min(1.0, growth) if rejected else growth
            time, state, slope, rejected = new_time, new, new_slope, False
        else:
            size, rejected = size * max(SLOWEST, SAFETY * norm**-0.2) if math.isfinite(norm) else math.nan, True
    return Solution(state, nfe)


def _step(field: Field, state: Tensor, slope: Tensor, time: float, step: float) -> tuple[Tensor, Tensor, Tensor]:
    """State and slope after the step, and the estimate of its error."""
    slopes = [slope]
    for share, weights in zip(TIMES[1:], STAGES[1:], strict=True):
        slopes.append(field(state + step * _sum(weights, slopes), time + share * step))
    new = state + step * _sum(FIFTH, slopes)
    slopes.append(field(new, time + step))
    return new, slopes[-1], step * _sum(ERROR, slopes)


def _sum(weights: tuple[float, ...], slopes: list[Tensor]) -> Tensor:
    return sum(weight * slope for weight, slope in zip(weights, slopes, strict=True) if weight)


@torch.no_grad()
def _first_step(field: Field, state: Tensor, slope: Tensor, times: tuple[float, float], tolerance: float) -> float:
    """Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, sec. II.4."""
    length, scale = abs(times[1] - times[0]), tolerance * (1.0 + state.abs())
    size, first = _norm(state, scale), _norm(slope, scale)
    trial = min(length, 1e-6 if min(size, first) < 1e-5 else 0.01 * size / first)
    step = math.copysign(trial, times[1] - times[0])
    second = _norm(field(state + step * slope, times[0] + step) - slope, scale) / trial
    largest = max(first, second)
    return min(length, 100.0 * trial, max(1e-6, trial * 1e-3) if largest <= 1e-15 else (0.01 / largest) ** 0.2)


def _norm(values: Tensor, scale: Tensor) -> float:
    """Root mean square of values / scale."""
    return float((values.detach() / scale.detach()).square().mean().sqrt())


# -- densities --------------------------------------------------------------------------------------------------------------


class FlowDensity(NamedTuple):
    """`log_prob` (N,) nats, NaN if the solver failed; `facts`: solver, tolerance, trace, and `nfe` evaluations of the field."""

    log_prob: Tensor
    facts: dict[str, Any]


class Flowed(NamedTuple):
    """x (N, *shape) at the end of a flow, the integral of the divergence on the way (N,), and evaluations of the field."""

    x: Tensor
    log_det: Tensor
    nfe: int


def log_density(
    velocity: Velocity, x: Tensor, times: tuple[float, float], tolerance: float, num_probes: int
) -> FlowDensity:
    """log p(x) at times[0], where dx/dtime = velocity carries p to N(0, I) at times[1].

    log p(x) = log N(x_end; 0, I) + integral of div v along the path. All examples share the solver's steps. The state is
    float64; the velocity is evaluated in the type of `x`. Probes are drawn from torch's global generator.
    """
    is_exact = x[0].numel() <= EXACT_DIMS
    with torch.inference_mode(False), torch.no_grad():
        x = x.clone()
        flowed = flow(velocity, x, times, tolerance, probes_of(x, num_probes))
    log_normal = -0.5 * (flowed.x.square() + math.log(2.0 * math.pi)).flatten(1).sum(1)
    facts = {
        "method": "probability-flow ODE",
        "solver": SOLVER,
        "tolerance": tolerance,
        "nfe": flowed.nfe,
        "trace": "exact" if is_exact else "hutchinson",
        "trace_probes": None if is_exact else num_probes,
    }
    return FlowDensity(log_normal + flowed.log_det, facts)


def probes_of(x: Tensor, num: int) -> Tensor:
    """Probes (K, N, *shape): random signs, or all axes up to `EXACT_DIMS` dimensions."""
    return traces.axes(x) if x[0].numel() <= EXACT_DIMS else traces.signs(x, num)


def flow(velocity: Velocity, x: Tensor, times: tuple[float, float], tolerance: float, probes: Tensor) -> Flowed:
    """Carry x (N, *shape) from times[0] to times[1] with the integral of the divergence, estimated with `probes`.

    Differentiable where gradients are recorded. The state is float64, or the type of x while gradients are recorded.
    """
    training = torch.is_grad_enabled()
    wide = x.dtype if training else torch.float64

    def field(state: Tensor, time: float) -> Tensor:
        at = state[:, :-1].reshape(x.shape).to(x.dtype)
        value, divergence = _with_divergence(velocity, at, time, probes, training)
        return torch.cat([value.flatten(1), divergence[:, None]], 1).to(wide)

    start = torch.cat([x.flatten(1), x.new_zeros(len(x), 1)], 1).to(wide)
    state, nfe = integrate(field, start, times, tolerance)
    return Flowed(state[:, :-1].reshape(x.shape), state[:, -1], nfe)


def _with_divergence(
    velocity: Velocity, x: Tensor, time: float, probes: Tensor, create_graph: bool
) -> tuple[Tensor, Tensor]:
    """v (N, *shape) and its estimated divergence (N,); detached unless `create_graph`."""
    with torch.enable_grad():
        x = x if create_graph and x.requires_grad else x.detach().clone().requires_grad_()
        value = velocity(x, time)
        divergence = traces.trace(value, x, probes, create_graph)
    return (value, divergence) if create_graph else (value.detach(), divergence.detach())
