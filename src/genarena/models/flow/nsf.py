"""Neural spline flow (Durkan, Bekasov, Murray & Papamakarios 2019, arXiv 1906.04032).

Differs from the paper
- On vectors the order of the dimensions is reversed between layers, instead of a random permutation and a learned linear
  map, and the networks are perceptrons without residual blocks and dropout.
- Couplings read asinh(x_a), so that no coupling amplifies what another one passes outside the spline.
- On images: Glow's steps (one affine map for activation normalisation and 1x1 convolution, networks on patches of pixels
  with a learned bias per position, split priors), and pixels first pass a learned elementwise map to a normal distribution
  (`Gaussianise`). `nsf_paper` turns off the patches, the position bias, the split priors and the elementwise map. Residual
  networks are those of RealNVP, without batch normalisation and dropout.
- With a condition, the networks depend on it, and a mean and a scale of all latents.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Literal

from genarena.models.flow.autoregressive import Flatten, autoregressive_flow
from genarena.models.flow.bijection import Bijection, Chain
from genarena.models.flow.convolutions import NormalisedConv
from genarena.models.flow.couplings import ConvNetwork, ResidualNetwork
from genarena.models.flow.density import NormalisingFlow
from genarena.models.flow.dequantisation import build_dequantisation, pixel_bijection
from genarena.models.flow.elementwise import Elementwise, ElementwiseCoupling, Spline
from genarena.models.flow.multiscale import first_patch, num_scales, steps_of_flow
from genarena.models.flow.vector_couplings import vector_flow
from genarena.models.sampler import Temperature
from genarena.nets.conditioning import num_features
from genarena.options.values import Count, Positive, Whole
from genarena.spec import DataSpec
from genarena.training.module import Training

Shape = tuple[int, int, int]


class NSF(NormalisingFlow):
    """log p(x) = log N(z; 0, I) + sum over layers of sum_d log g_d'(x_d),  z_d = g_d(x_d): splines with knots from a network.

    The network of layer `mode: coupling` sees the half of the dimensions that the layer keeps; that of `mode:
    autoregressive` sees x_1 .. x_(d-1), and images are vectors in the order of the raster scan.

    num_bins, bound: every spline has so many bins on [-bound, bound], and is the identity outside.
    num_levels, num_steps: scales, and couplings per scale, of `mode: coupling` on images. factor_out: half of the channels
        leaves after each scale, as in Glow; without it all pass all scales, as in the paper on CIFAR-10.
    hidden_channels, patch, position_bias: their networks, as in Glow. num_blocks: their residual blocks; 0: Glow's networks.
    num_layers, hidden: layers and the width of each hidden layer of their networks, elsewhere; couplings of vectors have two
        hidden layers of the first width.
    pixels, logit_alpha, dequantisation: as in Glow.
    Raises ValueError below two dimensions, for vectors of integer levels, and for images that a coupling cannot halve.
    """

    paper = "1906.04032"

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        mode: Literal["coupling", "autoregressive"] = "coupling",
        num_bins: Count = 8,
        bound: Positive = 3.0,
        num_levels: Count | None = None,
        num_steps: Count = 8,
        factor_out: bool = True,
        hidden_channels: Count = 128,
        num_blocks: Whole = 0,
        patch: Count | None = None,
        position_bias: bool = True,
        num_layers: Count = 5,
        hidden: Sequence[Count] = (128, 128),
        pixels: Literal["gaussianised", "logit", "centred"] = "gaussianised",
        logit_alpha: Positive | None = None,
        dequantisation: Literal["uniform", "variational"] = "uniform",
        sampler: Temperature = Temperature(),  # noqa: B008 - frozen
    ) -> None:
        elementwise, dequantiser, chosen = Spline(num_bins, bound), None, {}
        context = num_features(spec.condition)
        if spec.is_image or spec.is_discrete:
            spec.require_image("nsf, beside vectors of floats,")
            dequantiser = build_dequantisation(dequantisation, spec)
        if mode == "autoregressive":
            flow = autoregressive_flow(spec.num_dims, num_layers, hidden, elementwise, context_features=context)
            flow = Chain(Flatten(spec.shape), flow) if spec.is_image else flow
        elif spec.is_image:
            chosen = {"num_levels": num_scales(spec.shape, num_levels), "patch": first_patch(spec.shape, patch)}
            options = {"hidden_channels": hidden_channels, "patch": chosen["patch"], "position_bias": position_bias}
            step = partial(
                image_step, elementwise=elementwise, num_blocks=num_blocks, context_features=context, **options
            )
            flow = steps_of_flow(spec.shape, chosen["num_levels"], num_steps, step, factor_out)
        else:
            flow = vector_flow(spec.num_dims, num_layers, hidden[0], elementwise, context)
        if spec.is_image:
            flow = Chain(pixel_bijection(pixels, logit_alpha, spec), flow)
        super().__init__(spec, training, flow, dequantiser, sampler)
        self.chosen = chosen
        self.num_passes = spec.num_dims if mode == "autoregressive" else 1

    @property
    def nfe(self) -> int:
        return self.num_passes


def image_step(
    shape: Shape,
    elementwise: Elementwise,
    hidden_channels: int,
    num_blocks: int,
    patch: int,
    position_bias: bool,
    context_features: int = 0,
) -> Bijection:
    """Actnorm, invertible 1x1 convolution, and a coupling, on (C, H, W) with an even C."""
    patch, kept = math.gcd(patch, *shape[1:]), shape[0] // 2
    size = shape[1:] if position_bias else None
    outputs = elementwise.num_parameters * kept
    if num_blocks:
        network = ResidualNetwork(kept, hidden_channels, outputs, num_blocks, patch, size, context_features)
    else:
        network = ConvNetwork(kept, hidden_channels, outputs, patch, size, context_features)
    return Chain(NormalisedConv(shape[0]), ElementwiseCoupling(network, elementwise))
