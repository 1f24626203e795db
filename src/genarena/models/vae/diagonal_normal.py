"""The diagonal normal distribution: the posterior q(z|x) unless a model has another, and the likelihood p(x|z) of vectors."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

LARGEST = 14.0  # upper limit of |log_var|, far above learnt values


def noise_of_draws(num_rows: int, dims: int, device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
    """Standard normal numbers (num_rows, dims): on a processor those of a row do not depend on how many follow, nor on whether
    they are made in one call, because PyTorch makes them 16 at a time."""
    return torch.randn(num_rows, -(-dims // 16) * 16, device=device, dtype=dtype)[:, :dims]


def standard_log_prob(z: Tensor) -> Tensor:
    """log N(z; 0, 1) of each number, nats."""
    return -0.5 * (z.square() + math.log(2.0 * math.pi))


@dataclass
class Gaussian:
    """`mean` and `log_var`, both (N, D)."""

    mean: Tensor
    log_var: Tensor

    def log_prob(self, x: Tensor) -> Tensor:
        """Nats per dimension (N, D)."""
        return -0.5 * (self.deviance(x) + math.log(2.0 * math.pi))

    def deviance(self, x: Tensor) -> Tensor:
        """-2 log_prob(x) - log(2 pi), per dimension (N, D)."""
        return torch.addcmul(self.log_var, (x - self.mean).square(), torch.exp(-self.log_var))

    def log_prob_of_each(self, z: Tensor) -> Tensor:
        """Nats of codes z (M, D) under each of N normals, summed over dimensions: (M, N).

        Matrix products of float64 (float32 where a device has no other): with a small variance, squares of codes lose digits.
        """
        wide = torch.float32 if z.device.type == "mps" else torch.float64
        codes, mean, log_var = z.to(wide), self.mean.to(wide), self.log_var.to(wide)
        precision = torch.exp(-log_var)
        squares = codes.square() @ precision.T - 2.0 * codes @ (mean * precision).T
        own = (mean.square() * precision + log_var + math.log(2.0 * math.pi)).sum(1)
        return (-0.5 * (squares + own)).to(z.dtype)

    def sample(self) -> Tensor:
        """A draw (N, D), differentiable in the parameters."""
        return self.at(self.noise())

    def draw(self) -> tuple[Tensor, Tensor]:
        noise = self.noise()
        return self.at(noise), self.log_prob_at(noise).sum(1)

    def draws(self, size: int) -> tuple[Tensor, Tensor]:
        noise = self.noise_of_draws(size)
        return self.at(noise), self.log_prob_at(noise).sum(2)

    def centre(self) -> Tensor:
        return self.mean

    def rows(self, index: Tensor) -> "Gaussian":
        """The normals of these numbers (M,)."""
        return Gaussian(self.mean[index], self.log_var[index])

    def noise(self) -> Tensor:
        """Standard normal numbers of one draw, (N, D)."""
        return torch.randn_like(self.mean)

    def noise_of_draws(self, size: int) -> Tensor:
        """Of so many draws, (size, N, D), by the function of this name."""
        noise = noise_of_draws(size * len(self.mean), self.mean.shape[1], self.mean.device, self.mean.dtype)
        return noise.view(size, *self.mean.shape)

    def at(self, noise: Tensor) -> Tensor:
        """mean + exp(log_var / 2) noise (reparameterisation: Kingma & Welling, sec. 2.4)."""
        return torch.addcmul(self.mean, torch.exp(0.5 * self.log_var), noise)

    def log_prob_at(self, noise: Tensor) -> Tensor:
        """That of `at(noise)`, nats per dimension."""
        return standard_log_prob(noise) - 0.5 * self.log_var

    def detached(self) -> "Gaussian":
        """The same, without gradients."""
        return Gaussian(self.mean.detach(), self.log_var.detach())

    def mode(self) -> Tensor:
        return self.mean

    def kl(self, prior: "Gaussian") -> Tensor:
        """KL( self || prior ), nats per dimension (N, D); with N(0, I) that of Kingma & Welling, appendix B."""
        off, log_ratio = (self.mean - prior.mean) ** 2 * torch.exp(-prior.log_var), self.log_var - prior.log_var
        return 0.5 * (off + torch.exp(log_ratio) - 1.0 - log_ratio)


class GaussianHead:
    """Turns network outputs (N, 2 D) into a `Gaussian`, computed in float32."""

    def __call__(self, outputs: Tensor) -> Gaussian:
        mean, log_var = outputs.float().chunk(2, 1)
        return Gaussian(mean, log_var.clamp(-LARGEST, LARGEST))
