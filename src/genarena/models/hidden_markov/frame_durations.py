"""How many frames a character lasts: whole numbers from 1 on, whose logarithm is normal.

    P(d) = Phi((log(d + 1/2) - m) / s) - Phi((log(d - 1/2) - m) / s),    and of d = 1 the first term alone

so that all d have a probability and their sum is 1. The predictor of Glow-TTS (Kim et al. 2020, arXiv 2005.11129) minimises the
squared error of log d, which is the log-density of such a normal distribution with a fixed deviation; here s is learnt.
"""

import torch
from torch import Tensor

LONGEST = 9.0  # log of frames: a minute and a half


def log_prob(d: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """log P(d) in nats, of any shape; d: whole numbers >= 1 as floats, mean: m, log_std: log s."""
    upper = ((d + 0.5).log() - mean) * (-log_std).exp()
    lower = ((d - 0.5).log() - mean) * (-log_std).exp()
    flipped = lower > 0.0  # the same probability in the other tail, where it has all its digits
    low, high = torch.where(flipped, -upper, lower), torch.where(flipped, -lower, upper)
    whole, left_out = torch.special.log_ndtr(high), torch.special.log_ndtr(low)
    inner = whole + _log1mexp((whole - left_out).clamp_min(1e-6))
    return torch.where(d < 1.5, torch.special.log_ndtr(upper), inner)


def _log1mexp(x: Tensor) -> Tensor:
    """log(1 - exp(-x)) of x > 0 (Maechler 2012)."""
    return torch.where(x < 0.693, (-torch.expm1(-x)).log(), torch.log1p(-(-x).exp()))


def draw(mean: Tensor, log_std: Tensor, temperature: float) -> Tensor:
    """d (..) int64 with the spread of log d times `temperature`; at 0 the mean before rounding, exp(m + s^2 / 2): the middle is
    shorter, and a text of middles would be said too fast."""
    moved = temperature * torch.randn_like(mean) * log_std.exp() if temperature else 0.5 * (2.0 * log_std).exp()
    return (mean + moved).clamp_max(LONGEST).exp().round().clamp_min(1.0).long()
