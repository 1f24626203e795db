"""The mu-law codec of telephones (ITU-T G.711): the logarithm of amplitudes in equal steps.

    F(x) = sign(x) ln(1 + mu |x|) / ln(1 + mu),     mu = levels - 1

as in WaveNet (van den Oord et al. 2016, arXiv 1609.03499, sec. 2.2), with 256 levels for 8 bits. Differs from G.711, whose
logarithm is one of 16 straight lines.
"""

import math

import torch
from torch import Tensor


def mu_law(x: Tensor, levels: int) -> Tensor:
    """Amplitudes in [-1, 1], of any shape, after coding and decoding with so many levels."""
    mu = levels - 1
    bent = x.sign() * torch.log1p(mu * x.abs()) / math.log1p(mu)
    coded = ((bent + 1.0) * (0.5 * mu)).round() * (2.0 / mu) - 1.0
    return coded.sign() * torch.expm1(coded.abs() * math.log1p(mu)) / mu
