"""Exact moments of what an algorithm draws, where its result is affine in its noise: x = m + sum_k L_k n_k.

Lane 0 gets no noise and gives m; each other lane gets one number of one draw, 1 in place of all, and gives m + a column of L.
"""

import torch
from torch import Tensor

from genarena.tasks.linear.mask import Mask, identity
from genarena.tasks.linear.operator import Operator
from genarena.tasks.linear.problem import Problem
from genarena.tasks.noise import Noise
from genarena.tasks.posterior.base import PosteriorSampler
from tests.tasks.world import World, gaussian_w2


class Matrix(Operator):
    """Any A (M, D), of vectors."""

    def __init__(self, a: Tensor) -> None:
        self.a, self.observed_shape, self.shape = a.double(), a.shape[:1], a.shape[1:]

    def __call__(self, x: Tensor) -> Tensor:
        return x @ self.a.T.to(x)

    def adjoint(self, y: Tensor) -> Tensor:
        return y @ self.a.to(y)

    def pseudo_inverse(self, y: Tensor) -> Tensor:
        return y @ torch.linalg.pinv(self.a).T.to(y)

    def solve(self, y: Tensor, c: float) -> Tensor:
        return y @ torch.linalg.pinv(self.a @ self.a.T + c * torch.eye(len(self.a), dtype=torch.float64)).to(y)


def pool(size: int = 8) -> Matrix:
    """The means of pairs."""
    return Matrix(torch.eye(size).unflatten(0, (-1, 2)).mean(1))


class Basis(Noise):
    """Lane 1 + k gets a basis vector at the k-th number that is drawn, and zero before and after."""

    def __init__(self, num: int) -> None:
        self.num, self.drawn = num, 0

    def __len__(self) -> int:
        return self.num

    def normal(self, like: Tensor) -> Tensor:
        n = torch.zeros_like(like).flatten(1)
        first, last = 1 + self.drawn, min(len(n), 1 + self.drawn + n.shape[1])
        if first < last:
            lanes = torch.arange(first, last)
            n[lanes, lanes - first] = 1.0
        self.drawn += n.shape[1]
        return n.view_as(like)


def moments(
    algorithm: PosteriorSampler, world: World, operator: Operator, y: Tensor, sigma: float
) -> tuple[Tensor, Tensor]:
    """Mean (D,) and covariance (D, D) of its draws given y (*observed_shape)."""

    def drawn(num: int) -> tuple[Tensor, Basis]:
        noise = Basis(num)
        asked = Problem(operator, y.double().expand(num, *y.shape), sigma, noise)
        with torch.no_grad():
            return algorithm.draw(world, asked).x.flatten(1), noise

    x, _ = drawn(1 + drawn(1)[1].drawn)
    columns = x[1:] - x[0]
    return x[0], columns.T @ columns


def relative(
    algorithm: PosteriorSampler, world: World, operator: Operator, y: Tensor, sigma: float
) -> tuple[float, float]:
    """W2 to the exact posterior over the root of its trace; and the ratio of the mean variances."""
    mean, covariance = moments(algorithm, world, operator, y, sigma)
    wanted, exact = world.posterior(operator, y[None], sigma)
    root = exact.trace().sqrt().item()
    w2 = gaussian_w2(mean, covariance, wanted.flatten(), exact)
    return w2 / root, (covariance.trace() / exact.trace()).item()


def observation(world: World, operator: Operator, sigma: float) -> Tensor:
    """y (*observed_shape) of one draw of the world."""
    y = operator(world.draw(1))
    n = torch.randn(y.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return (y + sigma * n * operator.observed)[0]


def case(kind: str, operator: Operator, sigma: float) -> tuple[World, Operator, Tensor, float]:
    world = World((8,), kind)
    return world, operator, observation(world, operator, sigma), sigma


EVEN = Mask((torch.arange(8) % 2 == 0)[None])
CASES = {
    "identity, inpaint": lambda: case("identity", EVEN, 0.05),
    "ar1, inpaint": lambda: case("ar1", EVEN, 0.05),
    "ar1, pool": lambda: case("ar1", pool(), 0.1),
    "ar1, denoise": lambda: case("ar1", identity((8,)), 0.5),
}
