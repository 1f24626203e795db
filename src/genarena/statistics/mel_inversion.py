"""From a log-mel spectrogram back to magnitudes of all frequencies, and to the power spectrum of a process.

A mel band is a weighted sum of magnitudes, so it tells their mean around its middle. The multiplicative updates of Lee & Seung
(1999, doi 10.1038/44565; of the Kullback-Leibler divergence) sharpen this first guess until the bands agree, and keep
magnitudes positive. Nothing is told above 8,000 Hz: there the power at 7,000 to 7,950 Hz goes on and declines.
"""

import math

import torch
from torch import Tensor

from genarena.statistics import mel

TOLD = mel.HIGHEST - 50.0  # Hz up to which the bands tell anything
LAST = 7000.0  # Hz from which on the power is continued
DECLINE = 2000.0  # Hz in which the power above falls to 1 / e; set by hand on training clips of LJ Speech
RAYLEIGH = 4.0 / math.pi  # E|X|^2 = (4 / pi) (E|X|)^2 of the Fourier coefficients of a Gaussian process


def magnitudes(log_mel: Tensor, sample_rate: int, num_iterations: int = 0) -> Tensor:
    """|STFT| (N, frames, WINDOW / 2 + 1) float64 of log-mels (N, BANDS, frames)."""
    bands = log_mel.mT.double().exp()
    bank = mel.filterbank(sample_rate).to(bands.device)
    weights = bank.sum(0)
    told = weights > 0.0
    found = (bands / bank.sum(1)) @ (bank / weights.clamp_min(1e-12))
    for _ in range(num_iterations):
        better = found * ((bands / (found @ bank.T)) @ bank) / weights.clamp_min(1e-12)
        found = torch.where(told, better, found)
    return _continued(found, sample_rate)


def _continued(found: Tensor, sample_rate: int) -> Tensor:
    """With the magnitudes of the frequencies of which the bands tell nothing: the lowest, and those above 8,000 Hz."""
    hertz = torch.arange(found.shape[-1], dtype=torch.float64, device=found.device) * (sample_rate / mel.WINDOW)
    above, below = hertz > TOLD, (hertz > LAST) & (hertz <= TOLD)
    last = found[..., below].square().mean(-1, keepdim=True).sqrt()
    decline = torch.exp(-0.5 * (hertz - TOLD) / DECLINE)
    found = torch.where(above, last * decline, found)
    return torch.cat([found[..., 1:2], found[..., 1:]], -1)


def power(log_mel: Tensor, sample_rate: int) -> Tensor:
    """(N, frames, WINDOW / 2 + 1) float64, above 0: the power spectrum of the stationary process whose frames have these
    log-mels (N, BANDS, frames) on average; of amplitudes in [-1, 1)."""
    energy = mel.window(torch.zeros((), dtype=torch.float64)).square().sum().item()
    return RAYLEIGH * magnitudes(log_mel, sample_rate).square() / energy


def autocorrelation(power: Tensor, order: int) -> Tensor:
    """r_0 .. r_order (N, frames, order + 1) float64 of processes with this power (N, frames, WINDOW / 2 + 1)."""
    return torch.fft.irfft(power, n=mel.WINDOW, dim=-1)[..., : order + 1]
