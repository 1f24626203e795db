"""Linear prediction of sound from its log-mel spectrogram alone: each frame gives a power spectrum (`mel_inversion.py`), that
an autocorrelation, and that the coefficients of the best predictor (Makhoul 1975, doi 10.1109/PROC.1975.9792;
`autoregression.py`).

A predictor holds for BLOCK samples: its spectrum is interpolated between two frames, as a logarithm. The first samples of a
sound are predicted from the fewer that there are.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from genarena.statistics import autoregression, mel_inversion
from genarena.statistics.mel import HOP

BLOCK = 64  # samples, a divisor of HOP
AT_ONCE = 1024  # frames whose spectra are in memory
WHITE = (
    40.0 / 32_768**2
)  # variance of a white noise, of amplitudes in [-1, 1); set by hand on training clips of LJ Speech


class Predictors(NamedTuple):
    """x_t ~ sum_j a_j x_{t-j} with errors of variance v, of amplitudes in [-1, 1), float64.

    coefficients (N, blocks, order) and variances (N, blocks); early (N, BLOCK, order) and spread (N, BLOCK): those of each
    sample of the first block.
    """

    coefficients: Tensor
    variances: Tensor
    early: Tensor
    spread: Tensor

    @property
    def every_variance(self) -> Tensor:
        """(N, T) of each sample."""
        return torch.cat([self.spread, self.variances[:, 1:].repeat_interleave(BLOCK, 1)], 1)

    def at(self, place: int) -> tuple[Tensor, Tensor]:
        """(N, order) and (N,) of one sample."""
        if place < BLOCK:
            return self.early[:, place], self.spread[:, place]
        return self.coefficients[:, place // BLOCK], self.variances[:, place // BLOCK]


def predictors(log_mel: Tensor, sample_rate: int, order: int) -> Predictors:
    """Of log-mels (N, BANDS, frames), for HOP (frames - 1) samples. Raises ValueError unless 1 <= `order` <= BLOCK."""
    if not 1 <= order <= BLOCK:
        raise ValueError(f"order={order}: expected 1 to {BLOCK}")
    frames = range(0, log_mel.shape[2] - 1, AT_ONCE)
    parts = [_lags(log_mel[:, :, first : first + AT_ONCE + 1], sample_rate, order) for first in frames]
    solved = [autoregression.levinson(part) for part in parts]
    coefficients, variances = (torch.cat(each, 1) for each in zip(*solved, strict=True))
    orders = torch.arange(BLOCK, device=log_mel.device).clamp_max(order)  # those before a sample of the first block
    first = autoregression.every_order(parts[0][:, 0])
    return Predictors(coefficients, variances, first[0][:, orders], first[1][:, orders])


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
    order = found.coefficients.shape[2]
    past = (
        F.pad(x.double(), (order, 0)).unfold(1, order, 1)[:, :-1].unflatten(1, (-1, BLOCK))
    )  # (N, blocks, BLOCK, order)
    predicted = (past @ found.coefficients.flip(2)[..., None])[..., 0]
    first = (past[:, 0] * found.early.flip(2)).sum(2)
    squares = found.coefficients.square().sum(2)[:, 1:].repeat_interleave(BLOCK, 1)
    squares = torch.cat([found.early.square().sum(2), squares], 1)
    return x - torch.cat([first, predicted[:, 1:].flatten(1)], 1), squares


def sound(errors: Tensor, found: Predictors, together: int = 32) -> Tensor:
    """x (N, T) float64 whose `errors` (N, T) these are: the inverse, solved block after block. The equations of `together`
    blocks are written down at a time."""
    order, made = found.coefficients.shape[2], []
    past = errors.new_zeros(len(errors), order, 1, dtype=torch.float64)
    blocks = errors.double().unflatten(1, (-1, BLOCK, 1))
    for first in range(0, blocks.shape[1], together):
        a = found.coefficients[:, first : first + together, None].expand(-1, -1, BLOCK, -1)
        if first == 0:
            a = torch.cat([found.early[:, None], a[:, 1:]], 1)
        before, within = _equations(a).split([order, BLOCK], 3)
        for k in range(a.shape[1]):
            wanted = torch.baddbmm(blocks[:, first + k], before[:, k], past, alpha=-1.0)
            x = torch.linalg.solve_triangular(within[:, k], wanted, upper=False, unitriangular=True)
            past = x[:, -order:]
            made.append(x)
    return torch.cat(made, 1)[:, :, 0]


def _equations(a: Tensor) -> Tensor:
    """(N, blocks, BLOCK, order + BLOCK): at each sample of a block 1, and -a_j at the one j places before, of a (N, blocks,
    BLOCK, order)."""
    order = a.shape[3]
    rows = F.pad(
        -a.flip(3), (0, BLOCK + 1)
    )  # read with rows one shorter, each row stands one place further than the one above
    rows = rows.flatten(2)[:, :, : BLOCK * (order + BLOCK)].unflatten(2, (BLOCK, order + BLOCK)).clone()
    rows.diagonal(order, 2, 3).fill_(1.0)
    return rows
