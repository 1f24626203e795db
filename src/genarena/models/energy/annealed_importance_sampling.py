"""Annealed importance sampling from N(0, I): the constant of an energy, or the likelihood of a decoder.

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


def facts(constant: Partition, num_chains: int, num_steps: int) -> dict[str, Any]:
    """What the record of a likelihood says of its constant."""
    return {
        "method": "energy with log Z from annealed importance sampling",
        "ais_chains": num_chains,
        "ais_steps": num_steps,
        "leapfrog_steps": LEAPFROG_STEPS,
        "log_z": constant.log_z,
        "log_z_standard_error": constant.standard_error,
        "effective_chains": constant.effective_chains,
        "acceptance": constant.acceptance,
    }


def checksum(tensors: Iterable[Tensor]) -> Tensor:
    """A whole number that changes with the values of weights."""
    return sum(part.float().contiguous().view(torch.int32).sum(dtype=torch.int64) for part in tensors)


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
    log_z = (torch.logsumexp(chains.log_weights, 0) - math.log(num_chains)).item()
    effective = effective_number(chains.log_weights).item()
    error = math.sqrt(max(0.0, 1.0 / effective - 1.0 / num_chains))
    return Partition(log_z, error, effective, chains.acceptance, chains.log_weights)


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
    log_weights = torch.zeros(len(z), dtype=torch.float64)
    step, used, acceptance = 0.5 / math.prod(z.shape[1:]) ** 0.25, [], 0.0
    state = State(z, *energy_and_gradient(tilt, z))
    for index, (previous, now) in enumerate(track(list(pairwise(path)))):
        log_weights -= (now - previous) * state.tilt.double().cpu()
        used.append(step if steps is None else steps[index])
        state, accepted = hamiltonian(tilt, state, now, used[-1], leapfrog_steps, generator)
        rate = accepted.double().mean().item()
        acceptance += rate / (len(path) - 1)
        step *= math.exp(0.1 * (rate - target_acceptance))
    return Annealed(log_weights, used, acceptance)


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
