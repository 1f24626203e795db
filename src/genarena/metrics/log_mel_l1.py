"""Mean absolute difference of log-mel spectrograms; defined here: of those of `genarena.statistics.mel`, in natural logarithms.

Shown, never ranked: Griffin-Lim inverts the mel and rings, and beats 8-bit mu-law sound that hardly anyone tells from a
recording. Kong, Kim & Bae 2020 (arXiv 2010.05646) train with it.
"""

import torch

from genarena.metrics.base import PairMetric, Unavailable
from genarena.statistics import mel
from genarena.statistics.heard import Heard

AT_ONCE = 64  # segments


class LogMelL1(PairMetric):
    """Mean over bands, frames and segments of |mel(x) - mel(sample)|."""

    title = "log-mel L1"
    higher_is_better = None
    range = (0.0, None)

    def update(self, heard: Heard) -> None:
        """Pairs of segments (N, T)."""
        if heard.real.shape[1] <= mel.WINDOW // 2:
            raise Unavailable(
                f"needs segments of more than {mel.WINDOW // 2} samples; these have {heard.real.shape[1]}"
            )
        parts = zip(heard.real.split(AT_ONCE), heard.made.split(AT_ONCE), strict=True)
        both = [[mel.log_mel(part, heard.sample_rate) for part in pair] for pair in parts]
        self.keep(torch.cat([(real - made).abs().mean((1, 2)) for real, made in both]), real=0.0)
