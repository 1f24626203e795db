"""The losses of both players: functions of logits of any shape, in float32."""

from collections.abc import Callable
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor


class Objective(NamedTuple):
    """What both players minimise, as functions of logits. discriminator(real, fake), generator(fake): scalars."""

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]


def log_loss_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """-E[log sigma(D(x))] - E[log(1 - sigma(D(G(z))))] (Goodfellow et al. 2014, arXiv 1406.2661, eq. 1)."""
    return F.softplus(-real.float()).mean() + F.softplus(fake.float()).mean()


def non_saturating_generator(fake: Tensor) -> Tensor:
    """-E[log sigma(D(G(z)))] (Goodfellow et al. 2014, sec. 3): gradients do not vanish while D wins."""
    return F.softplus(-fake.float()).mean()


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """E[max(0, 1 - D(x))] + E[max(0, 1 + D(G(z)))] (Miyato et al. 2018, arXiv 1802.05957, eq. 16)."""
    return F.relu(1.0 - real.float()).mean() + F.relu(1.0 + fake.float()).mean()


def hinge_generator(fake: Tensor) -> Tensor:
    """-E[D(G(z))] (Miyato et al. 2018, eq. 17)."""
    return -fake.float().mean()


def least_squares_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """E[(D(x) - 1)^2] + E[D(G(z))^2] (Mao et al. 2017, arXiv 1611.04076, eq. 9, twice)."""
    return (real.float() - 1.0).square().mean() + fake.float().square().mean()


def least_squares_generator(fake: Tensor) -> Tensor:
    """E[(D(G(z)) - 1)^2] (Mao et al. 2017, eq. 9, twice)."""
    return (fake.float() - 1.0).square().mean()


def wasserstein_critic(real: Tensor, fake: Tensor) -> Tensor:
    """E[D(G(z))] - E[D(x)] (Arjovsky et al. 2017, arXiv 1701.07875, eq. 2). The best D with Lipschitz constant 1 gives -W1."""
    return fake.float().mean() - real.float().mean()


def wasserstein_generator(fake: Tensor) -> Tensor:
    """-E[D(G(z))] (Arjovsky et al. 2017, theorem 3)."""
    return -fake.float().mean()


def relativistic_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """E[log(1 + exp(D(G(z)) - D(x)))] over pairs (Huang et al. 2024, arXiv 2501.05441, eq. 2)."""
    return F.softplus(fake.float() - real.float()).mean()


def relativistic_generator(real: Tensor, fake: Tensor) -> Tensor:
    """E[log(1 + exp(D(x) - D(G(z))))] over pairs: the same game with both sides exchanged, as the authors train it."""
    return F.softplus(real.float() - fake.float()).mean()
