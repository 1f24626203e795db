"""Mel-cepstral distortion, in decibels (Kubichek 1993, doi 10.1109/PACRIM.1993.407206).

    MCD = 10 / ln 10 * mean over frames of (2 sum_{m=1..24} (c_m - c'_m)^2)^(1/2)

c_m are mel-cepstral coefficients: the cosine series of ln |X|, the logarithm of the magnitudes, over a frequency that an
all-pass filter has bent like the mel scale (Tokuda, Kobayashi, Masuko & Imai 1994, ICSLP):

    ln |X(w)| = c_0 + sum_m c_m cos(m v(w)),     v(w) = w + 2 arctan(alpha sin w / (1 - alpha cos w)),    alpha = 0.42

Differs from the usual recipes (SPTK, WORLD). The sound is at 16,000 Hz: at its own rate the distortion would punish what is
missing above 8,000 Hz, of which the mel that models are given says nothing. The coefficients are those of a Hann window of 512
samples every 128, by least squares, with no envelope in between and no time warping, because the two sounds are of one mel.
c_0, the loudness, does not count. Powers are not below those that rounding to 16 bits has, so that silences compare as equal.
"""

import math
from functools import lru_cache

import torch
from torch import Tensor

from genarena.statistics.resampling import SPEECH, to_speech_rate

ORDER, ALPHA = 24, 0.42
WINDOW, HOP = 512, 128  # samples at 16,000 Hz
ROUNDING = 2.0**-30 / 12.0  # variance of a rounding error of 16 bits, of sound in [-1, 1)
DECIBELS = 10.0 / math.log(10.0)
AT_ONCE = 2**12  # frames
SHORTEST = WINDOW / SPEECH  # seconds


def mel_cepstral_distortion(x: Tensor, other: Tensor, sample_rate: int) -> Tensor:
    """(N,) float64 dB, of sounds (N, T) in [-1, 1). Symmetric. Raises ValueError for sound shorter than 32 ms."""
    both = [mel_cepstra(sound, sample_rate)[..., 1:] for sound in (x, other)]
    return DECIBELS * (2.0 * (both[0] - both[1]).square().sum(-1)).sqrt().mean(1)


def mel_cepstra(x: Tensor, sample_rate: int) -> Tensor:
    """c_0 .. c_24 of each frame, (N, frames, 25) float64, of sounds (N, T). Raises ValueError for sound shorter than 32 ms."""
    sound = to_speech_rate(x, sample_rate)
    if sound.shape[1] < WINDOW:
        raise ValueError(f"{x.shape[1]} samples of {sample_rate} Hz: mel cepstra need {SHORTEST:g} s")
    frames = sound.unfold(1, WINDOW, HOP)
    window, projection = torch.hann_window(WINDOW, dtype=torch.float64), _projection()
    floor = ROUNDING * window.square().sum()
    parts = [
        0.5 * torch.fft.rfft(part * window).abs().square().clamp_min(floor).log() @ projection
        for part in frames.split(max(1, AT_ONCE // max(1, len(x))), 1)
    ]
    return torch.cat(parts, 1)


@lru_cache
def _projection() -> Tensor:
    """(257, 25): from log-magnitudes at the bins to the coefficients, by least squares."""
    w = torch.arange(WINDOW // 2 + 1, dtype=torch.float64) * (2.0 * math.pi / WINDOW)
    bent = w + 2.0 * torch.atan2(ALPHA * w.sin(), 1.0 - ALPHA * w.cos())
    return torch.linalg.pinv(torch.cos(bent[:, None] * torch.arange(ORDER + 1))).T
