"""Sound as a Gaussian process whose spectrum is read off the mel, in closed form: the floor of every model of p(x | mel).

x_t ~ N(sum_j a_j(t) x_{t-j}, v(t)): each frame of the mel gives a power spectrum, that gives an autocorrelation, and that the
coefficients of linear prediction (Makhoul 1975, doi 10.1109/PROC.1975.9792), by the recursion of Levinson. Between the middles
of two frames, predictions and log-variances are interpolated. Nothing is learnt: a model of sound that is worse in bits has
learnt less than its mel says. Samples whisper, because the process has no pitch.

Differs from the paper: the spectrum is that of the mel (`statistics/mel_inversion.py`), not of the sound. Two constants were
set by hand on training clips of LJ Speech: a white noise, and how the spectrum declines where the mel tells nothing.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from genarena.likelihood import Likelihood, from_amplitudes, to_amplitudes
from genarena.models.base import GenerativeModel
from genarena.options.values import Count
from genarena.spec import Batch, DataSpec
from genarena.statistics import autoregression, mel_inversion
from genarena.statistics.mel import HOP
from genarena.training.module import Training

WHITE = 40.0  # variance of the white noise, in squared levels of 16 bits
NOISE = 1.0 / 12.0  # variance of uniform dequantisation, in squared levels


class GaussianMel(GenerativeModel):
    """log P(x) >= E_u[log p(x + u)] = -1/2 sum_t [(e_t^2 + (1 + sum_j a_j(t)^2) / 12) / v(t) + log 2 pi v(t)],

    e_t = x_t - sum_j a_j(t) x_{t-j} in levels, u uniform in [-1/2, 1/2). The first samples of a segment are predicted from the
    fewer that there are. order: number of coefficients. Raises ValueError for data without a mel or a sample rate.
    """

    family = "baseline"
    takes_sound = True
    takes_images = False
    conditional = True
    condition_kinds = ("mel",)
    needs_condition = True
    likelihood = Likelihood.LOWER_BOUND
    paper = "10.1109/PROC.1975.9792"
    max_epochs = 0

    def __init__(self, spec: DataSpec, training: Training | None = None, order: Count = 64) -> None:
        super().__init__(spec, training)
        if spec.sample_rate is None:
            raise ValueError("gaussian_mel: the data does not say its sample_rate")
        if not 1 <= order <= HOP // 2:
            raise ValueError(f"order={order}: expected 1 to {HOP // 2}")
        self.order = order

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """`loss` is 0: nothing is minimised."""
        return {"loss": torch.zeros((), device=self.device)}

    def log_prob(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        """(N,) nats, a bound in closed form for any number of draws."""
        levels = self.spec.num_levels / 2 * to_amplitudes(x[:, 0].double(), self.spec.num_levels)
        coefficients, variances = self._predictors(y, len(x))
        first = self._first(y)
        rows = zip(levels, coefficients, variances, *first, strict=True)
        return torch.stack([self._log_prob(*row) for row in rows]).float()

    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        coefficients, variances = self._predictors(y, num_samples)
        early, spread = self._first(y)
        length, order = self.spec.shape[1], self.order
        noise = torch.randn(num_samples, length, dtype=torch.float64, device=self.device)
        x = noise.new_zeros(num_samples, order + length)  # the latest sample last
        for t in range(length):
            a, v = (early[:, t], spread[:, t]) if t < order else self._between(coefficients, variances, t)
            mean = (a.flip(1) * x[:, t : t + order]).sum(1)
            x[:, order + t] = mean + v.sqrt() * noise[:, t]
        return from_amplitudes(x[:, None, order:] / (self.spec.num_levels / 2), self.spec.num_levels)

    def estimator(self, num_samples: int = 1) -> dict[str, Any]:
        return {
            "method": "closed form of the mean over dequantisation noise",
            "dequantisation": "uniform",
            "dequantisation_draws": num_samples,
        }

    def _autocorrelation(self, y: Tensor | None) -> Tensor:
        """(N, frames, order + 1) in squared levels. Raises ValueError without a mel."""
        if y is None or bool(self.spec.condition.is_null(y).any()):
            raise ValueError("y=None: gaussian_mel is p(x | mel), so y is needed")
        lags = mel_inversion.autocorrelation(y, self.spec.sample_rate, self.order) * (self.spec.num_levels / 2) ** 2
        white = torch.zeros_like(lags)
        white[..., 0] = WHITE
        return lags + white

    def _predictors(self, y: Tensor | None, num: int) -> tuple[Tensor, Tensor]:
        """Coefficients (N, frames, order) and variances (N, frames) of each frame."""
        parts = [autoregression.levinson(rows) for rows in self._autocorrelation(y).split(1)]
        coefficients, variances = (torch.cat([part[k][:, :, -1] for part in parts]) for k in (0, 1))
        if len(coefficients) != num:
            raise ValueError(f"y has {len(coefficients)} mels for {num} examples")
        return coefficients, variances

    def _first(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Of the first `order` samples, predicted from those before: coefficients (N, order, order), variances (N, order)."""
        coefficients, variances = autoregression.levinson(self._autocorrelation(y[:, :, :1])[:, 0])
        return coefficients[:, :-1], variances[:, :-1]

    def _between(self, coefficients: Tensor, variances: Tensor, t: int) -> tuple[Tensor, Tensor]:
        """Coefficients (N, order) and variances (N,) at sample t, between frames t // HOP and the next."""
        frame, share = t // HOP, t % HOP / HOP
        a = coefficients[:, frame].lerp(coefficients[:, frame + 1], share)
        return a, variances[:, frame].log().lerp(variances[:, frame + 1].log(), share).exp()

    def _log_prob(self, x: Tensor, coefficients: Tensor, variances: Tensor, early: Tensor, spread: Tensor) -> Tensor:
        """Scalar, of levels (T,) around 0 and the predictors of one example."""
        past = F.pad(x, (self.order, 0)).unfold(0, self.order, 1)[: len(x)].flip(1)  # (T, order), the latest first
        share = (torch.arange(HOP, dtype=x.dtype, device=x.device) / HOP)[:, None]
        pairs = zip(coefficients[:-1], coefficients[1:], variances[:-1].log(), variances[1:].log(), strict=True)
        a, v = zip(*((p.lerp(q, share), b.lerp(c, share[:, 0]).exp()) for p, q, b, c in pairs), strict=True)
        a, v = torch.cat(a), torch.cat(v)  # (T, order) and (T,)
        a, v = torch.cat([early, a[self.order :]]), torch.cat([spread, v[self.order :]])
        errors = x - (a * past).sum(1)
        expected = errors.square() + NOISE * (1.0 + a.square().sum(1))
        return -0.5 * (expected / v + (2.0 * math.pi * v).log()).sum()
