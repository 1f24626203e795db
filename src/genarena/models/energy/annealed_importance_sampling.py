"""The constant of an energy-based model by annealed importance sampling.

Papers: Neal 2001, arXiv physics/9803008; Grosse et al. 2015, arXiv 1511.02543 (why the estimate errs on one side).
Differs from the paper: Hamiltonian transitions whose step size follows the acceptance rate along the path.
"""

import math
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from genarena.models.energy.langevin import Energy, energy_and_gradient, like


class Partition(NamedTuple):
    """log Z in nats, and how far to trust it: no further than there are effective chains and modes that they found."""

    log_z: float
    standard_error: float  # of log_z, by the delta method; too small where effective_chains is near one
    effective_chains: float
    acceptance: float
    log_weights: Tensor | None = None  # (num_chains,): the mean of their exponentials is unbiased for Z


def annealed_importance_sampling(tilt: Energy, shape: tuple[int, ...], num_chains: int, num_steps: int,
                                 leapfrog_steps: int = 3, seed: int = 0, device: torch.device | str = "cpu",
                                 target_acceptance: float = 0.7) -> Partition:  # fmt: skip
    """log E_{z ~ N(0, I)} exp(-tilt(z)), along p_b(z) ~ N(z; 0, I) exp(-b tilt(z)), b = 0 .. 1.

    Costs num_steps * leapfrog_steps gradients of `num_chains` examples. Draws from a generator of its own, so that the
    answer is a function of the tilt and `seed`. E[log_z] <= log Z (Jensen).
    """
    generator = torch.Generator(device).manual_seed(seed)
    dims = tuple(range(1, len(shape) + 1))
    z = torch.randn(num_chains, *shape, generator=generator, device=device)
    log_weights = torch.zeros(num_chains, dtype=torch.float64)
    step, acceptance = 0.5 / math.prod(shape) ** 0.25, 0.0
    # The path leaves the reference slowly: that is where an energy of hundreds of nats changes most.
    path = torch.linspace(0.0, 1.0, num_steps + 1, dtype=torch.float64).square().tolist()
    f, gradient = energy_and_gradient(tilt, z)
    for previous, now in pairwise(path):
        log_weights -= (now - previous) * f.double().cpu()
        momentum = torch.randn(z.shape, generator=generator, device=device)
        before = now * f + 0.5 * (z.square() + momentum.square()).sum(dims)
        new_z, new_f, new_gradient = z, f, gradient
        for _ in range(leapfrog_steps):
            momentum = momentum - 0.5 * step * (now * new_gradient + new_z)
            new_z = new_z + step * momentum
            new_f, new_gradient = energy_and_gradient(tilt, new_z)
            momentum = momentum - 0.5 * step * (now * new_gradient + new_z)
        after = now * new_f + 0.5 * (new_z.square() + momentum.square()).sum(dims)
        accept = torch.rand(num_chains, generator=generator, device=device).log() < before - after  # nan is refused
        z, gradient = torch.where(like(accept, z), new_z, z), torch.where(like(accept, z), new_gradient, gradient)
        f = torch.where(accept, new_f, f)
        rate = accept.double().mean().item()
        acceptance += rate / num_steps
        step *= math.exp(0.1 * (rate - target_acceptance))
    return _summary(log_weights, acceptance)


def _summary(log_weights: Tensor, acceptance: float) -> Partition:
    share = torch.softmax(log_weights, 0)
    effective = 1.0 / share.square().sum().item()
    log_z = (torch.logsumexp(log_weights, 0) - math.log(len(log_weights))).item()
    error = math.sqrt(max(0.0, 1.0 / effective - 1.0 / len(log_weights)))
    return Partition(log_z, error, effective, acceptance, log_weights)
