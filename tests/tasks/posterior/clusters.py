"""A mixture of Gaussians of low rank, fitted to images: far from Gaussian, with an exact denoiser and posterior mean."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from genarena.models.capabilities import Denoises
from genarena.spec import DataSpec
from genarena.tasks.linear.operator import Operator

FEW = 6  # images that a cluster needs beyond its directions


@dataclass
class Clusters(Denoises):
    """sum_k w_k N(m_k, U_k diag(v_k) U_k^T + rest I) in the space of the model; a cosine path.

    means: m, (K, D). directions: U, orthonormal, (K, D, R). variances: v, (K, R). weights: w, (K,), of sum 1.
    """

    spec: DataSpec
    means: Tensor
    directions: Tensor
    variances: Tensor
    weights: Tensor
    rest: float

    def __post_init__(self) -> None:
        self.device = torch.device("cpu")
        self.all = self.directions.permute(1, 0, 2).flatten(1)  # (D, K R), for one product instead of K
        self.center = torch.einsum("kdr,kd->kr", self.directions, self.means)

    def to(self, dtype: torch.dtype) -> "Clusters":
        parts = (self.means, self.directions, self.variances, self.weights)
        return Clusters(self.spec, *(part.to(dtype) for part in parts), self.rest)

    def marginal(self, t: Tensor) -> tuple[Tensor, Tensor]:
        angle = t.double() * torch.pi / 2
        return angle.cos(), angle.sin()

    def denoise(self, x_t: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """All of t are equal. x_t of cluster k is N(a m, a^2 C + s^2 I), with C of the same directions."""
        a, s = (part[0].item() for part in self.marginal(t))
        x, rest = x_t.flatten(1), a**2 * self.rest + s**2  # rest: the variance beside the directions
        along = (x @ self.all).unflatten(1, self.variances.shape) - a * self.center  # U^T (x - a m), (N, K, R)
        known = a**2 * self.variances / (a**2 * self.variances + rest)
        square = x.square().sum(1, keepdim=True) - 2 * a * x @ self.means.T + a**2 * self.means.square().sum(1)
        distance = (square - (along.square() * known).sum(2)) / rest  # of Mahalanobis
        log_determinant = torch.log1p(a**2 * self.variances / rest).sum(
            1
        )  # of all, but for one that all clusters share
        share = (self.weights.log() - 0.5 * (distance + log_determinant)).softmax(1)
        beside = a * self.rest / rest  # the gain C a (a^2 C + s^2)^-1 beside the directions, and along them:
        gain = a * (self.variances + self.rest) / (a**2 * (self.variances + self.rest) + s**2)
        more = (share[:, :, None] * along * (gain - beside)).flatten(1) @ self.all.T
        return (beside * x + (1 - a * beside) * (share @ self.means) + more).view_as(x_t)

    def draw(self, num: int, generator: torch.Generator) -> Tensor:
        """(num, *shape)."""
        k = torch.multinomial(self.weights, num, replacement=True, generator=generator)
        n, z = (
            torch.randn(num, size, generator=generator, dtype=self.means.dtype) for size in self.directions.shape[1:]
        )
        along = torch.einsum("ndr,nr->nd", self.directions[k], z * self.variances[k].sqrt())
        return (self.means[k] + along + math.sqrt(self.rest) * n).unflatten(1, self.spec.shape)

    def posterior_mean(self, operator: Operator, y: Tensor, sigma: float) -> Tensor:
        """E[x | y] (N, *shape) of y (N, *observed_shape), the operator being the same for all, by the gains of A alone."""
        kept = operator.observed.expand(1, *operator.observed_shape).flatten()
        eye = torch.eye(self.means.shape[1], dtype=self.means.dtype)
        a = operator(eye.unflatten(1, self.spec.shape)).flatten(1)[:, kept].T  # (M, D)
        beside = self.rest * a @ a.T + sigma**2 * torch.eye(len(a), dtype=a.dtype)
        logs, means = [], []
        for m, u, v, w in zip(self.means, self.directions, self.variances, self.weights, strict=True):
            across = a @ (u * v)  # A U diag(v)
            root = torch.linalg.cholesky(across @ (a @ u).T + beside)
            off = y.flatten(1)[:, kept] - a @ m
            solved = torch.cholesky_solve(off.T, root)
            logs.append(w.log() - 0.5 * (off * solved.T).sum(1) - root.diagonal().log().sum())
            means.append(m + (u @ (across.T @ solved) + self.rest * a.T @ solved).T)
        share = torch.stack(logs).softmax(0)
        return torch.einsum("kn,knd->nd", share, torch.stack(means)).unflatten(1, self.spec.shape)


def fitted(x: Tensor, spec: DataSpec, num: int, rank: int, rounds: int = 15) -> Clusters:
    """Lloyd's algorithm from the first `num` of x (N, *shape), then the principal directions of each cluster; what they leave
    is isotropic, and the same for all. Clusters of fewer than rank + 6 images are left out."""
    x = x.flatten(1)
    centers = x[:num].clone()
    for _ in range(rounds):
        nearest = torch.cdist(x, centers).argmin(1)
        for k in nearest.unique().tolist():
            centers[k] = x[nearest == k].mean(0)
    nearest = torch.cdist(x, centers).argmin(1)
    means, directions, variances, sizes, left = [], [], [], [], []
    for k in range(num):
        part = x[nearest == k]
        if len(part) < rank + FEW:
            continue
        means.append(part.mean(0))
        _, scale, v = torch.linalg.svd(part - means[-1], full_matrices=False)
        directions.append(v[:rank].T)
        variances.append(scale[:rank].square() / (len(part) - 1))
        sizes.append(len(part))
        left.append(scale[rank:].square().sum() / (len(part) - 1) / (x.shape[1] - rank))
    size = torch.tensor(sizes, dtype=x.dtype)
    rest = torch.stack(left).mean().item()
    along = (torch.stack(variances) - rest).clamp_min(0.0)
    return Clusters(spec, torch.stack(means), torch.stack(directions), along, size / size.sum(), rest)
