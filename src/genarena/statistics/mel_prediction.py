"""Linear prediction of sound from its log-mel spectrogram alone: each frame gives a power spectrum (`mel_inversion.py`), that
an autocorrelation, and that the coefficients of the best predictor (Makhoul 1975, doi 10.1109/PROC.1975.9792;
`autoregression.py`).

A predictor holds for BLOCK samples: its spectrum is interpolated between two frames, as a logarithm. It may look back farther
than a block; the first samples of a sound are predicted from the fewer that there are.
"""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from genarena.statistics import autoregression, mel_inversion
from genarena.statistics.mel import HOP

BLOCK = 64  # samples, a divisor of HOP
TOGETHER = 512  # samples whose equations are written down together: they stay in the cache of a processor
LONGEST = 256  # coefficients; the windows of mels tell of no lags near their own 1,024 samples
AT_ONCE = 128  # frames whose predictors are sought together: they stay in the cache of a processor
WHITE = (
    40.0 / 32_768**2
)  # variance of a white noise, of amplitudes in [-1, 1); set by hand on training clips of LJ Speech


class Predictors(NamedTuple):
    """x_t ~ sum_j a_j x_{t-j} with errors of variance v, of amplitudes in [-1, 1), float64.

    coefficients (N, blocks, order) and variances (N, blocks); early (N, E, order) and spread (N, E): those of each of the first
    E samples, of so many whole blocks as `order` samples fill.
    """

    coefficients: Tensor
    variances: Tensor
    early: Tensor
    spread: Tensor

    @property
    def every_variance(self) -> Tensor:
        """(N, T) of each sample."""
        later = self.variances[:, self.spread.shape[1] // BLOCK :]
        return torch.cat([self.spread, later.repeat_interleave(BLOCK, 1)], 1)

    def at(self, place: int) -> tuple[Tensor, Tensor]:
        """(N, order) and (N,) of one sample."""
        if place < self.early.shape[1]:
            return self.early[:, place], self.spread[:, place]
        return self.coefficients[:, place // BLOCK], self.variances[:, place // BLOCK]


def predictors(log_mel: Tensor, sample_rate: int, order: int) -> Predictors:
    """Of log-mels (N, BANDS, frames), for HOP (frames - 1) samples. Raises ValueError unless 1 <= `order` <= LONGEST."""
    if not 1 <= order <= LONGEST:
        raise ValueError(f"order={order}: expected 1 to {LONGEST}")
    together = max(1, AT_ONCE // len(log_mel))
    frames = range(0, log_mel.shape[2] - 1, together)
    parts = [_lags(log_mel[:, :, first : first + together + 1], sample_rate, order) for first in frames]
    coefficients, variances, *early = _solved(parts[0])
    others = [autoregression.levinson(part) for part in parts[1:]]
    coefficients, variances = (torch.cat(each, 1) for each in zip((coefficients, variances), *others, strict=True))
    return Predictors(coefficients, variances, *early)


def _solved(lags: Tensor) -> Predictors:
    """Of autocorrelations (N, blocks, order + 1): sample t of the sound has the predictor of order t of its block, until t is
    `order`."""
    order = lags.shape[2] - 1
    num_early = BLOCK * min(-(-order // BLOCK), lags.shape[1])
    early, spread = lags.new_zeros(num_early, order, len(lags)), lags.new_zeros(num_early, len(lags))
    for p, (a, v) in enumerate(autoregression.recursion(lags)):
        here = slice(p, num_early if p == order else p + 1)
        for t in range(num_early)[here]:
            early[t, :p], spread[t] = a[:, :, t // BLOCK], v[:, t // BLOCK]
    return Predictors(a.movedim(0, -1).contiguous(), v, early.movedim(2, 0).contiguous(), spread.mT)


def _lags(log_mel: Tensor, sample_rate: int, order: int) -> Tensor:
    """Autocorrelations (N, blocks, order + 1) between frames (N, BANDS, frames)."""
    power = mel_inversion.power(log_mel, sample_rate).log()
    later = (torch.arange(0, HOP, BLOCK, dtype=power.dtype, device=power.device) + BLOCK / 2) / HOP
    power = power[:, :-1, None].lerp(power[:, 1:, None], later[:, None]).flatten(1, 2).exp()
    lags = mel_inversion.autocorrelation(power, order)
    lags[..., 0] += WHITE
    return lags


def errors(x: Tensor, found: Predictors) -> tuple[Tensor, Tensor]:
    """Of amplitudes x (N, T): x_t - sum_j a_j x_{t-j} and sum_j a_j^2, (N, T) float64."""
    order, early, x = found.coefficients.shape[2], found.early, x.double()
    num_early = early.shape[1]
    past = F.pad(x, (order, 0))
    first = (past[:, : num_early + order - 1].unfold(1, order, 1) * early.flip(2)).sum(2)
    size = order + BLOCK  # by the Fourier transform: no product that wraps around reaches the last BLOCK places
    spectra = torch.fft.rfft(past.unfold(1, size, BLOCK)) * torch.fft.rfft(F.pad(found.coefficients, (1, 0)), size)
    predicted = torch.fft.irfft(spectra, size)[:, :, order:].flatten(1)
    squares = found.coefficients.square().sum(2).repeat_interleave(BLOCK, 1)
    squares = torch.cat([early.square().sum(2), squares[:, num_early:]], 1)
    return x - torch.cat([first, predicted[:, num_early:]], 1), squares


def sound(errors: Tensor, found: Predictors) -> Tensor:
    """x (N, T) float64 whose `errors` (N, T) these are: the inverse, sample after sample, on the CPU, because each waits for
    the one before it. Differentiable in the errors."""
    return _Substitution.apply(errors, found)


class _Substitution(torch.autograd.Function):
    """The equations of `errors` are a triangular system with a band of `order` coefficients. A row of them is a column of the
    transposed system in the band storage of BLAS, which does not read the ones of the diagonal."""

    @staticmethod
    def forward(ctx: FunctionCtx, errors: Tensor, found: Predictors) -> Tensor:
        from scipy.linalg.blas import dtbsv

        order, ctx.found = found.coefficients.shape[2], found
        padded = F.pad(errors.double(), (order, 0)).cpu().numpy()
        room = np.zeros((order + TOGETHER, order + 1))  # the first rows leave what is known as it is
        for row, x in enumerate(padded):
            for first in range(0, errors.shape[1], TOGETHER):
                here = slice(first, order + min(first + TOGETHER, errors.shape[1]))
                rows = room[: len(x[here])]
                _write_equations(rows[order:], found, row, first)
                x[here] = dtbsv(order, rows.T, x[here], trans=1, diag=1)
        return torch.from_numpy(padded[:, order:]).to(errors.device)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, to_sound: Tensor) -> tuple[Tensor, None]:
        from scipy.linalg.blas import dtbsv

        order, given = ctx.found.coefficients.shape[2], to_sound.double().cpu().numpy()
        rows, solved = np.empty((given.shape[1], order + 1)), []
        for row, each in enumerate(given):
            _write_equations(rows, ctx.found, row, 0)
            solved.append(dtbsv(order, rows.T, each, diag=1))
        return torch.from_numpy(np.stack(solved)).to(to_sound.device), None


def _write_equations(rows: np.ndarray, found: Predictors, row: int, first: int) -> None:
    """-a_order .. -a_1 of whole blocks of samples, from `first` on, of a sound, into (samples, order + 1)."""
    end = first + len(rows)
    a, early = found.coefficients[row, first // BLOCK : end // BLOCK], found.early[row, first:end]
    rows.reshape(-1, BLOCK, rows.shape[1])[:, :, :-1] = -a.flip(1)[:, None].cpu().numpy()
    rows[: len(early), :-1] = -early.flip(1).cpu().numpy()
