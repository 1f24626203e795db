"""Multi-resolution STFT distance: how far spectrograms of samples are from those of the sound whose mel they were drawn for.

Yamamoto, Song & Kim 2020, arXiv 1910.11480, sec. 2.2, as auraloss 0.4.0 computes it, with powers not below 1e-8; with another
floor it is another number (`genarena.statistics.multi_resolution_stft`). Differs from both: it is the mean over segments, not
the distance of a batch.
"""

from genarena.metrics.base import PairMetric, Unavailable
from genarena.statistics.heard import Heard
from genarena.statistics.multi_resolution_stft import SHORTEST, mr_stft


class MRSTFT(PairMetric):
    """||X - Y||_F / ||X||_F + mean |ln X - ln Y|, the mean over three resolutions; X of the real sound, Y of the sample.

    The distance of one draw to one recording is no distance of distributions: a model that is sure of a wrong smooth sound
    may beat one that draws noise as noise is. It punishes what is missing above 8,000 Hz, of which a mel tells nothing.
    """

    title = "MR-STFT"
    range = (0.0, None)

    def update(self, heard: Heard) -> None:
        """Pairs of segments (N, T)."""
        if heard.real.shape[1] < SHORTEST:
            raise Unavailable(f"needs segments of {SHORTEST:,} samples; these have {heard.real.shape[1]:,}")
        self.keep(mr_stft(heard.real, heard.made), real=0.0)
