"""How improbable the model finds speech, per frame of its mel spectrogram: clips of different lengths compare.

-log p(x | y) / T in nats, T the frames of a clip up to the last one above silence, the mean over test clips (defined here). It
is a density of the log-mel itself, so it can be below 0; a frame has 80 values. With characters given, the number is that of
p(x | text): how long each character lasts, and so the clip, is not given.
"""

from torch import Tensor

from genarena.likelihood import Likelihood
from genarena.metrics.base import LikelihoodMetric, Unavailable
from genarena.spec import DataSpec
from genarena.statistics import mel


class NatsPerFrame(LikelihoodMetric):
    """-log p(x) / T, T frames of 80 bands; for mel spectrograms alone."""

    title = "nats/frame"
    unit = "nats/frame"

    def update(
        self, log_prob: Tensor, real: Tensor, spec: DataSpec, likelihood: Likelihood, log_prob_error: float = 0.0
    ) -> None:
        """`log_prob` (N,) nats of mels `real` (N, 80, frames); `log_prob_error`: a standard error common to all, nats."""
        if not spec.is_mel:
            raise Unavailable("nats per frame are for mel spectrograms (data=ljspeech_text)")
        frames = mel.lengths(real[:]).double()
        self.keep(-log_prob.double() / frames, likelihood, log_prob_error / frames.mean().item())
