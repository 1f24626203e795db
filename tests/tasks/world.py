"""A Gaussian world with everything exact: moments, a denoiser on a cosine path, and posteriors by precisions."""

import torch
from torch import Tensor

from genarena.models.capabilities import Correlates, Denoises
from genarena.spec import DataSpec
from genarena.tasks.linear.operator import Operator


class World(Correlates, Denoises):
    """Data N(mean, covariance) in the space of the model, of any shape; the path ends at the angle `last` pi / 2.

    kind: "identity", "ar1" (rho = 0.9), or "random".
    """

    def __init__(self, shape: tuple[int, ...] = (1, 2, 3), kind: str = "random", last: float = 1.0) -> None:
        self.spec, self.shape, self.last, self.device = DataSpec(shape), shape, last, torch.device("cpu")
        generator, size = torch.Generator().manual_seed(0), self.spec.num_dims
        eye = torch.eye(size, dtype=torch.float64)
        if kind == "random":
            root = torch.randn(size, size, generator=generator, dtype=torch.float64)
            self.covariance = 0.02 * root @ root.T + 0.01 * eye
            self.mean = 0.3 * torch.randn(size, generator=generator, dtype=torch.float64)
        else:
            places = torch.arange(size, dtype=torch.float64)
            self.covariance = eye if kind == "identity" else 0.9 ** (places[:, None] - places).abs()
            self.mean = torch.linspace(-0.5, 0.5, size, dtype=torch.float64)

    def moments(self, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.mean, self.covariance

    def marginal(self, t: Tensor) -> tuple[Tensor, Tensor]:
        angle = t.double() * self.last * torch.pi / 2
        return angle.cos(), angle.sin()

    def denoise(self, x_t: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """In the form of precisions; differentiable. All of t are equal."""
        a, s = (part[0] for part in self.marginal(t))
        precision, eye = self.covariance.inverse(), torch.eye(len(self.mean), dtype=torch.float64)
        off = precision @ self.mean + a / s**2 * x_t.double().flatten(1)
        return (off @ (precision + (a / s) ** 2 * eye).inverse()).unflatten(1, self.shape)

    def draw(self, num: int, seed: int = 1) -> Tensor:
        """(num, *shape) of the data."""
        generator = torch.Generator().manual_seed(seed)
        z = torch.randn(num, len(self.mean), generator=generator, dtype=torch.float64)
        return (self.mean + z @ torch.linalg.cholesky(self.covariance).T).unflatten(1, self.shape)

    def posterior(self, operator: Operator, y: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """Posterior mean (N, *shape), and covariance (D, D), from the sum of precisions; y (N, *observed_shape)."""
        eye = torch.eye(len(self.mean), dtype=torch.float64)
        rows = operator(eye.unflatten(1, self.shape)).flatten(1)  # A^T (D, M)
        precision = self.covariance.inverse()
        covariance = (precision + rows @ rows.T / sigma**2).inverse()
        mean = (precision @ self.mean + y.double().flatten(1) @ rows.T / sigma**2) @ covariance
        return mean.unflatten(1, self.shape), covariance


def relative_w2(x: Tensor, mean: Tensor, covariance: Tensor) -> float:
    """W2 of the Gaussian with the moments of draws x (N, ...) to N(mean, covariance), over sqrt of the trace of it."""
    x, mean = x.double().flatten(1), mean.flatten()
    return gaussian_w2(x.mean(0), torch.cov(x.T), mean, covariance) / covariance.trace().sqrt().item()


def gaussian_w2(m: Tensor, s: Tensor, mean: Tensor, covariance: Tensor) -> float:
    root = _root(covariance)
    cross = _root(root @ s @ root).trace()
    return ((m - mean).square().sum() + s.trace() + covariance.trace() - 2 * cross).clamp_min(0).sqrt().item()


def _root(s: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(s)
    return vectors * values.clamp_min(0).sqrt() @ vectors.T
