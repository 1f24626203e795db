"""Sound as a Gaussian process whose spectrum is read off the mel, in closed form: the floor of every model of p(x | mel).

x_t ~ N(sum_j a_j(t) x_{t-j}, v(t)), by the linear prediction of `statistics/mel_prediction.py` (Makhoul 1975, doi
10.1109/PROC.1975.9792). Nothing is learnt: a model of sound that is worse in bits has learnt less than its mel says. Samples
have harmonics where the bands of the mel are narrow enough for the pitch, and whisper above; each is a noise of its own.

Differs from the paper: the spectrum is that of the mel (`statistics/mel_inversion.py`), not of the sound. Two constants were
set by hand on training clips of LJ Speech: a white noise, and how the spectrum declines where the mel tells nothing.
"""

import math
from typing import Any

import torch
from torch import Tensor

from genarena.errors import counted
from genarena.likelihood import Likelihood, from_unit, to_amplitudes, to_unit
from genarena.models.base import GenerativeModel
from genarena.models.vocoding import Vocodes
from genarena.options.values import Count
from genarena.spec import Batch, DataSpec
from genarena.statistics import mel_prediction
from genarena.statistics.mel_prediction import Predictors
from genarena.training.module import Training

NOISE = 1.0 / 12.0  # variance of uniform dequantisation, in squared levels


class GaussianMel(GenerativeModel, Vocodes):
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
    reach = None

    def __init__(self, spec: DataSpec, training: Training | None = None, order: Count = 192) -> None:
        super().__init__(spec, training)
        if spec.sample_rate is None:
            raise ValueError("gaussian_mel: the data does not say its sample_rate")
        if order > mel_prediction.LONGEST:
            raise ValueError(f"order={order}: expected 1 to {mel_prediction.LONGEST}")
        self.order = order

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """`loss` is 0: nothing is minimised."""
        return {"loss": torch.zeros((), device=self.device)}

    def log_prob(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        """(N,) nats, a bound in closed form for any number of draws."""
        amplitudes, found = to_amplitudes(x[:, 0].double(), self.spec.num_levels), self._predictors(y, len(x))
        e, squares = mel_prediction.errors(amplitudes, found)
        v = found.every_variance
        level = 2.0 / self.spec.num_levels
        expected = e.square() + NOISE * level**2 * (1.0 + squares)
        nats = 0.5 * (expected / v + (2.0 * math.pi * v).log()) - math.log(level)
        return -nats.sum(1).float()

    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        noise = torch.randn(num_samples, 1, self.spec.shape[1], dtype=torch.float64, device=self.device)
        return from_unit(self.vocode(y, noise), self.spec.num_levels)

    @torch.no_grad()
    def vocode(self, mel: Tensor, noise: Tensor) -> Tensor:
        found, half = self._predictors(mel, len(noise)), self.spec.num_levels / 2
        x = mel_prediction.sound(noise[:, 0] * found.every_variance.sqrt(), found)
        return to_unit((1.0 + x[:, None]) * half, self.spec.num_levels)

    def estimator(self, num_samples: int = 1) -> dict[str, Any]:
        return {
            "method": "closed form of the mean over dequantisation noise",
            "dequantisation": "uniform",
            "dequantisation_draws": num_samples,
        }

    def _predictors(self, y: Tensor | None, num: int) -> Predictors:
        if y is None or bool(self.spec.condition.is_null(y).any()):
            raise ValueError("y=None: gaussian_mel is p(x | mel), so y is needed")
        if len(y) != num:
            raise ValueError(f"y has {counted(len(y), 'mel')} for {counted(num, 'example')}")
        return mel_prediction.predictors(y, self.spec.sample_rate, self.order)
