"""A normal distribution with a full covariance, a linear inverse autoregressive flow (Kingma et al. 2016, arXiv 1606.04934;
Tomczak & Welling 2017, arXiv 1706.02326).

    z = mean + S (I + B) eps,    S = diag(exp(log_var / 2)),    B strictly lower triangular,    eps ~ N(0, I),

so that dimension d depends on the noise of those before it, and log q(z) = log N(eps; 0, I) - sum_d log_var_d / 2.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from genarena.models.vae.diagonal_normal import Gaussian, GaussianHead


def num_below(dims: int) -> int:
    """Entries of a matrix (dims, dims) below its diagonal."""
    return dims * (dims - 1) // 2


@dataclass
class FullNormal:
    """N normals. alone: the means (N, D) and, as variances, those of each dimension given the ones before it. below: B
    (N, D, D)."""

    alone: Gaussian
    below: Tensor

    def at(self, noise: Tensor) -> Tensor:
        """z (..., N, D) of noise eps."""
        with torch.autocast(noise.device.type, enabled=False):  # which would round the product
            return self.alone.at(noise + torch.einsum("nij,...nj->...ni", self.below, noise))

    def sample(self) -> Tensor:
        """A draw (N, D), differentiable in the parameters."""
        return self.at(self.alone.noise())

    def draw(self) -> tuple[Tensor, Tensor]:
        noise = self.alone.noise()
        return self.at(noise), self.alone.log_prob_at(noise).sum(1)

    def draws(self, size: int) -> tuple[Tensor, Tensor]:
        noise = self.alone.noise_of_draws(size)
        return self.at(noise), self.alone.log_prob_at(noise).sum(2)

    def log_prob(self, z: Tensor) -> Tensor:
        """Nats of codes (N, D), for each dimension given those before it (N, D)."""
        deviation = (z - self.alone.mean) * torch.exp(-0.5 * self.alone.log_var)
        noise = torch.linalg.solve_triangular(self._mixing(), deviation[:, :, None], upper=False, unitriangular=True)
        return self.alone.log_prob_at(noise[:, :, 0])

    def log_prob_of_each(self, z: Tensor) -> Tensor:
        """Nats of codes z (M, D) under each of N normals, summed over dimensions: (M, N).

        As for `Gaussian`, matrix products of float64 (float32 where a device has no other).
        """
        precision, towards, own = self._quadratic
        codes = z.to(precision.dtype)
        rows, columns = torch.tril_indices(z.shape[1], z.shape[1], device=z.device)
        products = codes[:, rows] * codes[:, columns] * torch.where(rows == columns, 1.0, 2.0)
        squares = products @ precision.T - 2.0 * codes @ towards.T
        return (-0.5 * (squares + own)).to(z.dtype)

    @cached_property
    def _quadratic(self) -> tuple[Tensor, Tensor, Tensor]:
        """-2 log q(z) = z^T P z - 2 z^T P mean + own: the entries (N, D (D + 1) / 2) of P on and below its diagonal, P mean
        (N, D), and own (N,)."""
        wide = torch.float32 if self.below.device.type == "mps" else torch.float64
        mean, log_var, mixing = (part.to(wide) for part in (self.alone.mean, self.alone.log_var, self._mixing()))
        scales = torch.diag_embed(torch.exp(-0.5 * log_var))
        whitening = torch.linalg.solve_triangular(mixing, scales, upper=False, unitriangular=True)
        precision = whitening.mT @ whitening  # P (N, D, D)
        towards = (precision @ mean[:, :, None]).squeeze(2)
        rows, columns = torch.tril_indices(*mixing.shape[1:], device=mixing.device)
        own = (mean * towards + log_var + math.log(2.0 * math.pi)).sum(1)
        return precision[:, rows, columns], towards, own

    def _mixing(self) -> Tensor:
        return self.below + torch.eye(self.below.shape[1], device=self.below.device)

    def detached(self) -> "FullNormal":
        """The same, without gradients."""
        return FullNormal(self.alone.detached(), self.below.detach())

    def centre(self) -> Tensor:
        return self.alone.mean

    def rows(self, index: Tensor) -> "FullNormal":
        """The normals of these numbers (M,)."""
        return FullNormal(self.alone.rows(index), self.below[index])


def full_normal(outputs: Tensor, dims: int) -> FullNormal:
    """Of network outputs (N, 2 dims + num_below(dims)): means, log-variances, and the entries of B times the root of dims; in
    float32."""
    alone, entries = outputs.float().tensor_split([2 * dims], 1)
    below = entries.new_zeros(len(entries), dims, dims)
    rows, columns = torch.tril_indices(dims, dims, -1, device=entries.device)
    below[:, rows, columns] = entries / math.sqrt(dims)
    return FullNormal(GaussianHead()(alone), below)
