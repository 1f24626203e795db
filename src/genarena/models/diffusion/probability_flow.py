"""Log-density under an ordinary differential equation: it changes by the integrated divergence of the velocity.

Chen et al. 2018, arXiv 1806.07366, eq. 8 (instantaneous change of variables); Grathwohl et al. 2019, arXiv 1810.01367
(the trace by Hutchinson's estimator, one draw of probes for the whole path); Song et al. 2021, arXiv 2011.13456,
app. D.2 (for diffusion models, with the adaptive Runge-Kutta method of Dormand & Prince, both tolerances 1e-5).

The variance-preserving flow is written in the angle of Salimans & Ho 2022, arXiv 2202.00512, app. D:
x = cos(phi) x_0 + sin(phi) eps gives dx/dphi = v = cos(phi) eps - sin(phi) x_0, from phi near 0 (data) to near pi/2.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.integrate import RK45
from torch import Tensor

SOLVER = "RK45 (Dormand-Prince), scipy"
EXACT_DIMS = 8  # up to this many dimensions the trace is exact instead of estimated

Velocity = Callable[[Tensor, float], Tensor]  # (x (N, *shape), time) to dx/dtime; no row depends on another


class FlowDensity(NamedTuple):
    """`log_prob` (N,) nats, NaN if the solver failed; `facts`: solver, tolerance, trace, and `nfe` evaluations of the field."""

    log_prob: Tensor
    facts: dict[str, Any]


def log_density(
    velocity: Velocity, x: Tensor, times: tuple[float, float], tolerance: float, num_probes: int
) -> FlowDensity:
    """log p(x) at times[0], where dx/dtime = velocity carries p to N(0, I) at times[1].

    log p(x) = log N(x_end; 0, I) + integral of div v along the path. All examples share the solver's steps: the root mean
    square of their errors is held below `tolerance`, absolute and relative. The state is float64; the velocity is evaluated
    in the type of `x`. Probes are drawn from torch's global generator.
    """
    probes = _probes(x, num_probes)
    size = x.numel()

    def field(time: float, state: np.ndarray) -> np.ndarray:
        at = torch.from_numpy(state[:size]).view(x.shape).to(x)
        value, divergence = velocity_and_divergence(velocity, at, time, probes)
        return np.concatenate([part.double().cpu().flatten().numpy() for part in (value, divergence)])

    start = np.concatenate([x.double().cpu().flatten().numpy(), np.zeros(len(x))])
    solver = RK45(field, times[0], start, times[1], rtol=tolerance, atol=tolerance)
    while solver.status == "running" and math.isfinite(solver.h_abs):  # with a NaN it would never end
        solver.step()
    end = torch.from_numpy(solver.y if solver.status == "finished" else np.full_like(solver.y, math.nan))
    latent = end[:size].view(len(x), -1)
    log_normal = -0.5 * (latent.square() + math.log(2.0 * math.pi)).sum(1)
    is_exact = x[0].numel() <= EXACT_DIMS
    facts = {
        "method": "probability-flow ODE",
        "solver": SOLVER,
        "tolerance": tolerance,
        "nfe": solver.nfev,
        "trace": "exact" if is_exact else "hutchinson",
        "trace_probes": None if is_exact else num_probes,
    }
    return FlowDensity((log_normal + end[size:]).to(x.device), facts)


def velocity_and_divergence(velocity: Velocity, x: Tensor, time: float, probes: Tensor) -> tuple[Tensor, Tensor]:
    """v (N, *shape) and the sum over probes e of e^T (dv/dx) e, (N,), both detached; works in any gradient mode."""
    with torch.inference_mode(False), torch.enable_grad():
        x = x.detach().clone().requires_grad_()
        value = velocity(x, time)
        divergence = 0.0
        for index, probe in enumerate(probes):
            (pulled,) = torch.autograd.grad(value, x, probe, retain_graph=index < len(probes) - 1)
            divergence = divergence + (pulled * probe).flatten(1).sum(1)
    return value.detach(), divergence


def _probes(x: Tensor, num_probes: int) -> Tensor:
    """Probes (K, N, *shape) with E[sum_k e_k e_k^T] = I: scaled random signs, or all axes up to `EXACT_DIMS` dimensions."""
    dims = x[0].numel()
    if dims <= EXACT_DIMS:
        axes = torch.eye(dims, device=x.device, dtype=x.dtype)
        return axes.view(dims, 1, *x.shape[1:]).expand(dims, *x.shape)
    signs = torch.randint(2, (num_probes, *x.shape), device=x.device).to(x.dtype)
    return (2.0 * signs - 1.0) / math.sqrt(num_probes)
