"""Sound in 8 bits: the mu-law codec of telephones (ITU-T G.711), the ceiling of what a distance to a recording is worth.

    F(x) = sign(x) ln(1 + mu |x|) / ln(1 + mu),     mu = levels - 1, in equal steps from -1 to 1

as in WaveNet (van den Oord et al. 2016, arXiv 1609.03499, sec. 2.2). Hardly anyone tells it from the recording, and no
distance is zero. It sees the recording, so it is no model of p(x | mel), has no likelihood and no rank.

Differs from G.711, whose logarithm is one of 16 straight lines.
"""

import math

import torch
from torch import Tensor

from genarena.likelihood import from_amplitudes, to_amplitudes
from genarena.models.baseline.heldout import Heldout
from genarena.options.values import Count
from genarena.spec import DataSpec
from genarena.training.module import Training


class MuLaw(Heldout):
    """The recording of a mel after the codec; without a recording, validation examples after it.

    levels: of the codec, 256 for 8 bits. Raises ValueError for fewer than 2, and for data that is no sound of integer levels.
    """

    takes_images = False
    paper = "1609.03499"

    def __init__(
        self, spec: DataSpec, training: Training | None = None, capacity: Count = 10_000, levels: Count = 256
    ) -> None:
        super().__init__(spec, training, capacity)
        if levels < 2:
            raise ValueError(f"levels={levels}: expected at least 2")
        self.levels = levels

    def recode(self, x: Tensor) -> Tensor:
        return from_amplitudes(companded(to_amplitudes(x, self.spec.num_levels), self.levels), self.spec.num_levels)


def companded(x: Tensor, levels: int) -> Tensor:
    """Amplitudes in [-1, 1], of any shape, after coding and decoding with so many levels."""
    mu = levels - 1
    bent = x.sign() * torch.log1p(mu * x.abs()) / math.log1p(mu)
    coded = ((bent + 1.0) * (0.5 * mu)).round() * (2.0 / mu) - 1.0
    return coded.sign() * torch.expm1(coded.abs() * math.log1p(mu)) / mu
