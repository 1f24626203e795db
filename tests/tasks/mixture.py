"""The mixture of 25 Gaussians of Cardoso, Janati El Idrissi, Le Corff & Moulines 2023 (arXiv 2308.07983): its denoiser and its
posteriors are exact. Measured by sliced W2, with 100 slices.

Differs from the paper: weights, A and sigma are drawn from other distributions.
"""

import torch
from torch import Tensor

from genarena.models.capabilities import Denoises
from genarena.spec import DataSpec
from tests.tasks.affine import Matrix


class Mixture(Denoises):
    """sum_k w_k N(m_k, I) in `size` dimensions, m_k = (8 i, 8 j, 8 i, 8 j, ...), i and j from -2 to 2; a cosine path."""

    def __init__(self, size: int = 8) -> None:
        self.spec, self.device = DataSpec((size,)), torch.device("cpu")
        grid = 8.0 * torch.cartesian_prod(torch.arange(-2.0, 3.0), torch.arange(-2.0, 3.0)).double()
        self.means = grid.repeat(1, size // 2)
        w = torch.rand(25, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        self.log_weights = (w / w.sum()).log()

    def marginal(self, t: Tensor) -> tuple[Tensor, Tensor]:
        angle = t.double() * torch.pi / 2
        return angle.cos(), angle.sin()

    def denoise(self, x_t: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """All of t are equal; a^2 + s^2 = 1, so x_t has the covariance I in each mode."""
        a, s = (part[0] for part in self.marginal(t))
        off = x_t[:, None] - a * self.means
        share = (self.log_weights - 0.5 * off.square().sum(2)).softmax(1)  # (N, 25)
        return share @ (self.means * s**2) + a * x_t

    def draw(self, num: int, generator: torch.Generator) -> Tensor:
        return self._drawn(self.log_weights, self.means, torch.eye(self.means.shape[1]).double(), num, generator)

    def posterior(self, a: Tensor, y: Tensor, sigma: float, num: int, generator: torch.Generator) -> Tensor:
        """Draws given y (M,) of A (M, D)."""
        square = a @ a.T + sigma**2 * torch.eye(len(a)).double()
        gain, off = a.T @ square.inverse(), y - self.means @ a.T
        log_weights = self.log_weights - 0.5 * (off @ square.inverse() * off).sum(1)
        covariance = torch.eye(a.shape[1]).double() - gain @ a
        return self._drawn(log_weights.log_softmax(0), self.means + off @ gain.T, covariance, num, generator)

    @staticmethod
    def _drawn(log_weights: Tensor, means: Tensor, covariance: Tensor, num: int, generator: torch.Generator) -> Tensor:
        mode = torch.multinomial(log_weights.exp(), num, replacement=True, generator=generator)
        n = torch.randn(num, means.shape[1], generator=generator, dtype=torch.float64)
        return means[mode] + n @ torch.linalg.cholesky(covariance).T


def problem(world: Mixture, seed: int) -> tuple[Matrix, Tensor, float]:
    """One measurement: A (1, D) of unit length, y (1,) of a draw, and sigma = 0.5."""
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(1, world.means.shape[1], generator=generator, dtype=torch.float64)
    a, x = a / a.norm(), world.draw(1, generator)[0]
    return Matrix(a), a @ x + 0.5 * torch.randn(1, generator=generator, dtype=torch.float64), 0.5


def sliced_w2(x: Tensor, other: Tensor, num_slices: int = 100) -> float:
    """Of two samples (N, D) of equal size."""
    slices = torch.randn(x.shape[1], num_slices, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    slices = slices / slices.norm(dim=0)
    gaps = (x @ slices).sort(0).values - (other @ slices).sort(0).values
    return gaps.square().mean().sqrt().item()
