"""Activation normalisation and the invertible 1x1 convolution (Kingma & Dhariwal 2018, arXiv 1807.03039, sec. 3).

Differs from the paper: inside a Glow step both are applied as one affine map per pixel, z = W diag(s) (x + b).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.models.flow.bijection import Bijection
from genarena.ranks import exchange


class ActNorm(Bijection):
    """z = exp(log_scale) (x + bias), per channel; initialised so that the first training batch has mean 0 and variance 1.

    Takes (N, C), (N, C, T) or (N, C, H, W). `initialised` is part of the state: a loaded module is not initialised again.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))
        self.log_scale = nn.Parameter(torch.zeros(channels))
        self.register_buffer("initialised", torch.tensor(False))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.initialise(x)
        bias, log_scale = self._broadcast(self.bias, x), self._broadcast(self.log_scale, x)
        return torch.exp(log_scale) * (x + bias), (x[0, 0].numel() * self.log_scale.sum()).expand(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return z * torch.exp(-self._broadcast(self.log_scale, z)) - self._broadcast(self.bias, z)

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Set bias and scale from `x`, if this is the first batch in training mode; the same on all ranks of a job."""
        if not self.training or self.initialised:
            return
        axes = [axis for axis in range(x.dim()) if axis != 1]
        mean, square = exchange.mean(torch.stack([x.float().mean(axes), x.float().square().mean(axes)]))
        self.bias.copy_(-mean)
        self.log_scale.copy_(-0.5 * torch.log((square - mean.square()).clamp_min(1e-6)))
        self.initialised.fill_(True)

    @staticmethod
    def _broadcast(parameter: Tensor, x: Tensor) -> Tensor:
        return parameter.view(-1, *[1] * (x.dim() - 2))


class InvertibleConv(Bijection):
    """z = W x at every pixel, W = P L (U + diag(s)): P fixed, L unit lower, U strictly upper triangular (eq. 10).

    log |det| = H W sum log |s|  (eq. 11). W starts as a random rotation.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        rotation = torch.linalg.qr(torch.randn(channels, channels)).Q
        permutation, lower, upper = torch.linalg.lu(rotation)
        self.register_buffer("permutation", permutation)
        self.register_buffer("sign", upper.diagonal().sign())
        self.lower = nn.Parameter(lower.tril(-1))
        self.upper = nn.Parameter(upper.triu(1))
        self.log_diagonal = nn.Parameter(upper.diagonal().abs().log())

    def factors(self) -> tuple[Tensor, Tensor]:
        """L and U + diag(s), (C, C) each."""
        lower = self.lower.tril(-1) + torch.eye(len(self.lower), device=self.lower.device)
        return lower, self.upper.triu(1) + torch.diag(self.sign * torch.exp(self.log_diagonal))

    def matrix(self) -> Tensor:
        """W (C, C)."""
        lower, upper = self.factors()
        return self.permutation @ lower @ upper

    def inverse_matrix(self) -> Tensor:
        """W^-1 (C, C), by two triangular solves."""
        lower, upper = self.factors()
        half = torch.linalg.solve_triangular(lower, self.permutation.T, upper=False, unitriangular=True)
        return torch.linalg.solve_triangular(upper, half, upper=True)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        with torch.autocast(x.device.type, enabled=False):
            return per_pixel(x, self.matrix()), (x[0, 0].numel() * self.log_diagonal.sum()).expand(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        with torch.autocast(z.device.type, enabled=False):
            return per_pixel(z, self.inverse_matrix())


class NormalisedConv(Bijection):
    """ActNorm followed by InvertibleConv, as one affine map per pixel: z = W diag(s) x + W diag(s) b."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.actnorm = ActNorm(channels)
        self.conv = InvertibleConv(channels)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.actnorm.initialise(x)
        with torch.autocast(x.device.type, enabled=False):
            weight = self.conv.matrix() * torch.exp(self.actnorm.log_scale)
            z = per_pixel(x, weight, weight @ self.actnorm.bias)
            log_det = x[0, 0].numel() * (self.actnorm.log_scale.sum() + self.conv.log_diagonal.sum())
        return z, log_det.expand(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return self.actnorm.inverse(self.conv.inverse(z))


def per_pixel(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """weight (C', C) applied at every place of (N, C, H, W) or (N, C, T). In channels-last memory this matrix product is the
    fastest 1x1 convolution of images for few channels, and its result is channels-last too."""
    if x.dim() == 3:
        return F.conv1d(x, weight[:, :, None], bias)
    return F.linear(x.permute(0, 2, 3, 1), weight, bias).permute(0, 3, 1, 2)
