"""Probabilistic PCA (Tipping & Bishop 1999): a linear decoder with everything exact, with or without noise of its own."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from genarena.models.capabilities import Emits, Infers
from genarena.spec import DataSpec
from genarena.tasks.linear.mask import Mask
from genarena.tasks.linear.problem import Problem
from genarena.tasks.noise import Noise

SIZE, LATENT = 8, 3


@dataclass
class Normal:
    mean: Tensor
    log_var: Tensor


class Line:
    """x = mean + W z (+ noise of the variance `own`), float64."""

    latent_dim, spec, device = LATENT, DataSpec((SIZE,)), torch.device("cpu")

    def __init__(self, own: float = 0.1) -> None:
        generator = torch.Generator().manual_seed(0)
        self.w = torch.randn(SIZE, LATENT, generator=generator, dtype=torch.float64)
        self.mean, self.own = torch.linspace(-0.5, 0.5, SIZE, dtype=torch.float64), own

    def covariance(self) -> Tensor:
        return self.w @ self.w.T + self.own * torch.eye(SIZE, dtype=torch.float64)

    def draw(self) -> Tensor:
        z = torch.randn(SIZE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        return (self.mean + torch.linalg.cholesky(self.w @ self.w.T + 0.1 * torch.eye(SIZE)) @ z)[None]

    def given(self, m: Tensor, y: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """Mean (D,) and covariance (D, D) of x given y (D,) where m (D,); sigma may be 0 if there is own noise."""
        s, rows = self.covariance(), torch.eye(SIZE, dtype=torch.float64)[m]
        gain = s @ rows.T @ (rows @ s @ rows.T + sigma**2 * torch.eye(len(rows))).inverse()
        return self.mean + gain @ (y - self.mean)[m], s - gain @ rows @ s


class PPCA(Line, Infers):
    """scale, shift: of the encoder's variance, and of its mean in its standard deviations; 1 and 0 are exact."""

    def __init__(self, scale: float = 1.0, shift: float = 0.0) -> None:
        super().__init__()
        self.q = (torch.eye(LATENT, dtype=torch.float64) + self.w.T @ self.w / self.own).inverse()
        values, vectors = torch.linalg.eigh(self.w.T @ self.w)  # so that the exact q(z|x) has a diagonal covariance
        self.w, self.q = self.w @ vectors, self.own / (self.own + values)
        self.scale, self.shift = scale, shift

    def prior(self, y: Tensor | None, num: int) -> Normal:
        return Normal(*torch.zeros(2, num, LATENT, dtype=torch.float64))

    def posterior(self, x: Tensor, y: Tensor | None = None) -> Normal:
        mean = (x.double() - self.mean) @ self.w / self.own * self.q + self.shift * self.q.sqrt()
        return Normal(mean, (self.scale * self.q).log().expand_as(mean))

    def likelihood_of(self, z: Tensor, y: Tensor | None = None) -> Normal:
        mean = self.mean + z.double() @ self.w.T
        return Normal(mean, torch.full_like(mean, math.log(self.own)))


class Linear(Line, Emits):
    """x = mean + W z."""

    def __init__(self, bijective: bool = False) -> None:
        super().__init__(own=0.0)
        self._bijective = bijective

    @property
    def bijective(self) -> bool:
        return self._bijective

    def emit(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return self.mean + z.double() @ self.w.T


class Together(Noise):
    """One generator for all lanes: fast, for statistics of many of them."""

    def __init__(self, num: int, seed: int = 0) -> None:
        self.num, self.one = num, torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return self.num

    def __getitem__(self, lanes: slice | Tensor) -> Noise:
        raise TypeError("one generator serves all lanes: a part of them has no numbers of its own")

    def _drawn(self, draw: object, like: Tensor) -> Tensor:
        return draw(like.shape, generator=self.one, dtype=like.dtype)


HALF = torch.arange(SIZE) % 2 == 0


def asked(world: Line, sigma: float, num: int, m: Tensor = HALF, together: bool = True) -> Problem:
    """The same measurements in all lanes."""
    noise = Together(num) if together else Noise.of([(3, k) for k in range(num)])
    return Problem(Mask(m[None]), (world.draw() * m).expand(num, SIZE), sigma, noise)
