"""Gaussian paths from data to noise: x_t = a(t) x_0 + s(t) eps, t = 0 (data) .. 1 (noise).

E[x_0 | x_t] depends on x_t / a and on s / a alone, so a denoiser of one path serves all of them, and a deterministic sampler
that visits the same list of s / a gives the same sample on each.

Variance preserving (a^2 + s^2 = 1): linear beta, Song et al. 2021, arXiv 2011.13456, eq. 33; cosine, Nichol & Dhariwal 2021,
arXiv 2102.09672, eq. 17 in continuous time. Variance exploding (a = 1): Song et al. 2021, eq. 31; Karras et al. 2022 (EDM),
arXiv 2206.00364, eq. 5. Straight line (flow matching): Lipman et al. 2022, arXiv 2210.02747, eq. 20, with time reversed.
"""

import math
from collections.abc import Callable
from typing import NamedTuple


class Level(NamedTuple):
    """A point of a path: x = a x_0 + s eps."""

    a: float
    s: float

    @property
    def sigma(self) -> float:
        """s / a, the noise of x / a; infinite where no data is left."""
        return self.s / self.a if self.a else math.inf

    @property
    def log_snr(self) -> float:
        """lambda = log(a / s); infinite at pure data and at pure noise."""
        return math.log(self.a / self.s) if self.a and self.s else math.inf if self.a else -math.inf


DATA = Level(1.0, 0.0)
Path = Callable[[float], Level]  # t in [0, 1] to a level


def variance_preserving(log_alpha_bar: float) -> Level:
    """a = exp(log_alpha_bar / 2), s^2 = 1 - a^2."""
    return Level(math.exp(0.5 * log_alpha_bar), math.sqrt(-math.expm1(log_alpha_bar)))


def linear(t: float, first: float = 0.1, last: float = 20.0) -> Level:
    """beta(t) from `first` to `last`, the limit of Ho et al.'s 1000 steps from 1e-4 to 0.02."""
    return variance_preserving(-t * first - 0.5 * t**2 * (last - first))


def cosine(t: float, offset: float = 0.008) -> Level:
    """a = f(t) / f(0), f(t) = cos((t + offset) / (1 + offset) pi/2); pure noise at t = 1."""
    angle, start = ((u + offset) / (1.0 + offset) * math.pi / 2.0 for u in (t, 0.0))
    a = max(0.0, math.cos(angle) / math.cos(start)) if t < 1.0 else 0.0
    return Level(a, math.sqrt(1.0 - a**2))


def straight(t: float) -> Level:
    """a = 1 - t, s = t."""
    return Level(1.0 - t, t)


def exploding(t: float, least: float = 0.01, most: float = 50.0) -> Level:
    """a = 1; s from `least` to `most`, even in log s."""
    return Level(1.0, least * (most / least) ** t)


def edm(t: float, least: float = 0.002, most: float = 80.0, rho: float = 7.0) -> Level:
    """a = 1; s from `least` to `most`, even in s^(1/rho)."""
    low, high = least ** (1.0 / rho), most ** (1.0 / rho)
    return Level(1.0, (low + t * (high - low)) ** rho)


PATHS: dict[str, Path] = {
    "linear": linear,
    "cosine": cosine,
    "straight": straight,
    "exploding": exploding,
    "edm": edm,
}


def levels(path: Path, num_steps: int) -> list[Level]:
    """num_steps + 1 levels from noise to data, at even times; a path that ends above zero noise jumps to the data."""
    if path(0.0).s == 0.0:
        return [path(1.0 - k / num_steps) for k in range(num_steps + 1)]
    return [*(path(1.0 - k / max(1, num_steps - 1)) for k in range(num_steps)), DATA]


class Jump(NamedTuple):
    """q(x_s | x_t, x_0) = N(weight_x_0 x_0 + weight_x_t x_t, exp(log_variance)), s < t (Ho et al. 2020, eq. 6 and 7).

    `log_beta` is the log-variance of q(x_t | x_s), an upper limit of sensible reverse variances.
    """

    weight_x_0: float
    weight_x_t: float
    log_variance: float
    log_beta: float


def jump(start: Level, end: Level) -> Jump:
    """The reverse step between two levels of a Markov path; its variance is zero where `end` is data."""
    kept = start.a / end.a
    beta = start.s**2 - (kept * end.s) ** 2  # q(x_t | x_s) = N(kept x_s, beta I)
    variance = beta * (end.s / start.s) ** 2
    return Jump(
        end.a * beta / start.s**2,
        kept * (end.s / start.s) ** 2,
        math.log(variance) if variance > 0.0 else -math.inf,
        math.log(beta),
    )
