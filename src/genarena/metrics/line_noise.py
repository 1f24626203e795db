"""Line noise: how far lines at multiples of (sample rate) / group stand out of the spectrum of samples; defined here.

WaveGlow leaves such lines, because it sees sound in groups of 8 samples (github.com/NVIDIA/waveglow, issues 39 and 55). The
ratios are those of `genarena.statistics.line_noise`.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from genarena.metrics.base import ArenaMetric, Unavailable
from genarena.options.settings import Settings
from genarena.options.values import Count
from genarena.statistics.heard import Heard
from genarena.statistics.line_noise import SHORTEST, lines

ALLOWED = 1.5  # times the ratio of real sound


@dataclass(frozen=True)
class LineNoiseSettings(Settings):
    """group: samples that a model takes together, 3 to 64."""

    group: Count = 8

    def check(self) -> None:
        if not 3 <= self.group <= 64:
            raise ValueError(f"group={self.group}: expected 3 to 64")


class LineNoise(ArenaMetric):
    """The largest of the ratios r_k of samples to their neighbours in the spectrum; about 1 without lines.

    `found`: the frequencies, Hz, whose ratio is more than 1.5 times that of the real segments. No other noise is noticed.
    """

    title = "line noise"
    range = (0.0, None)
    Settings = LineNoiseSettings

    def update(self, heard: Heard) -> None:
        """Pairs of segments (N, T)."""
        if heard.real.shape[1] < SHORTEST:
            raise Unavailable(f"needs segments of {SHORTEST:,} samples; these have {heard.real.shape[1]:,}")
        self.made, self.real = (lines(sound, self.settings.group) for sound in (heard.made, heard.real))
        self.sample_rate = heard.sample_rate

    def compute(self) -> float:
        return _ratios(self.made).max().item()

    def record(self) -> dict[str, Any]:
        """`ratios`, `real_ratios`: of each frequency of `hertz`. `standard_error`: by the jackknife over segments."""
        n, ratios, real = len(self.made), _ratios(self.made), _ratios(self.real)
        hertz = [self.sample_rate * k / self.settings.group for k in range(1, len(ratios) + 1)]
        left_out = ((self.made.sum(0) - self.made) / (n - 1)).exp().amax(1) if n > 1 else None
        return {
            "n": n,
            "standard_error": None if n == 1 else left_out.std(correction=0).item() * (n - 1) ** 0.5,
            "real": real.max().item(),
            "real_from": "the same sounds",
            "hertz": hertz,
            "ratios": ratios,
            "real_ratios": real,
            "found": [place for place, *pair in zip(hertz, ratios, real, strict=True) if pair[0] > ALLOWED * pair[1]],
        }


def _ratios(rows: Tensor) -> Tensor:
    """r_k, of their logarithms in each sound (N, K)."""
    return rows.mean(0).exp()
