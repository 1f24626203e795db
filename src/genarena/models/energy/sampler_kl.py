"""The term that contrastive divergence leaves out: the gradient through the chain, which depends on the weights."""

import math

import torch
from torch import Tensor, nn

from genarena.models.energy.langevin import Energy, energy_and_gradient, frozen


def sampler_kl(energy: Energy, network: nn.Module, chains: Tensor, step_size: float) -> Tensor:
    """E U(v_K) - H(v_K), the gradient through v_K = v - step_size grad U(v) only (Du et al. 2021, arXiv 2012.01316, eq. 5
    and 6); a scalar in nats, up to a constant.

    network: the network inside `energy`; its parameters get no gradient from U(v_K). The entropy H is estimated as D times
    the mean log-distance to the nearest other chain (Kozachenko & Leonenko).
    """
    _, gradient = energy_and_gradient(energy, chains, create_graph=True)
    last = chains - step_size * gradient + (2.0 * step_size) ** 0.5 * torch.randn_like(chains)
    with frozen(network):
        value = energy(last)
    apart = torch.cdist(last.flatten(1), chains.flatten(1))
    distance = apart.masked_fill(torch.eye(len(chains), dtype=torch.bool, device=apart.device), math.inf).amin(1)
    return (value - chains[0].numel() * torch.log(distance + 1e-6)).mean()
