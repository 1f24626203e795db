"""Glow (Kingma & Dhariwal 2018, arXiv 1807.03039).

Differs from the paper
- The activation normalisation and the 1x1 convolution of a step are one affine map.
- Coupling networks have no normalisation layers but a learned bias per position, and see patches of pixels as channels.
- Coupling networks read asinh(x_a), and a tanh limits s instead of a sigmoid, so that couplings cannot amplify each other,
  unless `scale` is "sigmoid".
- The last prior has a mean and a scale per position.
- Pixels first pass a learned elementwise map to a normal distribution (`Gaussianise`).
- With a condition, the networks of the couplings depend on it, and a mean and a scale of all latents, not of the last alone.
- The noise of dequantisation may be learned (Flow++).
- With `coupling: spline` (`glow_spline`), rational-quadratic splines (Durkan et al. 2019) take the place of affine functions.
`glow_paper` turns off the elementwise map, the patches, the position bias and the tanh.
"""

import math
from functools import partial
from typing import Literal

from genarena.models.flow.bijection import Bijection, Chain
from genarena.models.flow.convolutions import NormalisedConv
from genarena.models.flow.couplings import ConvNetwork, SigmoidCoupling, SplitCoupling
from genarena.models.flow.density import NormalisingFlow
from genarena.models.flow.dequantisation import build_dequantisation, pixel_bijection
from genarena.models.flow.elementwise import Elementwise, ElementwiseCoupling, Spline
from genarena.models.flow.multiscale import first_patch, num_scales, steps_of_flow
from genarena.models.sampler import Temperature
from genarena.nets.conditioning import num_features
from genarena.options.values import Count, Positive
from genarena.spec import DataSpec
from genarena.training.module import Training


class Glow(NormalisingFlow):
    """log p(x) = log N(z; mean, scale^2) + sum over levels and steps of log |det|; a step is
    actnorm -> invertible 1x1 convolution -> affine coupling (fig. 2).

    num_levels: number of scales; None: 2, or 1 where the image can be halved once. num_steps: steps of flow per level.
    patch: coupling networks see patch x patch pixels as channels, on coarser scales as many as divide the size; None: 2 on the
        first scale, or 1.
    scale: of couplings, exp(tanh) or, as in the reference code, a sigmoid; see `SplitCoupling` and `SigmoidCoupling`.
    coupling: affine, or spline: `num_bins` bins on [-bound, bound], the identity outside; `scale` is of no use then.
    position_bias: coupling networks have a learned bias per position. dequantisation: "uniform" or "variational".
    pixels: "gaussianised", "logit" (of alpha + (1 - 2 alpha) u, alpha = logit_alpha) or "centred".
    Raises ValueError for data that is no image of integer levels with even height and width, and for levels and
    patches that do not fit.
    """

    paper = "1807.03039"

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        num_levels: Count | None = None,
        num_steps: Count = 8,
        hidden_channels: Count = 64,
        patch: Count | None = None,
        position_bias: bool = True,
        scale: Literal["tanh", "sigmoid"] = "tanh",
        coupling: Literal["affine", "spline"] = "affine",
        num_bins: Count = 4,
        bound: Positive = 3.0,
        pixels: str = "gaussianised",
        logit_alpha: Positive | None = None,
        dequantisation: str = "uniform",
        sampler: Temperature = Temperature(),  # noqa: B008 - frozen
    ) -> None:
        spec.require_image("glow")
        context, chosen = num_features(spec.condition), num_scales(spec.shape, num_levels)
        sizes = {"num_levels": chosen, "patch": first_patch(spec.shape, patch)}
        step = partial(
            glow_step,
            hidden_channels=hidden_channels,
            patch=sizes["patch"],
            position_bias=position_bias,
            sigmoid=scale == "sigmoid",
            elementwise=Spline(num_bins, bound) if coupling == "spline" else None,
            context_features=context,
        )
        flow = Chain(
            pixel_bijection(pixels, logit_alpha, spec), steps_of_flow(spec.shape, sizes["num_levels"], num_steps, step)
        )
        super().__init__(spec, training, flow, build_dequantisation(dequantisation, spec), sampler)
        self.chosen = sizes


def glow_step(
    shape: tuple[int, int, int],
    hidden_channels: int,
    patch: int = 1,
    position_bias: bool = False,
    context_features: int = 0,
    sigmoid: bool = False,
    elementwise: Elementwise | None = None,
) -> Bijection:
    """One step of flow on (C, H, W), C even. sigmoid: with a `SigmoidCoupling`. elementwise: with a `ElementwiseCoupling`."""
    outputs = elementwise.num_parameters if elementwise else 2
    network = coupling_network(shape, hidden_channels, patch, position_bias, context_features, outputs)
    if elementwise:
        return Chain(NormalisedConv(shape[0]), ElementwiseCoupling(network, elementwise))
    return Chain(NormalisedConv(shape[0]), SigmoidCoupling(network) if sigmoid else SplitCoupling(network))


def coupling_network(
    shape: tuple[int, int, int],
    hidden_channels: int,
    patch: int,
    position_bias: bool,
    context_features: int,
    outputs: int = 2,
) -> ConvNetwork:
    """From one half of the channels of (C, H, W) to s and t, or other parameters, of the other half."""
    patch = math.gcd(patch, *shape[1:])
    size = shape[1:] if position_bias else None
    return ConvNetwork(shape[0] // 2, hidden_channels, outputs * (shape[0] // 2), patch, size, context_features)
