"""What linear prediction by the mel leaves of sound: where flows of sound and flow matching that know the mel begin.

Vocoders that model the residual of linear prediction in place of the sound: LPCNet (Valin & Skoglund 2018, arXiv 1810.11846);
with the predictor taken from the mel: GELP (Juvela et al. 2019, arXiv 1904.03976).
"""

import torch
from torch import Tensor, nn

from genarena.nets.conditioning import MEL_MEAN, MEL_STD
from genarena.options.values import Count, Share, Whole
from genarena.spec import MEL_BANDS, DataSpec
from genarena.startup.lean_lightning import uncompiled
from genarena.statistics import mel_prediction
from genarena.statistics.mel_prediction import Predictors


class Whitening(nn.Module):
    """z_t = (x_t - sum_j a_j(t) x_{t-j}) / v(t)^(1/2) of amplitudes x (N, 1, T); log |det| = -1/2 sum_t log v(t).

    a (`order` coefficients) and v are those of `gaussian_mel`, and nothing is learnt: z of a Gaussian process with the spectrum
    of the mel is white noise. The context is the mel (N, bands or more, T / 256 + 1) as `Conditioning.frames` gives it. The
    inverse is computed in order of time, a block of samples at once. A voice of 200 Hz has its harmonics in the coefficients
    from sample_rate / 200 on.
    """

    def __init__(self, order: Count, sample_rate: int) -> None:
        super().__init__()
        self.order, self.sample_rate = order, sample_rate

    @classmethod
    def of(cls, spec: DataSpec, order: Whole, condition_dropout: Share = 0.0) -> "Whitening | None":
        """None for order 0, and for data without a mel. Raises ValueError for more coefficients than predictors have, for sound
        that does not say its sample rate, and for a model that is to learn sound without its mel too."""
        if order > mel_prediction.LONGEST:
            raise ValueError(f"whitening={order}: expected 0 to {mel_prediction.LONGEST}")
        if not order or spec.condition is None or spec.condition.kind != "mel":
            return None
        if spec.sample_rate is None:
            raise ValueError(f"whitening={order}: the data does not say its sample_rate")
        if condition_dropout:
            raise ValueError(f"whitening={order}, condition_dropout={condition_dropout}: expected 0 for one of the two")
        return cls(order, spec.sample_rate)

    def forward(self, x: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        errors, deviation = self.errors(x, context)
        return errors / deviation, -deviation.log().flatten(1).sum(1)

    def inverse(self, z: Tensor, context: Tensor) -> Tensor:
        found = self.predictors(context)
        return mel_prediction.sound(z[:, 0] * found.every_variance.sqrt(), found).to(z.dtype)[:, None]

    def errors(self, x: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """x_t - sum_j a_j(t) x_{t-j} and v(t)^(1/2), (N, 1, T)."""
        found = self.predictors(context)
        errors, _ = mel_prediction.errors(x[:, 0], found)
        return errors.to(x.dtype)[:, None], found.every_variance.sqrt().to(x.dtype)[:, None]

    @torch.no_grad()
    @uncompiled
    def predictors(self, context: Tensor) -> Predictors:
        """Of every sample, from the mel (N, bands or more, T / 256 + 1) in a context."""
        return mel_prediction.predictors(context[:, :MEL_BANDS] * MEL_STD + MEL_MEAN, self.sample_rate, self.order)
