"""Unadjusted Langevin dynamics on an energy, in any gradient mode, and random shifts of chains between runs.

Papers: Welling & Teh 2011; Du & Mordatch 2019, arXiv 1903.08689, eq. 1; Nijkamp et al. 2019, arXiv 1904.09770.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.models.sampler import Sampler
from genarena.options.values import Whole

Energy = Callable[[Tensor], Tensor]  # (N, *shape) to (N,) nats; no row depends on another


@dataclass(frozen=True)
class Langevin(Sampler):
    """Chains to samples of an energy-based model.

    steps: Langevin steps from the start of a chain to a sample.
    start: "noise" starts at the reference measure, a Gaussian: what a sample costs is these steps. "buffer" starts at the
        chains of training, which have run for thousands of steps and only settle under the evaluated (EMA) weights.
    """

    steps: Whole = 200
    start: Literal["buffer", "noise"] = "noise"


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Inside this context parameters get no gradient and buffers do not change (spectral norm): `module` is in eval mode."""
    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
    was_training = module.training
    module.eval()
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        module.train(was_training)
        for parameter in trainable:
            parameter.requires_grad_(True)


def energy_and_gradient(energy: Energy, x: Tensor, create_graph: bool = False) -> tuple[Tensor, Tensor]:
    """U(x) (N,) and grad U(x) (N, *shape), detached unless `create_graph`; also under no_grad and inference_mode."""
    with torch.inference_mode(False), torch.enable_grad():
        x = x.detach().clone().requires_grad_()
        value = energy(x)
        (gradient,) = torch.autograd.grad(value.sum(), x, create_graph=create_graph)
        return (value if create_graph else value.detach()), gradient


def langevin(
    energy: Energy,
    x: Tensor,
    num_steps: int,
    step_size: float | Tensor,
    drift_clamp: float | Tensor | None = None,
    clip: bool = False,
) -> Tensor:
    """`num_steps` of x <- x - step_size grad U(x) + sqrt(2 step_size) N(0, I), from x (N, *shape), float32.

    step_size, drift_clamp: one number, or one per chain (N, 1, ...). `drift_clamp` bounds how far the gradient moves a
    coordinate in one step, so that chains survive steep energies early in training. `clip` keeps coordinates in [-1, 1] after
    each step. With either, or with large steps, the stationary distribution is only approximately exp(-U).
    """
    x = x.detach().clone()
    for _ in range(num_steps):
        drift = step_size * energy_and_gradient(energy, x)[1]
        if drift_clamp is not None:
            drift = drift.clamp(-drift_clamp, drift_clamp)
        x = x - drift + (2.0 * step_size) ** 0.5 * torch.randn_like(x)
        x = x.clamp(-1.0, 1.0) if clip else x
    return x


def like(rows: Tensor, x: Tensor) -> Tensor:
    """`rows` (N,) in shape (N, 1, ...), to broadcast with x (N, *shape)."""
    return rows.view(-1, *[1] * (x.dim() - 1))


def shifted(x: Tensor, share: float) -> Tensor:
    """Images (N, C, H, W), each shifted and rescaled at random by up to `share` of its size; border pixels are repeated."""
    shift = (2.0 * torch.rand(len(x), 2, 1, device=x.device) - 1.0) * 2.0 * share
    zoom = 1.0 + (2.0 * torch.rand(len(x), 1, 1, device=x.device) - 1.0) * share
    theta = torch.cat([zoom * torch.eye(2, device=x.device), shift], 2)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)
