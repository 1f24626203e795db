"""Masked autoregressive flow (Papamakarios, Pavlakou & Murray 2017, arXiv 1705.07057).

Differs from the paper
- Activation normalisation (Glow) between layers instead of batch normalisation, so that the density of an example does not
  depend on its batch.
- A tanh limits the log-scale, s = 3 tanh(raw / 3), and the networks start as the identity.
- Pixels first pass a learned elementwise map to a normal distribution (`Gaussianise`), unless the paper's logit is chosen.
- With a condition, the networks depend on it, and a mean and a scale of all latents.
- The last density is a normal distribution; the paper's variant with a mixture is left out.
With `direction: sampling` it is the inverse autoregressive flow (Kingma et al. 2016, arXiv 1606.04934), here trained on the
likelihood of data, which costs D steps per example, instead of inside a posterior.
"""

from collections.abc import Sequence
from typing import Literal

from genarena.models.flow.autoregressive import Flatten, autoregressive_flow
from genarena.models.flow.bijection import Chain
from genarena.models.flow.density import NormalisingFlow
from genarena.models.flow.dequantisation import build_dequantisation, pixel_bijection
from genarena.models.flow.elementwise import Affine
from genarena.models.sampler import Temperature
from genarena.nets.conditioning import num_features
from genarena.options.values import Count, Positive
from genarena.spec import DataSpec
from genarena.training.module import Training


class MAF(NormalisingFlow):
    """log p(x) = log N(z; 0, I) + sum over layers of sum_d s_d,  z_d = (x_d + t_d(x_<d)) exp(s_d(x_<d)) (eq. 3-5).

    Images are vectors in the order of the raster scan, the channels of a pixel after each other. Every layer has the reverse
    order of the layer before.

    num_layers: number of bijections. hidden: width of each hidden layer of their networks.
    direction: "density", the paper's: log p(x) in one pass, samples in D steps; "sampling": the other way round.
    pixels, logit_alpha, dequantisation: as in Glow.
    Raises ValueError below two dimensions, and for vectors of integer levels.
    """

    paper = "1705.07057"

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        num_layers: Count = 5,
        hidden: Sequence[Count] = (256, 256),
        direction: Literal["density", "sampling"] = "density",
        pixels: Literal["gaussianised", "logit", "centred"] = "gaussianised",
        logit_alpha: Positive | None = None,
        dequantisation: Literal["uniform", "variational"] = "uniform",
        sampler: Temperature = Temperature(),  # noqa: B008 - frozen
    ) -> None:
        sizes, context = (spec.num_dims, num_layers, hidden), num_features(spec.condition)
        flow, dequantiser = autoregressive_flow(*sizes, Affine(), direction, context), None
        if spec.is_image or spec.is_discrete:
            spec.require_image("maf, beside vectors of floats,")
            flow = Chain(pixel_bijection(pixels, logit_alpha, spec), Flatten(spec.shape), flow)
            dequantiser = build_dequantisation(dequantisation, spec)
        super().__init__(spec, training, flow, dequantiser, sampler)
        self.num_passes = 1 if direction == "sampling" else spec.num_dims

    @property
    def nfe(self) -> int:
        return self.num_passes
