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
from genarena.spec import DataSpec

KINDS = ("uniform", "variational")


def build_dequantisation(kind: str, spec: DataSpec) -> nn.Module:
    """Raises ValueError for a kind that is not in `KINDS`."""
    if kind not in KINDS:
        raise ValueError(f"dequantisation={kind!r}: expected one of {', '.join(KINDS)}")
    return UniformDequantisation(spec) if kind == "uniform" else VariationalDequantisation(spec)


def pixel_bijection(margin: float | None, spec: DataSpec) -> Bijection:
    """`Logit` that leaves `margin` levels to both ends, or `Centre` for None; raises ValueError unless margin > 0."""
    if margin is None:
        return Centre()
    if not margin > 0.0:
        raise ValueError(f"logit_margin={margin}: expected a number of levels above 0, or null")
    return Logit(margin / (spec.num_levels + 2.0 * margin))


class UniformDequantisation(nn.Module):
    """v ~ U[0, 1), so log q = 0."""

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.num_levels = spec.num_levels

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return dequantise(x, self.num_levels), torch.zeros(len(x), device=x.device)


class VariationalDequantisation(nn.Module):
    """v = sigmoid(a(x) + exp(b(x)) e), e logistic, with a small network for a and b; a = b = 0 is uniform noise.

    Ho et al. 2019 (Flow++, arXiv 1902.00275), sec. 3.1, with one layer instead of a conditional flow.
    """

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
        log_q = _log_logistic(noise) - log_scale - _log_logistic(raw)  # dv/draw = v (1 - v)
        u = (x.float() + torch.sigmoid(raw)) / self.num_levels
        return u.clamp_max(1.0 - 2.0**-24), log_q.flatten(1).sum(1)


def _log_logistic(x: Tensor) -> Tensor:
    return F.logsigmoid(x) + F.logsigmoid(-x)


class Centre(Bijection):
    """z = u - 1/2 (Glow)."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x - 0.5, x.new_zeros(len(x))

    def inverse(self, z: Tensor) -> Tensor:
        return z + 0.5


class Logit(Bijection):
    """z = logit(alpha + (1 - 2 alpha) u) (RealNVP, sec. 4.1); the inverse is clamped to u in [0, 1]."""

    def __init__(self, alpha: float) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z = torch.logit(self.alpha + (1.0 - 2.0 * self.alpha) * x)
        log_det = math.log(1.0 - 2.0 * self.alpha) - _log_logistic(z)
        return z, log_det.flatten(1).sum(1)

    def inverse(self, z: Tensor) -> Tensor:
        return ((torch.sigmoid(z) - self.alpha) / (1.0 - 2.0 * self.alpha)).clamp(0.0, 1.0)
