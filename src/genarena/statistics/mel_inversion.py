"""From a log-mel spectrogram back to magnitudes of all frequencies, and to the power spectrum of a process.

A mel band is a weighted sum of magnitudes, so it tells their mean around its middle. The multiplicative updates of Lee & Seung
(1999, doi 10.1038/44565; of the Kullback-Leibler divergence) sharpen this first guess until the bands agree, and keep
magnitudes positive. Nothing is told above 8,000 Hz: there the power at 7,000 to 7,950 Hz goes on and declines.
"""

import math
from functools import lru_cache

import torch
from torch import Tensor

from genarena.statistics import mel

TOLD = mel.HIGHEST - 50.0  # Hz up to which the bands tell anything
LAST = 7000.0  # Hz from which on the power is continued
DECLINE = 2000.0  # Hz in which the power above falls to 1 / e; set by hand on training clips of LJ Speech
UPDATES = 10  # of power; more change the bits of `gaussian_mel` on training clips by less than 0.001
RAYLEIGH = 4.0 / math.pi  # E|X|^2 = (4 / pi) (E|X|)^2 of the Fourier coefficients of a Gaussian process


def magnitudes(log_mel: Tensor, sample_rate: int, num_iterations: int = 0) -> Tensor:
    """|STFT| (N, frames, WINDOW / 2 + 1) float64 of log-mels (N, BANDS, frames)."""
    found, bands, bank = _guess(log_mel, sample_rate)
    back, untold = _mean_of_bands(bank)
    for _ in range(num_iterations):
        found = found * ((bands / (found @ bank.T)) @ back + untold)
    return _continued(found, sample_rate)


def _guess(log_mel: Tensor, sample_rate: int) -> tuple[Tensor, Tensor, Tensor]:
    """Magnitudes to begin with, the bands that they should have (N, frames, BANDS), and the filterbank."""
    bands = log_mel.mT.double().exp()
    bank = mel.filterbank(sample_rate).to(bands.device)
    return (bands / bank.sum(1)) @ _mean_of_bands(bank)[0], bands, bank


def _mean_of_bands(bank: Tensor) -> tuple[Tensor, Tensor]:
    """What takes numbers of bands to the mean (BANDS, WINDOW / 2 + 1) at each frequency over those that it is in; 1 at the
    frequencies (1, WINDOW / 2 + 1) that are in none."""
    weights = bank.sum(0, keepdim=True)
    return bank / weights.clamp_min(1e-12), (weights <= 0.0).double()


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
    log-mels (N, BANDS, frames) on average; of amplitudes in [-1, 1).

    A frame has its power as the window shows it, in which each harmonic of a voice is wider than it is: the updates go through
    both (Richardson 1972, doi 10.1364/JOSA.62.000055), so that harmonics stand as far apart as the mel can tell.
    """
    found, bands, bank = _guess(log_mel, sample_rate)
    found = _continued(found, sample_rate).square()
    back, untold = (_shown(each) for each in _mean_of_bands(bank))
    told = int(bank.any(0).nonzero()[-1]) + 3  # frequencies farther up neither change nor are seen
    changing, bank, back, untold = (each[..., :told] for each in (found, bank, back, untold))
    for _ in range(UPDATES):
        changing *= ((bands / (_shown(changing).sqrt_() @ bank.T)) @ back).add_(untold).square_()
    energy = mel.window(torch.zeros((), dtype=torch.float64)).square().sum().item()
    return RAYLEIGH * _continued(found.sqrt(), sample_rate).square() / energy


def _shown(power: Tensor) -> Tensor:
    """What a Hann window shows of power (N, frames, WINDOW / 2 + 1): a third of each frequency is seen at its neighbours."""
    shown = (2.0 / 3.0) * power
    shown[..., 1:-1] += (power[..., :-2] + power[..., 2:]) / 6.0
    shown[..., 0] += power[..., 1] / 3.0
    shown[..., -1] += power[..., -2] / 3.0
    return shown


def autocorrelation(power: Tensor, order: int) -> Tensor:
    """r_0 .. r_order (N, frames, order + 1) float64 of processes with this power (N, frames, WINDOW / 2 + 1)."""
    return power @ _cosines(order, power.device)


@lru_cache(maxsize=4)
def _cosines(order: int, device: torch.device) -> Tensor:
    """What takes a power spectrum to its first lags, (WINDOW / 2 + 1, order + 1): of so few, a product is faster than the
    Fourier transform."""
    with torch.inference_mode(False):  # it is kept, also for mels that need a gradient
        frequencies = torch.arange(mel.WINDOW // 2 + 1, device=device)[:, None]
        turns = (frequencies * torch.arange(order + 1, device=device) % mel.WINDOW).double() / mel.WINDOW
        both = torch.where(frequencies * 2 % mel.WINDOW == 0, 1.0, 2.0)  # of a frequency and its negative
        return torch.cos(2.0 * math.pi * turns) * both / mel.WINDOW
