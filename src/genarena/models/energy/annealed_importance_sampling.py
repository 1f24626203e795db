"""Annealed importance sampling: the constant of an energy, or the likelihood of a decoder; from N(0, I) unless said otherwise.

Papers: Neal 2001, arXiv physics/9803008; Grosse et al. 2015, arXiv 1511.02543 (why the estimate errs on one side).
Differs from the paper: Hamiltonian transitions whose step size follows the acceptance rate along the path, unless the
step sizes are given.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor

from genarena.models.energy.langevin import Energy, energy_and_gradient, like

LEAPFROG_STEPS = 3


class Partition(NamedTuple):
    """log Z in nats, with measures of its quality. It is unreliable with few effective chains, and misses the mass of modes
    that no chain found."""

    log_z: float
    standard_error: float  # of log_z, by the delta method; too small where effective_chains is near one
    effective_chains: float
    acceptance: float
    log_weights: Tensor | None = None  # (num_chains,): the mean of their exponentials is unbiased for Z


def facts(constant: Partition, num_chains: int, num_steps: int, transitions: dict[str, Any]) -> dict[str, Any]:
    """What the record of a likelihood says of its constant. transitions: the settings of a step."""
    return {
        "method": "energy with log Z from annealed importance sampling",
        "ais_chains": num_chains,
        "ais_steps": num_steps,
        **transitions,
        "log_z": constant.log_z,
        "log_z_standard_error": constant.standard_error,
        "effective_chains": constant.effective_chains,
        "acceptance": constant.acceptance,
    }


def partition_of(log_weights: Tensor, acceptance: float, log_reference: float = 0.0) -> Partition:
    """log Z from log-weights (N,) whose exponentials are unbiased for Z / Z_0, log Z_0 = `log_reference`."""
    num = len(log_weights)
    log_z = log_reference + (torch.logsumexp(log_weights, 0) - math.log(num)).item()
    effective = effective_number(log_weights).item()
    error = math.sqrt(max(0.0, 1.0 / effective - 1.0 / num))
    return Partition(log_z, error, effective, acceptance, log_weights)


class Annealed(NamedTuple):
    """`log_weights` (num_chains,), float64 on the CPU; `steps`: step size of each transition; `acceptance`: mean rate."""

    log_weights: Tensor
    steps: list[float]
    acceptance: float


class State(NamedTuple):
    """Chains `z` (N, *shape), the tilt at z (N,) and its gradient (N, *shape)."""

    z: Tensor
    tilt: Tensor
    gradient: Tensor


def annealed_importance_sampling(
    tilt: Energy,
    shape: tuple[int, ...],
    num_chains: int,
    num_steps: int,
    leapfrog_steps: int = LEAPFROG_STEPS,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Partition:
    """log E_{z ~ N(0, I)} exp(-tilt(z)), along p_b(z) ~ N(z; 0, I) exp(-b tilt(z)), b = 0 .. 1.

    Pilot chains, a quarter as many, find the step sizes. With fixed step sizes, E[log_z] <= log Z (Jensen). Costs
    num_steps * leapfrog_steps gradients of 1.25 `num_chains` examples. Uses a random generator of its own, so that the
    result depends on the tilt and `seed` only.
    """
    generator = torch.Generator(device).manual_seed(seed)
    pilot, z = (
        torch.randn(number, *shape, generator=generator, device=device)
        for number in (max(1, num_chains // 4), num_chains)
    )
    # The path leaves the reference slowly, because there an energy of hundreds of nats changes most.
    path = torch.linspace(0.0, 1.0, num_steps + 1, dtype=torch.float64).square().tolist()
    steps = anneal(tilt, pilot, path, generator, leapfrog_steps).steps
    chains = anneal(tilt, z, path, generator, leapfrog_steps, steps)
    return partition_of(chains.log_weights, chains.acceptance)


def anneal(
    tilt: Energy,
    z: Tensor,
    path: Sequence[float],
    generator: torch.Generator,
    leapfrog_steps: int = LEAPFROG_STEPS,
    steps: Sequence[float] | None = None,
    target_acceptance: float = 0.7,
    track: Callable[[Iterable], Iterable] = iter,
) -> Annealed:
    """Take chains z ~ p_{path[0]} along the path; the mean of exp(log_weights) is unbiased for Z_{path[-1]} / Z_{path[0]}.

    A path from 1 to 0 gives reverse chains, if z is an exact sample of p_1. `steps`: one step size per transition. With
    None the step size follows the acceptance rate of all chains, which biases the weights: use this only for pilot chains,
    to find step sizes. `track` wraps the iteration over the path, for a progress bar.
    """
    step, used, rates = 0.5 / math.prod(z.shape[1:]) ** 0.25, [], []

    def tilted(state: State, previous: float, now: float) -> Tensor:
        return -(now - previous) * state.tilt.double()

    def move(state: State, now: float) -> State:
        nonlocal step
        used.append(step if steps is None else steps[len(used)])
        state, accepted = hamiltonian(tilt, state, now, used[-1], leapfrog_steps, generator)
        rates.append(accepted.double().mean().item())
        step *= math.exp(0.1 * (rates[-1] - target_acceptance))
        return state

    log_weights = importance_weights(path, State(z, *energy_and_gradient(tilt, z)), tilted, move, track)
    return Annealed(log_weights, used, sum(rates) / len(rates))


def importance_weights(
    path: Sequence[float],
    state: Any,
    log_ratio: Callable[[Any, float, float], Tensor],
    move: Callable[[Any, float], Any],
    track: Callable[[Iterable], Iterable] = iter,
) -> Tensor:
    """log prod_k f_k(x_k) / f_{k-1}(x_k), (N,) float64 on the CPU, of chains along unnormalised densities f_0 .. f_K
    (Neal 2001, eq. 11): their exponentials are unbiased for Z_K / Z_0.

    state: exact draws x_1 of f_0. log_ratio(x, b, b'): (N,) log f_b'(x) - log f_b(x), for neighbours b, b' of the path.
    move(x, b): a transition that leaves f_b invariant.
    """
    total = torch.zeros((), dtype=torch.float64)
    for previous, now in track(list(pairwise(path))):
        total = total + log_ratio(state, previous, now).double().cpu()
        state = move(state, now)
    return total


def hamiltonian(
    tilt: Energy, state: State, weight: float, step: float, leapfrog_steps: int, generator: torch.Generator
) -> tuple[State, Tensor]:
    """One transition that leaves N(z; 0, I) exp(-weight tilt(z)) invariant (Neal 2011, arXiv 1206.1901, sec. 3.2).

    Returns the new state, and a boolean (N,) for the chains whose proposal was accepted.
    """
    z, f, gradient = state
    dims = tuple(range(1, z.dim()))
    momentum = torch.randn(z.shape, generator=generator, device=z.device)
    before = weight * f.double() + 0.5 * (z.double().square() + momentum.double().square()).sum(dims)
    new_z, new_f, new_gradient = z, f, gradient
    for _ in range(leapfrog_steps):
        momentum = momentum - 0.5 * step * (weight * new_gradient + new_z)
        new_z = new_z + step * momentum
        new_f, new_gradient = energy_and_gradient(tilt, new_z)
        momentum = momentum - 0.5 * step * (weight * new_gradient + new_z)
    after = weight * new_f.double() + 0.5 * (new_z.double().square() + momentum.double().square()).sum(dims)
    accept = torch.rand(len(z), generator=generator, device=z.device).log() < before - after  # NaN is rejected
    z, gradient = torch.where(like(accept, z), new_z, z), torch.where(like(accept, z), new_gradient, gradient)
    return State(z, torch.where(accept, new_f, f), gradient), accept


def effective_number(log_weights: Tensor, dim: int = 0) -> Tensor:
    """Effective sample size (sum w)^2 / sum w^2 over `dim`, from log w."""
    return 1.0 / torch.softmax(log_weights, dim).square().sum(dim)
