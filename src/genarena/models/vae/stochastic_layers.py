"""Stochastic layers of a hierarchy of codes z_1 .. z_L, z_1 at the top, all of them diagonal normals:

    p(z) = prod_l p(z_l | z_<l),    q(z|x) = prod_l q(z_l | z_<l, x),
    log p(x) >= E_q[log p(x|z)] - sum_l E_q KL( q(z_l | z_<l, x) || p(z_l | z_<l) ).

A pass from the top down meets the layers in order. What z_l is, a draw of q, a draw of p, a mean or a given value, is decided
by a `Choose`, so that training, samples, codes and reconstructions are one pass. Merge of two normals: Sonderby et al. 2016
(arXiv 1602.02282), eq. 17-19. Free bits: Kingma et al. 2016 (arXiv 1606.04934), eq. 15, with a layer as the group.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from genarena.models.vae.diagonal_normal import LARGEST, Gaussian

Choose = Callable[
    [int, Gaussian, Gaussian | None], Tensor
]  # number of the layer from 0, its p, its q (None: no x) -> z_l


class Layer(NamedTuple):
    """z_l (N, *shape) of one pass, p(z_l | z_<l) and q(z_l | z_<l, x); no q where nothing was inferred."""

    z: Tensor
    prior: Gaussian
    posterior: Gaussian | None = None

    def kl(self) -> Tensor:
        """KL(q || p) in closed form, given the layers above; (N, D) nats per dimension."""
        return self.posterior.kl(self.prior).flatten(1)

    def log_ratio(self) -> Tensor:
        """log p(z_l | z_<l) - log q(z_l | z_<l, x) at z_l, (N,) nats."""
        return 0.5 * (self.posterior.deviance(self.z) - self.prior.deviance(self.z)).flatten(1).sum(1)

    def shift(self) -> Tensor:
        """How far the mean of q is from that of p, in standard deviations of p; (N, D)."""
        return ((self.posterior.mean - self.prior.mean) * torch.exp(-0.5 * self.prior.log_var)).flatten(1)


def inferred(index: int, prior: Gaussian, posterior: Gaussian | None) -> Tensor:
    """A draw of q."""
    return posterior.sample()


def inferred_by(noise: Sequence[Tensor]) -> Choose:
    """Draws of q by standard normal numbers (N, *shape) of each layer."""
    return lambda index, prior, posterior: posterior.at(noise[index])


def expected(index: int, prior: Gaussian, posterior: Gaussian | None) -> Tensor:
    """The mean of q."""
    return posterior.mean


def generated(temperature: float) -> Choose:
    """Draws of p, their standard deviation multiplied by the temperature."""

    def choose(index: int, prior: Gaussian, posterior: Gaussian | None) -> Tensor:
        return prior.at(temperature * prior.noise())

    return choose


def given(codes: Tensor, shapes: Sequence[tuple[int, ...]]) -> Choose:
    """The layers of codes (N, D), one after the other as `joined` puts them; shapes: of each layer."""
    sizes = [torch.Size(shape).numel() for shape in shapes]
    parts = codes.split(sizes, 1)
    return lambda index, prior, posterior: parts[index].unflatten(1, shapes[index])


def joined(layers: Sequence[Layer]) -> Tensor:
    """All z_l of a pass as one vector (N, D)."""
    return torch.cat([layer.z.flatten(1) for layer in layers], 1)


def precision_weighted(first: Gaussian, second: Gaussian) -> Gaussian:
    """The normalised product of two normals: precisions add up, and weigh the means. The share of the first in the sum is
    sigmoid(log_var_2 - log_var_1)."""
    log_ratio = second.log_var - first.log_var
    mean = torch.lerp(second.mean, first.mean, torch.sigmoid(log_ratio))
    return Gaussian(mean, first.log_var + F.logsigmoid(log_ratio))


def shifted(prior: Gaussian, by: Gaussian) -> Gaussian:
    """N(mean + by.mean, exp(log_var + by.log_var)): q as its distance to p, equal to p where `by` is zero (Vahdat & Kautz 2020,
    arXiv 2007.03898, sec. 3.2)."""
    return Gaussian(prior.mean + by.mean, (prior.log_var + by.log_var).clamp(-LARGEST, LARGEST))


def free_bits(kls: Sequence[Tensor], least: float) -> Tensor:
    """sum_l max(least, KL_l), nats, with KL_l the mean over the batch of layer l; kls (N, D_l) nats per dimension.

    A layer below `least` has no gradient, so nothing pushes it further towards p."""
    return torch.stack([kl.sum(1).mean().clamp_min(least) for kl in kls]).sum()


def kl_by_layer(kls: Sequence[Tensor]) -> dict[str, Tensor]:
    """`kl_1`, at the top, .. `kl_L`: the means over the batch, nats; for the log."""
    return {f"kl_{number}": kl.detach().sum(1).mean() for number, kl in enumerate(kls, 1)}
