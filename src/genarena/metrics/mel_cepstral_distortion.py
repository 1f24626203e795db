"""Mel-cepstral distortion: how far the spectral envelopes of samples are from those of the sound, in decibels.

Kubichek 1993, doi 10.1109/PACRIM.1993.407206. Of 24 coefficients at 16,000 Hz, without time warping; how they are computed
stands in `genarena.statistics.mel_cepstrum`. Numbers of other front-ends (SPTK, WORLD, cepstra of mel bands) are others.
"""

from genarena.metrics.base import PairMetric, Unavailable
from genarena.statistics.heard import Heard
from genarena.statistics.mel_cepstrum import SHORTEST, mel_cepstral_distortion


class MelCepstralDistortion(PairMetric):
    """10 / ln 10 (2 sum_{m=1..24} (c_m - c'_m)^2)^(1/2), the mean over frames and segments.

    It hears no phases and no pitch: sound that has the right mel and a metallic ring has a low distortion.
    """

    title = "MCD"
    unit = "dB"
    range = (0.0, None)

    def update(self, heard: Heard) -> None:
        """Pairs of segments (N, T)."""
        if heard.seconds < SHORTEST:
            raise Unavailable(f"needs segments of {SHORTEST:g} s; these have {heard.seconds:.2g} s")
        self.keep(mel_cepstral_distortion(*heard), real=0.0)
