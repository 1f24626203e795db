"""From integer levels to the real line: dequantisers x -> u in [0, 1), and the bijections that follow.

A dequantiser returns `(u, log_q)`, with log_q = log q(v | x) (N,) of the noise v in [0, 1), u = (x + v) / levels.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.likelihood import dequantise
from genarena.models.flow.bijection import Bijection
from genarena.models.flow.couplings import ConvNetwork
from genarena.ranks import exchange
from genarena.spec import DataSpec

DEQUANTISATIONS = ("uniform", "variational")
PIXELS = ("gaussianised", "logit", "centred")


def build_dequantisation(kind: str, spec: DataSpec) -> nn.Module:
    """Raises ValueError for a kind that is not in `DEQUANTISATIONS`."""
    if kind not in DEQUANTISATIONS:
        raise ValueError(f"dequantisation={kind!r}: expected one of {', '.join(DEQUANTISATIONS)}")
    return UniformDequantisation(spec) if kind == "uniform" else VariationalDequantisation(spec)


def pixel_bijection(kind: str, logit_alpha: float | None, spec: DataSpec) -> Bijection:
    """From [0, 1) to the real line. logit_alpha: of `Logit`; None is half a level beyond both ends, 1 / (2 levels + 2).

    Raises ValueError for a kind that is not in `PIXELS`, and unless 0 < logit_alpha < 1/2.
    """
    if kind not in PIXELS:
        raise ValueError(f"pixels={kind!r}: expected one of {', '.join(PIXELS)}")
    alpha = 0.5 / (spec.num_levels + 1.0) if logit_alpha is None else logit_alpha
    if not 0.0 < alpha < 0.5:
        raise ValueError(f"logit_alpha={alpha}: expected a number between 0 and 0.5")
    if kind == "logit":
        return Logit(alpha)
    return Gaussianise(spec.num_levels) if kind == "gaussianised" else Centre()


class UniformDequantisation(nn.Module):
    """v ~ U[0, 1), so log q = 0."""

    name = "uniform"

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.num_levels = spec.num_levels

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return dequantise(x, self.num_levels), torch.zeros(len(x), device=x.device)


class VariationalDequantisation(nn.Module):
    """v = sigmoid(a(x) + exp(b(x)) e), e logistic, with a small network for a and b; a = b = 0 is uniform noise.

    Ho et al. 2019 (Flow++, arXiv 1902.00275), sec. 3.1, with one layer instead of a conditional flow.
    """

    name = "variational"

    def __init__(self, spec: DataSpec, embedding_channels: int = 8, hidden_channels: int = 32) -> None:
        super().__init__()
        channels, height, width = spec.shape
        self.num_levels = spec.num_levels
        patch = math.gcd(2, height, width)
        self.embedding = nn.Embedding(spec.num_levels, embedding_channels)
        self.network = ConvNetwork(channels * embedding_channels, hidden_channels, 2 * channels, patch)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.embedding(x.long()).permute(0, 1, 4, 2, 3).flatten(1, 2)
        shift, log_scale = self.network(features).float().chunk(2, 1)
        log_scale = 3.0 * torch.tanh(log_scale / 3.0)
        uniform = torch.rand(x.shape, device=x.device).clamp(1e-6, 1.0 - 1e-6)
        noise = torch.logit(uniform)
        raw = shift + torch.exp(log_scale) * noise
        log_q = _log_logistic(noise) - log_scale - _log_logistic(raw)  # dv / d(raw) = v (1 - v)
        u = (x.float() + torch.sigmoid(raw)) / self.num_levels
        return u.clamp_max(1.0 - 2.0**-24), log_q.flatten(1).sum(1)


def _log_logistic(x: Tensor) -> Tensor:
    return F.logsigmoid(x) + F.logsigmoid(-x)


class Centre(Bijection):
    """z = u - 1/2 (Glow)."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return x - 0.5, x.new_zeros(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return z + 0.5


class Logit(Bijection):
    """z = logit(alpha + (1 - 2 alpha) u) (RealNVP, sec. 4.1); the inverse is clamped to u in [0, 1]."""

    def __init__(self, alpha: float) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z = torch.logit(self.alpha + (1.0 - 2.0 * self.alpha) * x)
        log_det = math.log(1.0 - 2.0 * self.alpha) - _log_logistic(z)
        return z, log_det.flatten(1).sum(1)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return ((torch.sigmoid(z) - self.alpha) / (1.0 - 2.0 * self.alpha)).clamp(0.0, 1.0)


class Gaussianise(Bijection):
    """z = Phi^-1(F(u)), F the cumulative distribution of levels over all pixels, linear inside each level.

    The masses of the levels are learned. They start as the histogram of the first training batch, so that z over all data
    starts close to N(0, 1), even if most pixels are background. The levels follow each other without gaps, which suits
    the shifts and scales of affine couplings. Gaussianisation flows: Meng et al. 2020, arXiv 2003.01941, sec. 3.
    `initialised` is part of the state.
    """

    MARGIN = 1e-4  # keeps F off 0 and 1, so |z| < 3.8

    def __init__(self, num_levels: int) -> None:
        super().__init__()
        self.num_levels = num_levels
        self.log_mass = nn.Parameter(torch.zeros(num_levels))
        self.register_buffer("initialised", torch.tensor(False))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        scaled = x * self.num_levels
        level = scaled.detach().long().clamp(0, self.num_levels - 1)
        self.initialise(level)
        log_mass, below = self._distribution()
        share = below[level] + log_mass.exp()[level] * (scaled - level)
        z = torch.special.ndtri(self.MARGIN + (1.0 - 2.0 * self.MARGIN) * share)
        slope = log_mass[level] + 0.5 * z.square()
        constant = math.log(self.num_levels * (1.0 - 2.0 * self.MARGIN)) + 0.5 * math.log(2.0 * math.pi)
        return z, (slope + constant).flatten(1).sum(1)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        log_mass, below = self._distribution()
        share = (torch.special.ndtr(z) - self.MARGIN) / (1.0 - 2.0 * self.MARGIN)
        level = (torch.searchsorted(below, share.contiguous(), right=True) - 1).clamp_min(0)
        inside = (share - below[level]) * torch.exp(-log_mass[level])
        return (level + inside.clamp(0.0, 1.0 - 1e-5)) / self.num_levels

    @torch.no_grad()
    def initialise(self, level: Tensor) -> None:
        """Set the masses from the levels of the first batch in training mode; the same on all ranks of a job."""
        if not self.training or self.initialised:
            return
        counts = torch.bincount(level.flatten(), minlength=self.num_levels).float()
        counts = exchange.mean(counts)
        self.log_mass.copy_(torch.log(counts + 1e-4 * counts.sum()))
        self.initialised.fill_(True)

    def _distribution(self) -> tuple[Tensor, Tensor]:
        """Log mass of every level, and the mass below it; (L,) each."""
        log_mass = torch.log_softmax(self.log_mass, 0)
        mass = log_mass.exp()
        return log_mass, mass.cumsum(0) - mass
