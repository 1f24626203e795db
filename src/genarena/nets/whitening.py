"""What linear prediction by the mel leaves of sound: where flows of sound and flow matching that know the mel begin.

Vocoders that model the residual of linear prediction in place of the sound: LPCNet (Valin & Skoglund 2018, arXiv 1810.11846);
with the predictor taken from the mel: GELP (Juvela et al. 2019, arXiv 1904.03976).
"""

import torch
from torch import Tensor, nn

from genarena.nets.conditioning import MEL_MEAN, MEL_STD
from genarena.options.values import Count, Whole
from genarena.spec import MEL_BANDS, DataSpec
from genarena.statistics import mel_prediction
from genarena.statistics.mel_prediction import Predictors


class Whitening(nn.Module):
    """z_t = (x_t - sum_j a_j(t) x_{t-j}) / v(t)^(1/2) of amplitudes x (N, 1, T); log |det| = -1/2 sum_t log v(t).

    a (`order` coefficients) and v are those of `gaussian_mel`, and nothing is learnt: z of a Gaussian process with the spectrum
    of the mel is white noise. The context is the mel (N, bands or more, T / 256 + 1) as `Conditioning.frames` gives it. The
    inverse is computed in order of time, a block of samples at once.
    """

    def __init__(self, order: Count, sample_rate: int) -> None:
        super().__init__()
        self.order, self.sample_rate = order, sample_rate

    @classmethod
    def of(cls, spec: DataSpec, order: Whole) -> "Whitening | None":
        """None for order 0, and for data without a mel. Raises ValueError for more coefficients than predictors have, and for
        sound that does not say its sample rate."""
        if order > mel_prediction.BLOCK:
            raise ValueError(f"whitening={order}: expected 0 to {mel_prediction.BLOCK}")
        if not order or spec.condition is None or spec.condition.kind != "mel":
            return None
        if spec.sample_rate is None:
            raise ValueError(f"whitening={order}: the data does not say its sample_rate")
        return cls(order, spec.sample_rate)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        found = self._predictors(context)
        errors, _ = mel_prediction.errors(x[:, 0], found)
        variances = found.every_variance
        return (errors * variances.rsqrt()).to(x.dtype)[:, None], -0.5 * variances.log().sum(1).to(x.dtype)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        found = self._predictors(context)
        return mel_prediction.sound(z[:, 0] * found.every_variance.sqrt(), found).to(z.dtype)[:, None]

    @torch.no_grad()
    @torch.compiler.disable
    def _predictors(self, context: Tensor) -> Predictors:
        return mel_prediction.predictors(context[:, :MEL_BANDS] * MEL_STD + MEL_MEAN, self.sample_rate, self.order)
