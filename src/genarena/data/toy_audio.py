"""Made sound whose density is known: each clip is a stationary Gaussian process with two resonances.

x_t = sum_j a_j x_{t-j} + e_t with four coefficients, which are those of a voice; a clip has one voice from its first sample to
its last. So a segment is a draw from a mixture of four Gaussians with equal weights, p(x) = 1/4 sum_k N(x; 0, C_k), and
log p(x) is computed without error by the recursion of Levinson (`statistics/autoregression.py`). No download.
"""

import math
from functools import cache

import torch
from torch import Tensor

from genarena.data.batches import seeded_generator
from genarena.data.sound.recordings import SILENCE, Recordings
from genarena.data.sound.sound_set import SoundSet
from genarena.options.values import Count
from genarena.statistics import autoregression

VOICES = ((1000.0, 4000.0), (1500.0, 6500.0), (2500.0, 5000.0), (3500.0, 7500.0))  # Hz of the two resonances
BANDWIDTHS = (600.0, 900.0)  # Hz
DEVIATION = 3000.0  # of a sample, in levels: full scale is eleven deviations away
ORDER = 2 * len(BANDWIDTHS)
CLIP = 4  # segments
HELD_OUT = (25, 50)  # clips for validation and test


class ToyAudio(SoundSet):
    """`num_clips` training clips of four segments each. y: the voice, clip number modulo 4."""

    name = "toy_audio"

    segment: Count = 2048
    stride: Count = 512
    num_clips: Count = 200

    def recordings(self) -> Recordings:
        return Recordings.of(map(self._clip, range(sum(self._sizes))), self.sample_rate)

    def parts(self) -> tuple[Tensor, Tensor, Tensor]:
        """Held-out clips come first, so that they are the same for every number of training clips."""
        num_val, num_test, _ = self._sizes
        every = torch.arange(sum(self._sizes))
        return every[num_val + num_test :], every[:num_val], every[num_val : num_val + num_test]

    def labels(self) -> Tensor:
        return torch.arange(sum(self._sizes)) % len(VOICES)

    def log_density(self, x: Tensor) -> Tensor:
        """log P(x), (N,) float64 nats, of levels x (N, 1, T): the density at the levels, whose cells have the width one.

        The smallest error of a prediction is some hundred levels, so a density within a cell is flat to 1e-6 nats a sample.
        With `data.only` it is that of one voice.
        """
        samples = (x[:, 0] - SILENCE).double()
        voices = range(len(VOICES)) if self.only is None else [self.only]
        each = [autoregression.log_prob(samples, autocorrelation(voice, self.sample_rate)) for voice in voices]
        return torch.stack(each).logsumexp(0) - math.log(len(voices))

    @property
    def _sizes(self) -> tuple[int, int, int]:
        return (*HELD_OUT, self.num_clips)

    def _clip(self, number: int) -> Tensor:
        generator = seeded_generator("toy_audio", number)
        noise = torch.randn(1, CLIP * self.segment, generator=generator, dtype=torch.float64)
        x = autoregression.sample(noise, autocorrelation(number % len(VOICES), self.sample_rate))[0]
        return x.round().clamp(-SILENCE, SILENCE - 1).to(torch.int16)


@cache
def autocorrelation(voice: int, sample_rate: int) -> Tensor:
    """r_0 .. r_4 (5,) float64 of a voice, in squared levels. Its coefficients are those of prod_i (1 - 2 rho_i cos(w_i) z +
    rho_i^2 z^2), with a pair of poles for each resonance."""
    polynomial = torch.ones(1, dtype=torch.float64)
    for frequency, bandwidth in zip(VOICES[voice], BANDWIDTHS, strict=True):
        radius, angle = math.exp(-math.pi * bandwidth / sample_rate), 2.0 * math.pi * frequency / sample_rate
        pair = torch.tensor([1.0, -2.0 * radius * math.cos(angle), radius**2], dtype=torch.float64)
        product = torch.zeros(len(polynomial) + 2, dtype=torch.float64)
        for place, factor in enumerate(polynomial):
            product[place : place + 3] += factor * pair
        polynomial = product
    return autoregression.autocorrelation_of(-polynomial[1:], DEVIATION**2, ORDER + 1)
